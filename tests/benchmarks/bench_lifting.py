"""Lifters beside their baselines, on motion and cameras that no training has seen.

python tests/benchmarks/bench_lifting.py runs/lift-0 runs/lift-1 --baseline runs/mlp-0 runs/mlp-1 \
    --recorded ../shared/data/motion/deepmimic_joints17.npz ../shared/data/motion/animated_drawings_joints17.npz

Rule-made motion is that of `data_prep.motion_synthetic`, held out; recorded clips are (T, 17, 3) arrays by name, y up,
meters, 30 frames a second, each seen by two random cameras. Each run is a row of its own seed; the last table has means
and deviations over the runs.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from data_prep.motion_synthetic import lift_batch
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.lifting import Baselines, Clip, Row, camera_clips, clips_of, compare, degraded, table_lines
from pplkit.evaluation.pose3d import PoseErrors
from pplkit.training import load_lifter

CONDITIONS = {"clean": {}, "5 px noise": {"noise": 0.01}, "30 % hidden": {"hidden": 0.3}}


def test_clips(recorded: list[Path], count: int) -> dict[tuple[str, str], list[Clip]]:
    sets = {"rule-made": clips_of(lift_batch(10**6, count, frames=81, noise=0.0, held_out=True))}
    for path in recorded:
        with np.load(path) as file:
            sequences = [
                PoseSequence(points=file[name], fps=30, skeleton=H36M17, space="world", source=name) for name in file
            ]
        sets[path.stem] = camera_clips(sequences, seed=7)
    return {
        (name, condition): degraded(clips, H36M17, **options)
        for name, clips in sets.items()
        for condition, options in CONDITIONS.items()
    }


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("runs", type=Path, nargs="+", help="run folders of lifters")
    command.add_argument("--baseline", type=Path, nargs="*", default=[], help="runs of frame-mlp, one for each run")
    command.add_argument("--recorded", type=Path, nargs="*", default=[], help=".npz files of clips")
    command.add_argument("--count", type=int, default=300, help="rule-made windows of 81 frames")
    options = command.parse_args()
    torch.set_num_threads(1)
    clips = test_clips(options.recorded, options.count)
    baselines = Baselines(lift_batch(10**5, 20_000, frames=1, noise=0.0), H36M17)
    tables: list[list[Row]] = []
    for number, path in enumerate(options.runs):
        start = time.process_time()
        alone = load_lifter(options.baseline[number]) if options.baseline else None
        tables.append(compare(baselines.methods(load_lifter(path), alone), clips))
        print(f"\n{path}, {time.process_time() - start:.0f} s\n" + "\n".join(table_lines(tables[-1])), flush=True)
    if len(tables) > 1:
        for title, statistic in (("means", np.mean), ("deviations", np.std)):
            errors = statistic([[row.errors for row in table] for table in tables], axis=0)
            rows = [row._replace(errors=PoseErrors(*error)) for row, error in zip(tables[0], errors, strict=True)]
            print(f"\n{title}\n" + "\n".join(table_lines(rows)))


if __name__ == "__main__":
    main()
