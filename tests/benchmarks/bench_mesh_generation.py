"""Generated poses: are they copies, do they cross themselves, and do they cover poses that nobody has trained on?

python tests/benchmarks/bench_mesh_generation.py humanoid runs/humanoid-0 runs/humanoid-1 runs/humanoid-2 [--sheet FILE]

Distances are means over the vertices, in % of the longest side, each pose with its mean at the origin. Beside
the poses of `pplkit generate` stand halves of two random training poses (the mean of their vertices) and training poses
themselves. Crossing faces are counted on three bodies that take the poses, beside the true poses of these bodies, which
nobody has trained on.
"""

import argparse
from pathlib import Path

import numpy as np

from data_prep.synthetic.bodies3d import SHAPES, body_poses
from pplkit.core.files import write_bytes
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.inference.mesh_generation import generate_poses
from pplkit.models.mesh import Template
from pplkit.training import load_mesh_run
from pplkit.viz.drawing import image_bytes
from pplkit.viz.scene import Scene

COUNT, UNSEEN = 100, 1000  # poses; seed of those that nobody has trained on


def distances(poses: np.ndarray, others: np.ndarray, size: float, same: bool = False) -> np.ndarray:
    """From each pose (N, V, 3) to the nearest of others (M, V, 3), in % of `size`; `same`: not to itself."""
    a, b = (values - values.mean(1, keepdims=True) for values in (poses, others))
    every = np.stack([np.linalg.norm(b - pose, axis=2).mean(1) for pose in a])
    if same:
        np.fill_diagonal(every, np.inf)
    return np.asarray(100 * every.min(1) / size)


def crossings(poses: np.ndarray, faces: np.ndarray) -> float:
    """Mean number of pairs of faces that cross."""
    return float(np.mean([len(intersecting_faces(pose, faces)) for pose in poses]))


def main() -> None:
    """Print the tables."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("kind", choices=list(SHAPES))
    command.add_argument("runs", nargs="+", type=Path, help="trained on the kind, with its 300 poses")
    command.add_argument("--sheet", type=Path, help="picture of some generated poses to write")
    options = command.parse_args()
    training = body_poses(options.kind).poses
    unseen = body_poses(options.kind, count=COUNT, seed=UNSEEN).poses
    size = float(np.ptp(body_poses(options.kind, count=1).mesh.vertices, axis=0).max())
    rng = np.random.default_rng(0)
    pairs = np.stack([rng.choice(len(training), 2, replace=False) for _ in range(COUNT)])
    made = {"halves of two training poses": training[pairs].mean(1), "training poses": training[:COUNT]}
    made |= {f"generated, {run.name}": generate_poses(run, COUNT).poses for run in options.runs}
    among = distances(training, training, size, same=True)
    print(f"training poses to one another: least {among.min():.2f}, median {np.median(among):.2f} %\n")
    print("| | to the nearest training pose: least, median | from unseen poses to the nearest: median |\n|---|---|---|")
    for name, poses in made.items():
        near, cover = distances(poses, training, size), distances(unseen, poses, size)
        print(f"| {name} | {near.min():.2f}, {np.median(near):.2f} % | {np.median(cover):.2f} % |", flush=True)
    shapes = list(SHAPES[options.kind])[:3]
    print(f"\n| crossing faces | {' | '.join(shapes)} |\n|---|{'---|' * len(shapes)}")
    bodies = [body_poses(options.kind, shape, "coarse", COUNT, UNSEEN) for shape in shapes]
    true = [crossings(body.poses, body.mesh.faces) for body in bodies]
    print(f"| true, unseen | {' | '.join(f'{value:.1f}' for value in true)} |", flush=True)
    for run in options.runs:
        model, cells = load_mesh_run(run).model, []
        for body, value in zip(bodies, true, strict=True):
            target = Template(body.mesh.vertices, body.mesh.faces, body.landmarks)
            count = crossings(model.transfer(made[f"generated, {run.name}"], target), body.mesh.faces)
            cells.append(f"{count:.1f} ({count / value:.2f})")
        print(f"| generated, {run.name} (ratio) | {' | '.join(cells)} |", flush=True)
    if options.sheet:
        poses = generate_poses(options.runs[0], 8)
        panels = {f"{number}": (pose, poses.mesh.faces) for number, pose in enumerate(poses.poses)}
        write_bytes(options.sheet, image_bytes(Scene(panels).figure()))


if __name__ == "__main__":
    main()
