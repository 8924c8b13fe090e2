"""`pplkit batch`: notebooks over data sets, variants and seeds."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pplkit.cli.options import PAIRS, Commands, add_command, settings_of
from pplkit.core.project import data_folder
from pplkit.core.yaml_file import At
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.runtime import check_device

if TYPE_CHECKING:
    from pplkit.experiments.plan import Source


def add_commands(commands: Commands) -> None:
    """Add `batch`."""
    parser = add_command(commands, batch, "--set")
    parser.add_argument("plan", type=Path, metavar="PLAN", help="YAML file; docs/batches.md has an example")
    text = "runs at a time (default: the plan's; else one for each GPU or core)"
    parser.add_argument("--jobs", type=int, help=text)
    parser.add_argument("--threads", type=int, help="threads of each run (default: the plan's, else 1)")
    text = "run on a SLURM cluster, with these options beside the plan's, such as partition=gpu gpus=1"
    parser.add_argument("--slurm", help=text, **{**PAIRS, "nargs": "*", "default": None})


def batch(arguments: argparse.Namespace) -> None:
    """Run notebooks over data sets, variants and seeds, as a plan says."""
    from data_prep.registry import preset_for
    from pplkit.experiments.batch import run_batch
    from pplkit.experiments.plan import read_plan, slurm_options

    plan = read_plan(arguments.plan, preset_for, settings_of(arguments))
    jobs = plan.jobs if arguments.jobs is None else At(arguments.plan, "--jobs").whole(arguments.jobs, 1)
    threads = plan.threads if arguments.threads is None else At(arguments.plan, "--threads").whole(arguments.threads, 1)
    plan = replace(plan, threads=threads)
    slurm = slurm_options(At(arguments.plan, "--slurm"), {**plan.slurm, **dict(arguments.slurm or ())})
    if arguments.slurm is None:
        check_device(plan.device)
    run_batch(replace(plan, jobs=jobs, slurm=slurm), prepare, "local" if arguments.slurm is None else "slurm")


def prepare(name: str, source: "Source", scale: str) -> Callable[[], Dataset]:
    """The preparation of a data set of a plan; images have the preset's size unless the plan or the folder says."""
    from data_prep.registry import resolve

    exists = (data_folder(name, scale) / "dataset.json").exists()
    size = source.size or (None if exists else Config.preset(source.preset).image_size)
    return resolve(name).preparation(source.source, size, source.options, scale)
