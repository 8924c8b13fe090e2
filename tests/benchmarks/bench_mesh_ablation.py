"""What each setting of the model of mesh pose is worth, on poses and bodies that nobody has trained on.

python tests/benchmarks/bench_mesh_ablation.py humanoid RUNS [--count 30] [--seed 0]

trains the preset mesh-small in each form into RUNS, 20 to 40 s of one core each, and prints all beside the baselines.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from bench_mesh_transfer import TRAINING, body

from data_prep.synthetic.bodies3d import SHAPES, body_poses, built_in
from pplkit.evaluation.mesh import compare, table_lines
from pplkit.inference.mesh_refinement import RefinedMethod
from pplkit.models.mesh.config import MeshConfig
from pplkit.training import load_mesh_run, train_mesh

VARIANTS: dict[str, dict[str, float | bool | int]] = {
    "mesh-small": {},
    "landmarks=false": {"landmarks": False},
    "align=false": {"align": False},
    "full_gradients=false": {"full_gradients": False},
    "scatter=false": {"scatter": False},
    "weight_smoothness=0": {"weight_smoothness": 0.0},
    "neighbors=4": {"neighbors": 4},
    "steps=1": {"steps": 1},
}
STEPS, REFINED = 200, (0.05, 10.0)  # of refining mesh-small for each target; weights of changes of the code


def main() -> None:
    """Train what is missing and print the table."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("kind", choices=list(SHAPES))
    command.add_argument("runs", type=Path, help="folder of the runs")
    command.add_argument("--count", type=int, default=30, help="poses (default: 30)")
    command.add_argument("--seed", type=int, default=0, help="of the trainings (default: 0)")
    options = command.parse_args()
    torch.set_num_threads(1)
    methods: dict[str, Any] = {}
    for name, changes in VARIANTS.items():
        config = MeshConfig.preset("mesh-small").replace(seed=options.seed, **changes)
        run = options.runs / f"{options.kind}-{name}-{options.seed}"
        data = built_in(f"bodies3d-{options.kind}")
        assert data is not None
        train_mesh(config, data, run, device="cpu", threads=1, bar=False)
        methods[name] = load_mesh_run(run).model
    for weight in REFINED:
        methods[f"refined, {STEPS} steps, code {weight:g}"] = RefinedMethod(
            methods["mesh-small"], STEPS, options.seed, weight
        )
    first, *others = SHAPES[options.kind]
    source = body(options.kind, first, "coarse", options.count)
    targets = [source, body(options.kind, first, "turned", options.count)]
    targets += [body(options.kind, shape, "irregular", options.count) for shape in others]
    training = body_poses(options.kind, count=300, seed=TRAINING).poses
    print("\n".join(table_lines(compare(methods, source, targets, training))), flush=True)


if __name__ == "__main__":
    main()
