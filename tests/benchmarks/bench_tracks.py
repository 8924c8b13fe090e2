"""Error, jitter and lag of tracks before and after smoothing, on puppet videos, whose joints are known exactly.

python tests/benchmarks/bench_tracks.py RUN ...      also written to bench_tracks.json; minutes on one core

RUN is the folder of a model trained on puppets. Its keypoints in each frame become joints by the linear map fitted to
the labels of its training set, so that they can be compared with the truth. Videos: those that the test set is picked
from, the first ten of which are the split films, at their pace (a key pose every 12 frames of 25 a second) and at
others; and the pictures of the test set, every fourth frame, which look like videos with a key pose every 3 frames.
Beside each pace stands by how much of the height the joints move in 80 ms relative to the hips; those of people in
Human3.6M move by 1.4 % (23.8 of 1700 mm, Guo et al. 2023, last frame repeated). All numbers are means over videos, in
% of the image side: the error, the jitter (root mean square acceleration of the error, per frame²) and how often
smoothing halves it; the lag in frames, against the truth.

kit          half a pixel of the model's images, weighted by confidence
equal        the same, all frames alike
validated    smoothing splines by generalised cross-validation, one for each coordinate (scipy)
polynomial   Savitzky-Golay, cubic over 7 frames
mean of 5    of this frame and the four before: what smoothing costs that must not look ahead
truth known  joints by least squares from the keypoints of 7 frames, fitted to the truth of twice as many other videos
             at the same pace: what no linear smoother over as many frames does much better, and none can do without
             the truth
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter

import pplkit
from data_prep.synthetic.puppets import PACE, PICKED, generate, layout
from pplkit.evaluation.tracking import JointMap, joint_map
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.trajectories import MIN_LAG_FRAMES, jitter, lag, smooth
from pplkit.inference.tracking import SMOOTHING, confidence_weights
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder, data_of

FIRST = 1_000_000  # the test set's first video
OTHERS = 2_000_000  # that of the videos that "truth known" is fitted to
REACH = 3  # frames before and after that it sees
Smoother = Callable[[np.ndarray, np.ndarray, float], np.ndarray]  # points (T, N, 2), confidence (T, N), half a pixel


def validated(points: np.ndarray, confidence: np.ndarray, within: float) -> np.ndarray:
    """Smoothing splines by generalised cross-validation."""
    time = np.arange(len(points))
    lines = points.reshape(len(points), -1).T
    return np.stack([make_smoothing_spline(time, line)(time) for line in lines], 1).reshape(points.shape)


def past(points: np.ndarray, confidence: np.ndarray, within: float) -> np.ndarray:
    """Means over five frames."""
    return np.stack([points[max(0, frame - 4) : frame + 1].mean(0) for frame in range(len(points))])


SMOOTHERS: dict[str, Smoother] = {
    "as found": lambda points, confidence, within: points,
    "kit": lambda points, confidence, within: smooth(
        points, np.arange(len(points)), within, confidence_weights(confidence)
    ),
    "equal": lambda points, confidence, within: smooth(points, np.arange(len(points)), within),
    "validated": validated,
    "polynomial": lambda points, confidence, within: savgol_filter(points, 7, 3, axis=0),
    "mean of 5": past,
}


def windows(points: np.ndarray, reach: int) -> np.ndarray:
    """The points (T, N, 2) of each frame and of `reach` before and after, the ends repeated; (T, ..)."""
    padded = np.pad(points.reshape(len(points), -1), ((reach, reach), (0, 0)), mode="edge")
    return np.hstack([padded[i : i + len(points)] for i in range(2 * reach + 1)])


def learned(model: PosePriorLearner, labelled: list[tuple[np.ndarray, np.ndarray]], reach: int = 0) -> JointMap:
    """From keypoints (T, N, 2) to joints, by least squares on images and joints of each of the `labelled` films."""
    seen = [model.estimate(images, procedure="published").keypoints.numpy() for images, _ in labelled]
    rows, joints = np.vstack([windows(points, reach) for points in seen]), np.vstack([truth for _, truth in labelled])
    joints_of = joint_map(rows, joints)
    return lambda points: joints_of(windows(points, reach))


def films(data: Any, pace: int, videos: int, frames: int, first: int = FIRST) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and joints of each video: of the test set (`pace` 0), or drawn anew."""
    if not pace:
        test = data["test"]
        names = np.asarray(test.videos)
        return [(np.asarray(test.images)[names == v], np.asarray(test.keypoints)[names == v]) for v in np.unique(names)]
    made = generate("humanoid", videos, frames, data.size, first_video=first, every=1, pace=pace)
    split = (part.reshape(videos, frames, *part.shape[1:]) for part in (made.images, made.keypoints))
    return list(zip(*split, strict=True))


def moved(truth: np.ndarray) -> float:
    """By how much of the height, in %, joints (T, J, 2) move in two frames relative to the pelvis, in the mean."""
    still = truth - truth[:, [layout("humanoid").keypoint_names.index("pelvis")]]
    return float(100 * np.linalg.norm(still[2:] - still[:-2], axis=-1).mean() / np.ptp(truth[..., 1], axis=1).mean())


def measured(model: PosePriorLearner, joints: JointMap, known: JointMap, film: Any) -> dict[str, list[float]]:
    """Error and jitter in % of the image side, and lag in frames, of each smoother on one video."""
    images, truth = film
    poses = model.estimate(images, procedure="published")
    points, sure = poses.keypoints.numpy().astype(float), poses.confidence.numpy()
    percent = 100 * sides_per_unit(model.config.image_size)
    actual = {}
    within = SMOOTHING * 2 / (model.config.image_size - 1)
    results = {name: joints(smoother(points, sure, within)) for name, smoother in SMOOTHERS.items()}
    for name, made in (results | {"truth known": known(points)}).items():
        error = float(np.linalg.norm(made - truth, axis=-1).mean())
        late = lag(made, truth) if len(truth) >= MIN_LAG_FRAMES else float("nan")
        actual[name] = [percent * error, percent * jitter(made, truth), late]
    return actual


def compare(run: Path, paces: list[int], videos: int, frames: int) -> dict[str, Any]:
    """For each pace and smoother the numbers of all videos."""
    model, data = pplkit.load(run, "auto"), data_of(RunFolder(run))
    train = data["train"]
    joints = learned(model, [(np.asarray(train.images), np.asarray(train.keypoints))])
    rows: dict[str, dict[str, list[list[float]]]] = {}
    for pace in paces:
        seen = films(data, pace, videos, frames)
        name = f"a key pose every {pace} frames" if pace else "test set, 10 pictures each"
        name += f", {np.mean([moved(truth) for _, truth in seen]):.2f} % of the height in 2 frames"
        known = learned(model, films(data, pace or PACE // PICKED, 2 * videos, frames, OTHERS), REACH)
        for film in seen:
            for smoother, numbers in measured(model, joints, known, film).items():
                rows.setdefault(name, {}).setdefault(smoother, []).append(numbers)
    return {"run": run.name, "rows": rows}


def table(result: dict[str, Any]) -> list[str]:
    """Lines of text."""
    lines = []
    for name, rows in result["rows"].items():
        raw = np.array(rows["as found"])
        lines.append(f"{result['run']}, {name}, {len(raw)} videos")
        lines.append(
            f"{'':12}{'error':>8}{'worse in':>10}{'jitter':>8}{'of found':>16}{'halved in':>11}{'lag':>8}{'largest':>9}"
        )
        for smoother, numbers in rows.items():
            now = np.array(numbers)
            ratio = now[:, 1] / raw[:, 1]
            late = now[:, 2][np.isfinite(now[:, 2])]
            lines.append(
                f"{smoother:12}{now[:, 0].mean():8.3f}{(now[:, 0] > raw[:, 0]).mean():10.0%}{now[:, 1].mean():8.3f}"
                f"{f'{ratio.mean():.2f} ± {ratio.std():.2f}':>16}{(ratio <= 0.5).mean():11.0%}"
                + (f"{late.mean():8.2f}{np.abs(late).max():9.2f}" if len(late) else "")
            )
    return lines


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument(
        "--paces", nargs="+", type=int, default=[0, 3, 6, 9, 12, 24], help="frames of a key pose; 0: test set"
    )
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("bench_tracks.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for run in options.runs:
        results.append(compare(run, options.paces, options.videos, options.frames))
        print("\n".join(table(results[-1])), flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
