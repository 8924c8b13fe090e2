"""The landmarks of a run: which images to label, the images and labels of a table, and the fit.

The table, `landmarks.csv` in the run folder, begins with image,landmark,x,y. An image is its position in the split, its
line in <split>/sources.txt (or the last part of it, where that is unique), or the path of an image file; x and y are
pixels of the prepared image, 0 = center of the first. Invisible landmarks have no line. Several names of one image are
read as one image.
"""

import math
import os
from functools import cache
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, Split
from pplkit.data.images import read_image
from pplkit.data.reader import crop_square
from pplkit.data.sampling import evenly_spaced
from pplkit.geometry.coordinates import to_unit
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.label_table import is_table, read_points
from pplkit.inference.landmarks.labeled_files import LabeledImages, read_labeled_files
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import belongs, fingerprint

TABLE, MAP = "landmarks.csv", "landmarks.json"
MAX_CANDIDATES = 3000  # images
OUTLIERS = 0.2  # fraction of the images, with the most unusual poses, that is not suggested: many are mistakes
NOISE = 0.3  # of a labeled coordinate, beside the variance of the keypoints


def read_labels(path: Path, split: Split, size: int) -> LabeledImages:
    """The images of a table and their labels, in the order of the table; image files are cropped to their center.

    Raises PplkitError, naming the line, for a missing or malformed table, an image that does not exist, and a point
    that is labeled twice or far outside the image.
    """
    first_names: dict[int | str, str] = {}
    points = read_points(path, size, cache(lambda name: first_names.setdefault(_find(path, name, split), name)))
    if not points:
        raise PplkitError(
            f"{path} {'holds no labels' if path.exists() else 'is missing'}: label some images first, by clicks in "
            "notebook 04 or as such a table (`pplkit landmarks RUN --suggest 10` says which)."
        )
    images, names = (list(dict.fromkeys(words)) for words in zip(*points, strict=True))
    labels = np.full((len(images), len(names), 2), np.nan)
    for (image, name), point in points.items():
        labels[images.index(image), names.index(name)] = point
    pixels = [_pixels(_find(path, image, split), split, size) for image in images]
    return LabeledImages(np.stack(pixels), to_unit(labels, size), names)


def find_image(name: str, split: Split) -> int | None:
    """The position of an image in a split by the name that a table gives it: a position, a source, the end of a source.

    None for a position beyond the split, the end of several sources, and any other name.
    """
    if _is_number(name):
        return int(name) if int(name) < len(split) else None
    if name in split.sources:
        return split.sources.index(name)
    ends = [index for index, source in enumerate(split.sources) if source.rsplit("/", 1)[-1] == name]
    return ends[0] if len(ends) == 1 else None


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 20


def _find(path: Path, name: str, split: Split) -> int | str:
    """The image that a name stands for: a position in the split, or the real path of an image file.

    Raises PplkitError if there is no such image.
    """
    position = find_image(name, split)
    if position is not None:
        return position
    if _is_number(name):
        last = len(split) - 1
        raise PplkitError(f"{path} labels image {name}, but split {split.name!r} ends at {last}: correct it.")
    file = path.parent / os.path.expanduser(name)
    if not os.path.isfile(file):
        raise PplkitError(
            f"{path} labels {name!r}, which is neither a position nor the name of one source of split {split.name!r} "
            "nor an image file: correct it."
        )
    return os.path.realpath(file)


def _pixels(image: int | str, split: Split, size: int) -> np.ndarray:
    """The pixels (S, S, 3) of what `_find` returns."""
    if isinstance(image, int):
        return np.asarray(split.images[image])
    return crop_square(read_image(Path(image)), size, "center")[1]


def name_landmarks(model: PosePriorLearner, data: Dataset, path: Path, split: str = "train") -> LandmarkMap:
    """Fit the landmarks of a table of labels on images of a split, or of labels that another tool wrote on image files.

    For errors see `read_labels` and `read_labeled_files`.
    Mirrored copies are fitted as well if training mirrored images.
    """
    labeled = labeled_images(data, path, split)
    keypoints = model.estimate(labeled.images).keypoints.numpy()
    mirrored = model.estimate(labeled.images[:, :, ::-1]).keypoints.numpy() if model.config.flip else None
    made_by = {**model.made_by, "weights": fingerprint(model), "labels": path.name}
    return fit_landmarks(keypoints, labeled.labels, labeled.names, data.size, mirrored, made_by)


def labeled_images(data: Dataset, path: Path, split: str = "train") -> LabeledImages:
    """The images and labels of a table, or of labels that another tool wrote on image files.

    For errors see `read_labels` and `read_labeled_files`.
    """
    if path.is_dir() or (path.is_file() and not is_table(path)):
        return read_labeled_files(path, data.size, str(data.options.get("crop", "center")))
    return read_labels(path, data[split], data.size)


def load_landmarks(run: Path, model: PosePriorLearner, path: Path | None = None) -> LandmarkMap:
    """The landmarks of a run folder, or of a file that was kept elsewhere.

    Raises PplkitError if there are none, or they belong to other weights.
    """
    path = RunFolder(run).path / MAP if path is None else path
    landmarks = LandmarkMap.load(path)
    if not belongs(landmarks.made_by.get("weights"), model):
        raise PplkitError(f"{path} was fitted before the model changed: run `pplkit landmarks` again.")
    return landmarks


def suggest(model: PosePriorLearner, data: Dataset, count: int, split: str = "train") -> list[int]:
    """Positions of the `count` most informative images of a split to label, best first; see `most_informative`."""
    candidates = evenly_spaced(data[split], MAX_CANDIDATES)
    keypoints = model.estimate(np.asarray(data[split].images[candidates])).keypoints.numpy()
    return candidates[most_informative(keypoints, count)].tolist()


def most_informative(keypoints: np.ndarray, count: int) -> list[int]:
    """Which of n images with keypoints (n, N, 2) to label, so that the others are predicted best.

    Each image in turn is the one that most lowers the mean variance, over all images, of a weighted mean of keypoints
    with weights known from the labels so far (A-optimal design). The fraction OUTLIERS of the images with the most
    unusual poses is left out. Raises PplkitError if `count` is below 1 or above the number of images left.
    """
    flat = keypoints.reshape(len(keypoints), -1).astype(float)
    flat = flat - flat.mean(0)
    distance = ((flat @ np.linalg.pinv(flat.T @ flat)) * flat).sum(1)
    candidates = np.argsort(distance, kind="stable")[: len(flat) - int(OUTLIERS * len(flat))]
    if not 1 <= count <= len(candidates):
        raise PplkitError(f"{count} images cannot be suggested of {len(keypoints)}: ask for 1 to {len(candidates)}.")
    poses = flat.reshape(keypoints.shape).swapaxes(1, 2)  # (n, 2, N)
    covariance = np.einsum("nck,ncl->kl", poses, poses) / len(poses)
    information = NOISE * np.trace(covariance) / 2 / len(covariance) * np.eye(len(covariance))
    rows = poses[candidates]
    chosen: list[int] = []
    for _ in range(count):
        seen = rows @ np.linalg.inv(information)
        gain = np.linalg.inv(np.eye(2) + seen @ rows.swapaxes(1, 2)) @ (seen @ covariance @ seen.swapaxes(1, 2))
        gains = np.trace(gain, axis1=1, axis2=2)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        information = information + rows[chosen[-1]].T @ rows[chosen[-1]]
    return candidates[chosen].tolist()


def summary(landmarks: LandmarkMap) -> list[str]:
    """Lines of text: each landmark's number of labels, error and baseline error, and how left and right are decided."""
    names = landmarks.names
    width = max(map(len, names))
    rows = zip(names, landmarks.label_counts.tolist(), landmarks.error, landmarks.baseline_error, strict=True)
    lines = [f"{'':{width}}  images  error  of a fixed place (% of the image side, images left out of the fit)"]
    lines += [f"{name:{width}}  {count:6}  {_percent(error)}  {_percent(fixed)}" for name, count, error, fixed in rows]
    means = (float(ridge.mean(errors, 0)) for errors in (landmarks.error, landmarks.baseline_error))
    lines.append(f"{'mean':{width}}  {'':6}  {'  '.join(map(_percent, means))}")
    if landmarks.side_accuracy is not None:
        which = "each image tells which" if landmarks.sides is not None else "single images do not tell which"
        lines.append(
            f"left and right change places in some images: {which} ({landmarks.side_accuracy:.0%} of those labeled)"
        )
    return lines


def _percent(fraction: float) -> str:
    return f"{'-':>5}" if math.isnan(fraction) else f"{100 * fraction:5.2f}"
