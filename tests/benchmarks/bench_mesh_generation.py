"""Generated poses: are they copies, do they cross themselves, and do they cover poses that nobody has trained on?

python tests/benchmarks/bench_mesh_generation.py humanoid runs/humanoid-0 runs/humanoid-1 runs/humanoid-2 [--sheet FILE]

A run is one of mesh pose, or of a diffusion over the codes of one (presets mesh-diffusion and mesh-diffusion-small).
Distances are means over the vertices, in % of the longest side, each pose with its mean at the origin. Beside the poses
of `pplkit generate` stand draws of which none is left out for crossing itself, halves of two random training poses (the
mean of their vertices) and training poses themselves. Coverage: how far poses that nobody has trained on are from the
nearest, and which share of them is within the median distance among training poses. Crossing faces are counted on three
bodies that take the poses, beside the true poses of these bodies.
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
from pplkit.training.saved_mesh import is_diffusion, load_diffusion
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


def mesh_run(run: Path) -> Path:
    """The run of mesh pose behind a run."""
    return load_diffusion(run).mesh_run if is_diffusion(run) else run


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
    halves, first = "halves of two training poses", mesh_run(options.runs[0])
    sets = {halves: (first, training[pairs].mean(1)), "training poses": (first, training[:COUNT])}
    for run in options.runs:
        sets[f"generated, {run.name}"] = mesh_run(run), generate_poses(run, COUNT).poses
        sets[f"{run.name}, none left out"] = mesh_run(run), generate_poses(run, COUNT, crossings=np.inf).poses
    among = distances(training, training, size, same=True)
    limit = np.median(among)
    print(f"training poses to one another: least {among.min():.2f}, median {limit:.2f} %\n")
    print("| | to the nearest training pose: least, median | from unseen poses: median | within |\n|---|---|---|---|")
    for name, (_, poses) in sets.items():
        near, cover = distances(poses, training, size), distances(unseen, poses, size)
        share = f"{100 * np.mean(cover <= limit):.0f} %"
        print(
            f"| {name} | {near.min():.2f}, {np.median(near):.2f} % | {np.median(cover):.2f} % | {share} |", flush=True
        )
    shapes = list(SHAPES[options.kind])[:3]
    print(f"\n| crossing faces (ratio to true) | {' | '.join(shapes)} |\n|---|{'---|' * len(shapes)}")
    bodies = [body_poses(options.kind, shape, "coarse", COUNT, UNSEEN) for shape in shapes]
    true = [crossings(body.poses, body.mesh.faces) for body in bodies]
    print(f"| true, unseen | {' | '.join(f'{value:.1f}' for value in true)} |", flush=True)
    for name, (run, poses) in sets.items():
        model, cells = load_mesh_run(run).model, []
        for body, value in zip(bodies, true, strict=True):
            target = Template(body.mesh.vertices, body.mesh.faces, body.landmarks)
            count = crossings(model.transfer(poses, target), body.mesh.faces)
            cells.append(f"{count:.1f} ({count / value:.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if options.sheet:
        poses = generate_poses(options.runs[0], 8)
        panels = {f"{number}": (pose, poses.mesh.faces) for number, pose in enumerate(poses.poses)}
        write_bytes(options.sheet, image_bytes(Scene(panels).figure()))


if __name__ == "__main__":
    main()
