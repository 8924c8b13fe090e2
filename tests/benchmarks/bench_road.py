"""How much each stage of the road from video to character loses, on films of bodies whose truth is known.

python -m data_prep.films3d FILMS
pplkit road video-people --source FILMS/clips --labels FILMS/labeled/labels.csv --to FILMS/character.obj ...
python tests/benchmarks/bench_road.py FILMS runs/video-people/road --lifter runs/lifter

Rows: what the road made; the same stages fed with the truth of the stage before; the simplest baselines: the mean of
the labels, the mean pose of people of rule-made motion, the character at rest. Points in % of the image side, joints in
mm after the best similarity (P-MPJPE), skating by the contact that the fit finds, vertices in % of the height after the
best turn and shift of each frame.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.films3d import SIZE
from data_prep.motion_synthetic import motion_windows
from pplkit.data.meshes import read_mesh
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.pose3d import p_mpjpe
from pplkit.experiments.road import KEYPOINTS, LIFTED, MOTION, skeleton_of
from pplkit.inference.character import move_character
from pplkit.inference.imitation.methods import imitate
from pplkit.inference.lifting.lift import lift
from pplkit.training.saved_lifter import load_lifter


def vertex_error(poses: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of vertices (T, V, 3) in % of the height, after the best turn and shift of each frame."""
    a, b = poses - poses.mean(1, keepdims=True), truth - truth.mean(1, keepdims=True)
    left, _, right = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    left[..., 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    off = np.linalg.norm(a @ np.swapaxes(left @ right, 1, 2) - b, axis=-1)
    return float(100 * off.mean() / np.median(np.ptp(truth[..., 1], axis=1)))


def moved(motion: PoseSequence, character: Path, truth: np.ndarray) -> float:
    """The error of the character that moves as `motion`; all have as many frames."""
    made = move_character(motion, character)
    return vertex_error(made.meters * made.poses, truth)


def film_rows(films: Path, road: Path, number: str, lifter: Any, standing: np.ndarray) -> dict[str, list[float]]:
    """For each way the errors of points, lifted joints, plausible joints, skating and vertices; NaN for none."""
    truth, character = np.load(films / "truth" / f"{number}.npz"), films / "character.obj"
    joints, vertices = truth["joints_world"].astype(float), truth["vertices_world"].astype(float)
    names, points = truth["names"].tolist(), truth["keypoints"]
    fps, none = float(truth["fps"]), float("nan")

    def percent(seen: np.ndarray) -> float:
        return float(100 * np.nanmean(np.linalg.norm(seen - points, axis=-1)) / SIZE)

    found = read_sequence(road / number / "keypoints" / KEYPOINTS)
    seen = found.points[:, [found.skeleton.joints.index(name) for name in names]]
    motion, lifted = (read_sequence(road / number / path) for path in (f"motion/{MOTION}", f"lifted/{LIFTED}"))
    _, again = imitate(lifted)
    rows = {
        "the road": [
            percent(seen), 1000 * p_mpjpe(lifted.points, joints), 1000 * p_mpjpe(motion.points, joints),
            again.after["skate_cm_s"], moved(motion, character, vertices),
        ]
    }  # fmt: skip
    true = PoseSequence(
        points=points, fps=fps, skeleton=skeleton_of(names), space="image", confidence=np.ones(points.shape[:2]),
        size=(SIZE, SIZE),
    )  # fmt: skip
    lifted = lift(true, model=lifter)
    motion, report = imitate(lifted)
    rows["from true points"] = [
        0.0, 1000 * p_mpjpe(lifted.points, joints), 1000 * p_mpjpe(motion.points, joints),
        report.after["skate_cm_s"], moved(motion, character, vertices),
    ]  # fmt: skip
    world = PoseSequence(points=joints, fps=fps, skeleton=H36M17, space="world")
    motion, report = imitate(world, gravity="given")
    fitted = 1000 * p_mpjpe(motion.points, joints)
    rows["from true joints"] = [0.0, 0.0, fitted, report.after["skate_cm_s"], moved(motion, character, vertices)]
    rows["true joints, the character alone"] = [0.0, 0.0, 0.0, none, moved(world, character, vertices)]
    with (films / "labeled" / "labels.csv").open(encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    means = [np.mean([[float(r["x"]), float(r["y"])] for r in labels if r["name"] == name], axis=0) for name in names]
    rest = np.repeat(read_mesh(character).vertices[None] / 100, len(joints), 0)
    pose = 1000 * p_mpjpe(np.repeat(standing[None], len(joints), 0), joints)
    rows["mean pose, rest pose"] = [
        percent(np.repeat([means], len(joints), 0)),
        pose,
        pose,
        0.0,
        vertex_error(rest, vertices),
    ]
    return rows


def main() -> None:
    """Print the table: means over the films."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("films", type=Path)
    command.add_argument("road", type=Path, help="folder that `pplkit road` has made")
    command.add_argument("--lifter", type=Path, required=True, help="run folder of the same lifter")
    options = command.parse_args()
    lifter = load_lifter(options.lifter, "cpu")
    windows = motion_windows(0, 1000, 1)[:, 0].astype(float)
    across = windows[:, 4] - windows[:, 1]
    angle = np.arctan2(across[:, 2], across[:, 0])[:, None]
    x, z = windows[..., 0], windows[..., 2]
    facing = np.stack(
        [x * np.cos(angle) + z * np.sin(angle), windows[..., 1], z * np.cos(angle) - x * np.sin(angle)], -1
    )
    standing = (facing - facing[:, :1]).mean(0)
    numbers = sorted(
        path.stem for path in (options.films / "truth").glob("*.npz") if (options.road / path.stem).is_dir()
    )
    rows = [film_rows(options.films, options.road, number, lifter, standing) for number in numbers]
    print("| | points % | lifted mm | plausible mm | skate cm/s | vertices % |\n|---|---|---|---|---|---|")
    for name in rows[0]:
        values = np.mean([row[name] for row in rows], axis=0)
        cells = " | ".join("" if np.isnan(value) else f"{value:.1f}" for value in values)
        print(f"| {name} | {cells} |")
    single = ", ".join(f"{row['the road'][0]:.1f} / {row['the road'][2]:.0f}" for row in rows)
    print(f"\npoints / plausible of each film: {single}")


if __name__ == "__main__":
    main()
