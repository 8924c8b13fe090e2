"""`pplkit motion-loop`: rounds of estimation, imitation, hallucination and retraining, as a plan says."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command


def add_commands(commands: Commands) -> None:
    """Add `motion-loop`."""
    parser = add_command(commands, motion_loop)
    parser.add_argument("plan", type=Path, metavar="PLAN", help="YAML file; docs/motion.md has an example")
    text = "folder of all stages and of loop.json (default: runs/loops/NAME of the plan)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=text)


def motion_loop(arguments: argparse.Namespace) -> None:
    """Train an estimator of 3D motion from 2D sequences alone, in rounds that go on where they stopped."""
    from data_prep.motion_synthetic import motion_windows
    from pplkit.experiments.loop_plan import read_loop_plan
    from pplkit.experiments.motion_loop import TABLE, run_loop

    folder = run_loop(read_loop_plan(arguments.plan), motion_windows, arguments.out)
    print((folder / TABLE).read_text(encoding="utf-8"))
    print(f"All numbers are in {folder / 'loop.json'}.")
