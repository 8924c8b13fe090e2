"""Pose transfer on the built-in bodies: baselines, and trained runs of one kind, beside the truth, on unseen poses.

python tests/benchmarks/bench_mesh_transfer.py humanoid quadruped [--count 30] [--runs RUN ...]
"""

import argparse
from dataclasses import replace

import torch

from data_prep.synthetic.bodies3d import SHAPES, body_poses
from pplkit.data.mesh_sets import PosedMesh
from pplkit.evaluation.mesh import compare, table_lines
from pplkit.training import load_mesh_run

UNSEEN, TRAINING = 10**6, 0  # seeds of the poses


def body(kind: str, shape: str, triangulation: str, count: int) -> PosedMesh:
    data = body_poses(kind, shape, triangulation, count, UNSEEN)
    return replace(data, mesh=replace(data.mesh, source=f"{shape}, {triangulation}"))


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("kinds", nargs="+", choices=list(SHAPES))
    command.add_argument("--count", type=int, default=30, help="poses (default: 30)")
    command.add_argument("--runs", nargs="*", default=[], help="run folders of mesh pose, trained on the kind")
    options = command.parse_args()
    methods = {run: load_mesh_run(run).model for run in options.runs}
    torch.set_num_threads(1)
    for kind in options.kinds:
        first, *others = SHAPES[kind]
        source = body(kind, first, "coarse", options.count)
        targets = [source, body(kind, first, "turned", options.count)]
        targets += [body(kind, shape, "irregular", options.count) for shape in others]
        training = body_poses(kind, count=300, seed=TRAINING).poses
        print(f"\n{kind}\n\n" + "\n".join(table_lines(compare(methods, source, targets, training))), flush=True)


if __name__ == "__main__":
    main()
