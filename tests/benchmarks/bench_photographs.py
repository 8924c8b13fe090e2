"""Real photographs: errors on birds and on a reaching mouse, beside the mean pose and the published numbers.

python tests/benchmarks/bench_photographs.py birds ../shared/data/CUB_200_2011 [--seeds 0 1 2] [--set NAME=VALUE ...]
python tests/benchmarks/bench_photographs.py mouse ../shared/data/dlc_reaching [--seeds 0 1 2] [--set NAME=VALUE ...]
python tests/benchmarks/bench_photographs.py wide VIDEOS [--seeds 0 1 2] [--set NAME=VALUE ...]

birds: classes 001 to 003 of CUB-200-2011 in one training (preset cub-three), protocol `cub` with a map for each class
and with one for all three; the share of the keypoints inside the hull of the labelled parts or within 0.1 image sides
of one, and that of the length of the strong links (test images); parts named by ten labelled photographs, suggested or
random (mean of 20 draws), in parts of the full regression's error. mouse: the labelled frames of DeepLabCut's example,
whole pictures, 8 keypoints (preset photographs); five points by ridge regression with ten frames left out at a time,
in pixels. wide: built-in people of 40 to 80 pixels in scenes of 640 x 480, VIDEOS of them to learn from, preset
`puppets-wide`; the error of protocol `h36m` beside the mean pose's in the same squares, the share of keypoints on the
true masks, and that of frames whose square holds nine tenths of the joints and is at most 2.5 times as long as the
body.
Trained runs are kept in --runs (default: runs/bench) and not trained again. Written to bench_photographs.json too.
"""

import argparse
import ast
import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial import Delaunay, QhullError

import pplkit
from data_prep import cub, folder, puppets
from pplkit.data.crops import from_crop, resized, whole
from pplkit.evaluation.report import evaluation_report
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.coverage import on_object
from pplkit.inference.landmarks.fitting import most_informative
from pplkit.inference.landmarks.landmark_map import fit_landmarks

PUBLISHED = {
    "PPL, 128 px, VGG": (19.3, 18.6, 17.3),
    "AutoLink, 128 px, VGG": (20.2, 19.2, 18.5),
    "StableKeypoints": (10.5, 10.5, 10.5),
}
NEAR = 0.1  # image sides
DRAWS, LABELS = 20, 10


def near_labels(points: np.ndarray, labels: np.ndarray, visible: np.ndarray, size: int) -> np.ndarray:
    """Whether points (n, M, 2) lie in the hull of an image's visible labels (n, J, 2) or NEAR one of them: (n, M)."""
    results = []
    for some, own, there in zip(points, labels, visible, strict=True):
        away = np.linalg.norm(some[:, None] - own[there][None], axis=-1).min(1) * sides_per_unit(size)
        inside = away <= NEAR
        with suppress(QhullError, ValueError):  # of fewer than three labels, or of labels on one line
            inside |= Delaunay(own[there]).find_simplex(some) >= 0
        results.append(inside)
    return np.array(results)


def on_links(keypoints: np.ndarray, links: list[tuple[int, int]], split: Any, size: int) -> float:
    """Share of the length of links (pairs of keypoints (n, N, 2)) that lies near labels."""
    ends = keypoints[:, np.array(links)]
    steps = np.linspace(0, 1, 21)[:, None]
    points = ends[:, :, :1] * (1 - steps) + ends[:, :, 1:] * steps
    inside = near_labels(points.reshape(len(points), -1, 2), split.keypoints, split.visible, size)
    length = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)
    return float((inside.reshape(points.shape[:3]).mean(2) * length).sum() / length.sum())


def bird_errors(train: np.ndarray, test: np.ndarray, data: Any) -> list[float]:
    """Errors in % of classes 1 to 3, and of all with one map."""
    one, other = data["train"], data["test"]
    parts = [(one.classes == number, other.classes == number) for number in range(3)]
    parts.append((one.classes >= 0, other.classes >= 0))
    return [
        100 * float(pplkit.evaluate("cub", train[a], one.keypoints[a], test[b], other.keypoints[b], one.visible[a],
                                    other.visible[b]))
        for a, b in parts
    ]  # fmt: skip


def mean_pose(data: Any) -> list[float]:
    """As `bird_errors`, of the mean label of each part."""
    one, other = data["train"], data["test"]
    results = []
    for number in (0, 1, 2, None):
        a = np.full(len(one), True) if number is None else one.classes == number
        b = np.full(len(other), True) if number is None else other.classes == number
        middle = np.nanmean(np.where(one.visible[a][..., None], one.keypoints[a], np.nan), 0)
        away = np.linalg.norm(other.keypoints[b] - middle, axis=-1)[other.visible[b]]
        results.append(50 * float(np.nanmean(away)))
    return results


def named_parts(model: Any, data: Any) -> tuple[float, float]:
    """Error of the parts that ten labelled photographs name, in parts of that of the map fitted to all of them.

    First of the ten that the kit suggests, then the mean of DRAWS random choices. All maps are those of
    `pplkit landmarks`, which on these birds errs less than the protocol's when it has all labels.
    """
    one, other = data["train"], data["test"]
    images, test = np.asarray(one.images), model.estimate(np.asarray(other.images)).keypoints.numpy()
    keypoints, mirrored = (model.estimate(some).keypoints.numpy() for some in (images, images[:, :, ::-1].copy()))
    labels = np.where(one.visible[..., None], one.keypoints, np.nan)
    truth = np.where(other.visible[..., None], other.keypoints, np.nan)

    def error(index: Any) -> float:
        if not np.isfinite(labels[index][..., 0]).any(0).all():
            return math.nan
        fitted = fit_landmarks(keypoints[index], labels[index], data.keypoint_names, data.size, mirrored[index])
        return float(np.nanmean(np.linalg.norm(fitted.apply(test) - truth, axis=-1)))

    full = error(np.arange(len(images)))
    draws = [error(np.random.default_rng(draw).permutation(len(images))[:LABELS]) / full for draw in range(DRAWS)]
    return error(most_informative(keypoints, LABELS)) / full, float(np.nanmean(draws))


def trained(config: Any, data: Any, run: Path) -> tuple[Any, float]:
    """The model of a run, trained now unless it is, and the seconds that took."""
    result = pplkit.train(config, data, run, bar=False)
    return pplkit.load(run, "auto"), result.seconds


def birds(source: Path, runs: Path, seeds: list[int], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each seed."""
    place = runs / "cub-three-data"
    if not place.exists():
        cub.prepare(source, place, size=256, variant="three")
    data, rows = pplkit.open_dataset(place), []
    rows.append({"name": "mean pose", "errors": mean_pose(data)})
    rows += [{"name": name, "errors": list(errors)} for name, errors in PUBLISHED.items()]
    for seed in seeds:
        config = pplkit.Config.preset("cub-three").replace(**settings, seed=seed)
        model, seconds = trained(config, data, runs / f"cub-three-{seed}")
        train, test = (model.estimate(np.asarray(data[split].images)).keypoints.numpy() for split in ("train", "test"))
        split, links = data["test"], model.prior().links()
        rows.append({
            "name": f"seed {seed}", "errors": bird_errors(train, test, data), "seconds": seconds,
            "on_object": float(near_labels(test, split.keypoints, split.visible, data.size).mean()),
            "links_on_object": on_links(test, links, split, data.size),
            **dict(zip(("ten_suggested", "ten_random"), named_parts(model, data), strict=True)),
        })  # fmt: skip
    return rows


def mouse(source: Path, runs: Path, seeds: list[int], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each seed, and the mean pose; errors of each point and of all."""
    frames = sorted((source / "labeled-data" / "reachingvideo1").glob("*.jpg"))
    place = runs / "mouse-data"
    if not place.exists():
        folder.prepare(frames[0].parent, place, size=256, crop="pad", test_share=0.0001, duplicates="ignore")
    data = pplkit.open_dataset(place)
    names, labels = _mouse_labels(source, frames)
    rows = []
    for seed in [None, *seeds]:
        if seed is None:
            points = np.zeros((len(frames), 0, 2))
        else:
            config = pplkit.Config.preset("photographs").replace(
                **{"keypoints": 8, "flip": False, **settings}, seed=seed
            )
            model, seconds = trained(config, data, runs / f"mouse-{seed}")
            points = _in_frames(model, data, frames)
        errors = _left_out(points, labels)
        row = {"name": "mean pose" if seed is None else f"seed {seed}", "errors": [*errors, float(np.nanmean(errors))]}
        rows.append(row if seed is None else {**row, "seconds": seconds})
    print("points:", ", ".join(names), "and their mean, pixels")
    return rows


def wide(videos: Path, runs: Path, seeds: list[int], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each seed, and the mean pose; the error in % of the square's side."""
    preset = pplkit.Config.preset("puppets-wide")
    place = runs / f"wide-data-{videos}"
    if not place.exists():
        puppets.prepare("wide", place, size=preset.image_size, videos=int(str(videos)), test_videos=20, films=0)
    data = pplkit.open_dataset(place)
    test = data["test"]
    inside = (np.abs(test.keypoints) <= data.size / (data.size - 1)).all(-1).mean(1)
    extent = np.array([max(np.ptp(np.flatnonzero(mask.any(axis))) for axis in (0, 1)) for mask in test.masks > 127])
    held = float(((inside >= 0.9) & (extent >= data.size / 2.5)).mean())
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        model, seconds = trained(preset.replace(**settings, seed=seed), data, runs / f"wide-{videos}-{seed}")
        report = evaluation_report(model, data)
        if not rows:
            rows.append({"name": "mean pose", "errors": [100 * report["mean_pose_error"]], "found": held})
        keypoints = model.estimate(np.asarray(test.images)).keypoints.numpy()
        rows.append({
            "name": f"seed {seed}", "errors": [100 * report["error"]], "seconds": seconds,
            "of_mean_pose": report["relative_error"], "on_object": on_object(keypoints, np.asarray(test.masks)),
        })  # fmt: skip
    return rows


def _mouse_labels(source: Path, frames: list[Path]) -> tuple[list[str], np.ndarray]:
    lines = (next(source.rglob("CollectedData*.csv"))).read_text(encoding="utf8").splitlines()
    names = lines[1].split(",")[1::2]
    rows = {Path(line.split(",")[0]).stem: line.split(",")[1:] for line in lines[3:]}
    return names, np.array([[float(v) if v else np.nan for v in rows[f.stem]] for f in frames]).reshape(
        len(frames), -1, 2
    )


def _in_frames(model: Any, data: Any, frames: list[Path]) -> np.ndarray:
    """Keypoints in pixels of the frames."""
    results = []
    for file in frames:
        image = Image.open(file).convert("RGB")
        box = whole(*image.size)
        square = resized(image, model.config.image_size, box)[None]
        results.append(from_crop(model.estimate(square).keypoints[0].numpy(), box, model.config.image_size))
    return np.stack(results)


def _left_out(points: np.ndarray, labels: np.ndarray) -> list[float]:
    """Mean distance of each label (n, J, 2) from a ridge of points (n, N, 2), ten frames left out at a time."""
    count, flat = len(labels), points.reshape(len(points), 2 * points.shape[1])
    off: list[list[float]] = [[] for _ in range(labels.shape[1])]
    for draw in range(10):
        for out in np.array_split(np.random.default_rng(draw).permutation(count), max(1, count // 10)):
            kept = np.setdiff1d(np.arange(count), out)
            for point in range(labels.shape[1]):
                known = kept[np.isfinite(labels[kept, point, 0])]
                asked = out[np.isfinite(labels[out, point, 0])]
                guess = _ridge(flat[known], labels[known, point], flat[asked])
                off[point] += list(np.linalg.norm(guess - labels[asked, point], axis=-1))
    return [float(np.mean(some)) for some in off]


def _ridge(inputs: np.ndarray, wanted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    middle, target = inputs.mean(0), wanted.mean(0)
    if not inputs.shape[1]:
        return np.repeat(target[None], len(asked), 0)
    scale = inputs.std(0).mean()
    a, b = (inputs - middle) / scale, (asked - middle) / scale
    return b @ np.linalg.solve(a.T @ a + 0.1 * np.eye(a.shape[1]), a.T @ (wanted - target)) + target


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("birds", "mouse", "wide"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"))
    parser.add_argument("--out", type=Path, default=Path("bench_photographs.json"))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    settings = {}
    for text in options.settings:
        name, _, value = text.partition("=")
        try:
            settings[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name] = value
    began = time.perf_counter()
    rows = {"birds": birds, "mouse": mouse, "wide": wide}[options.what](
        options.source, options.runs, options.seeds, settings
    )
    for row in rows:
        more = "  ".join(f"{name} {value:.3g}" for name, value in row.items() if name not in ("name", "errors"))
        print(f"{row['name']:22}" + "".join(f"{error:8.1f}" for error in row["errors"]) + "  " + more)
    own = [row["errors"] for row in rows if row["name"].startswith("seed")]
    print(f"{'mean of seeds':22}" + "".join(f"{error:8.1f}" for error in np.mean(own, 0)))
    print(f"{time.perf_counter() - began:.0f} s")
    options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
