"""Motion made by rule beside recorded motion: angles, speeds, linear lifters; its cost; and a sheet of poses.

python tests/benchmarks/bench_motion.py --recorded ../shared/data/motion/deepmimic_joints17.npz --sheet motion.png

Prints the 5, 25, 50, 75 and 95 % quantiles of each quantity. The sheet has, for each rule, one window a row, seen along
two axes; the left side is blue, the right side red. A minute on one core.
"""

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot

from data_prep.motion_synthetic import RULES, lift_batch, motion_windows
from pplkit.data.pose_views import random_views
from pplkit.data.skeletons import H36M17

QUANTILES = (5, 25, 50, 75, 95)
FPS = 30


def quantities(motions: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Values of each quantity over all frames of motions (..., F, 17, 3), y up, meters."""
    joint = H36M17.joints.index

    def angle(motion: np.ndarray, *names: str) -> np.ndarray:
        first, middle, last = (motion[..., joint(name), :] for name in names)
        a, b = first - middle, last - middle
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    def speed(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.diff(points, axis=-2), axis=-1) * FPS

    def pooled(values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([value.ravel() for value in values])

    trunks = [motion[..., joint("thorax"), :] - motion[..., 0, :] for motion in motions]
    table = {
        "knee (degrees)": pooled([angle(m, "right hip", "right knee", "right ankle") for m in motions]),
        "elbow": pooled([angle(m, "right shoulder", "right elbow", "right wrist") for m in motions]),
        "hip": pooled([angle(m, "thorax", "pelvis", "right knee") for m in motions]),
        "arm against trunk": pooled([angle(m, "pelvis", "right shoulder", "right elbow") for m in motions]),
        "trunk from upright": pooled([np.degrees(np.arccos(t[..., 1] / np.linalg.norm(t, axis=-1))) for t in trunks]),
        "height of the root (m)": pooled([m[..., 0, 1] for m in motions]),
        "lowest joint": pooled([m[..., 1].min(-1) for m in motions]),
        "root (m/s)": pooled([speed(m[..., 0, :]) for m in motions]),
    }
    for name in ("right wrist", "right ankle", "head"):
        table[f"{name} against the root"] = pooled([speed(m[..., joint(name), :] - m[..., 0, :]) for m in motions])
    return table


def features(keypoints: np.ndarray) -> np.ndarray:
    """(N, 38) of frames (..., 17, 2): points around the root in units of their size, the root, the size, and 1."""
    frames = keypoints.reshape(-1, 17, 2).astype(float)
    centered = frames - frames[:, :1]
    size = np.sqrt((centered**2).sum(-1).mean(-1))[:, None]
    parts = [(centered / size[..., None]).reshape(len(frames), -1), frames[:, 0], size, np.ones_like(size)]
    return np.concatenate(parts, 1)


def targets(positions: np.ndarray) -> np.ndarray:
    """(N, 51) of frames (..., 17, 3): meters from the root."""
    frames = positions.reshape(-1, 17, 3).astype(float)
    return (frames - frames[:, :1]).reshape(len(frames), -1)


def linear_errors(motions: list[np.ndarray], length: int = 24) -> tuple[float, float]:
    """MPJPE in mm of linear lifters fitted to motion made by rule, and to the recorded motion itself."""
    pieces = [m[i : i + length] for m in motions for i in range(0, len(m) - length + 1, length // 2)]
    views = random_views(np.random.default_rng(5), np.concatenate([np.stack(pieces)] * 4))
    recorded = features(views.keypoints[:, ::3]), targets(views.positions[:, ::3])
    batch = lift_batch(1, 6000, noise=0.0)
    errors = []
    for x, y in ((features(batch.keypoints[:, ::9]), targets(batch.positions[:, ::9])), recorded):
        weights = np.linalg.solve(x.T @ x + 1e-2 * np.eye(x.shape[1]), x.T @ y)
        misses = (recorded[0] @ weights - recorded[1]).reshape(-1, 17, 3)
        errors.append(1000 * float(np.linalg.norm(misses, axis=-1).mean()))
    return errors[0], errors[1]


def sheet(path: Path, windows: int = 4, frames: int = 41, poses: int = 9) -> None:
    """Strips of poses of each rule, from two sides."""
    figure, axes = pyplot.subplots(len(RULES) * windows, 2, figsize=(22, 3.2 * len(RULES) * windows))
    for row, (rule, number) in enumerate((rule, number) for rule in RULES for number in range(windows)):
        motion = motion_windows(1, windows, frames, FPS, rule=rule)[number]
        for column, axis in enumerate((0, 2)):
            plot = axes[row, column]
            for place, frame in enumerate(np.linspace(0, frames - 1, poses).astype(int)):
                for bone in H36M17.bones:
                    side = H36M17.joints[bone[1]].split()[0]
                    color = {"left": "tab:blue", "right": "tab:red"}.get(side, "black")
                    plot.plot(motion[frame, bone, axis] + 1.3 * place, motion[frame, bone, 1], color=color)
            plot.axhline(0, color="gray", lw=0.5)
            plot.set(aspect="equal", ylim=(-0.1, 2.3), xlim=(-1, poses * 1.3), title=rule if not number else "")
            plot.axis("off")
    figure.tight_layout(pad=0.1)
    figure.savefig(path, dpi=48)


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--recorded", type=Path, nargs="*", default=[], help="files of clips (T, 17, 3) by name")
    command.add_argument("--sheet", type=Path, help="an image to draw")
    options = command.parse_args()
    start = time.process_time()
    windows = motion_windows(0, 24000)
    print(f"24,000 windows of 27 frames: {time.process_time() - start:.1f} s of processor time")
    start = time.process_time()
    for seed in range(20):
        lift_batch(seed, 64)
    print(f"a batch of 64 windows with cameras and noise: {(time.process_time() - start) / 20 * 1000:.0f} ms")
    motions = {"made by rule": [windows[:4000]]}
    for path in options.recorded:
        with np.load(path) as clips:
            motions[path.stem] = [clips[name].astype(float) for name in clips]
            made, itself = linear_errors(list(motions[path.stem]))
            print(f"{path.stem}: linear lifters miss by {made:.0f} mm fitted to rules, {itself:.0f} mm to the clips")
    tables = {name: quantities(motion) for name, motion in motions.items()}
    for quantity in tables["made by rule"]:
        for name, table in tables.items():
            row = " ".join(f"{value:7.2f}" for value in np.percentile(table[quantity], QUANTILES))
            print(f"{quantity:28s} {name:22s} {row}")
    if options.sheet:
        sheet(options.sheet)


if __name__ == "__main__":
    main()
