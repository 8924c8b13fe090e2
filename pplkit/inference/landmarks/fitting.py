"""From a table of labelled points to the landmarks of a run: which images to label, and what the labels say.

The table, `landmarks.csv` in the run folder, begins with image,landmark,x,y. An image is its position in the split, its
line in <split>/sources.txt (or the last part of it, where that is unique), or the path of a picture; x and y are pixels
of the prepared image, 0 = centre of the first. What is not to be seen has no line. Several names of one image are one.
"""

import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError, visible
from pplkit.data.dataset import Dataset, Split
from pplkit.data.images import read_image
from pplkit.data.reader import squared
from pplkit.data.sampling import evenly_spaced
from pplkit.geometry.coordinates import to_unit
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.label_table import read_points
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder, fingerprint

TABLE, MAP = "landmarks.csv", "landmarks.json"
LOOKED_AT = 3000  # images that suggestions are chosen from
UNUSUAL = 0.2  # of them are not suggested: many are mistakes of the model
NOISE = 0.3  # of a labelled coordinate, beside the variance of the keypoints


class Labelled(NamedTuple):
    """n images with J landmarks."""

    images: np.ndarray  # (n, S, S, 3) uint8
    labels: np.ndarray  # (n, J, 2) in [-1, 1], NaN where missing
    names: list[str]


def read_labelled(path: Path, split: Split, size: int) -> Labelled:
    """The images of a table and their labels, in the order in which the table names them.

    Pictures that are named by their path are cropped in the middle. Raises PplkitError, naming the line, for a table
    that is missing or malformed, an image that is not there, and a point that is labelled twice or far outside.
    """
    points = read_points(path, size, _first_names(path, split))
    if not points:
        raise PplkitError(
            f"{path} {'holds no labels' if path.exists() else 'is missing'}: label some images first, by clicks in "
            "notebook 04 or as such a table (`pplkit landmarks RUN --suggest 10` says which)."
        )
    images, names = (list(dict.fromkeys(words)) for words in zip(*points, strict=True))
    labels = np.full((len(images), len(names), 2), np.nan)
    for (image, name), place in points.items():
        labels[images.index(image), names.index(name)] = place
    return Labelled(np.stack([_image(path, name, split, size) for name in images]), to_unit(labels, size), names)


def position(name: str, split: Split) -> int | None:
    """Where in a split the image is that a table calls `name`, 0 to n - 1: a number, a source, the end of one source.

    None for a number beyond the split, the end of several sources, and any other name.
    """
    if _is_number(name):
        return int(name) if int(name) < len(split) else None
    if name in split.sources:
        return split.sources.index(name)
    ends = _ending(name, split)
    return ends[0] if len(ends) == 1 else None


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 20


def _ending(name: str, split: Split) -> list[int]:
    return [index for index, source in enumerate(split.sources) if source.rsplit("/", 1)[-1] == name]


def _first_names(path: Path, split: Split) -> Callable[[str], str]:
    """Gives for each name the one by which the table called the same image first; errors are those of `_meant`."""
    first: dict[int | str, str] = {}
    return cache(lambda name: first.setdefault(_meant(path, name, split), name))


def _meant(path: Path, name: str, split: Split) -> int | str:
    """Which image a name stands for: a position in the split, or the real path of a picture elsewhere.

    Raises PplkitError where there is no such image.
    """
    found = position(name, split)
    if found is not None:
        return found
    if _is_number(name):
        last = len(split) - 1
        raise PplkitError(f"{path} labels image {name}, but split {split.name!r} ends at {last}: correct it.")
    file = _file(path, name)
    if not os.path.isfile(file):  # no error either where there can be no such name
        what = "several sources of" if _ending(name, split) else "neither a position nor a source of"
        raise PplkitError(f"{path} labels {name!r}, which is {what} split {split.name!r} and no file: correct it.")
    return os.path.realpath(file)


def _file(path: Path, name: str) -> Path:
    return path.parent / os.path.expanduser(name)  # Path.expanduser has an error for users that are not there


def _image(path: Path, name: str, split: Split, size: int) -> np.ndarray:
    found = position(name, split)
    if found is not None:
        return np.asarray(split.images[found])
    return squared(read_image(_file(path, name)), size, "centre")[1]


def name_landmarks(model: PosePriorLearner, data: Dataset, path: Path, split: str = "train") -> LandmarkMap:
    """The landmarks of a table of labels on images of a split; errors are those of `read_labelled`.

    Mirrored copies are looked at if training mirrored images.
    """
    known = read_labelled(path, data[split], data.size)
    keypoints = model.estimate(known.images).keypoints.numpy()
    mirrored = model.estimate(known.images[:, :, ::-1]).keypoints.numpy() if model.config.flip else None
    made_by = {**model.made_by, "weights": fingerprint(model), "labels": path.name}
    return fit_landmarks(keypoints, known.labels, known.names, data.size, mirrored, made_by)


def landmarks_of(run: Path, model: PosePriorLearner) -> LandmarkMap:
    """The landmarks of a run folder; raises PplkitError if there are none, or they are of other weights."""
    path = RunFolder(run).path / MAP
    found = LandmarkMap.load(path)
    if found.made_by.get("weights") != fingerprint(model):
        raise PplkitError(f"{path} was fitted before the model changed: run `pplkit landmarks` again.")
    return found


def suggest(model: PosePriorLearner, data: Dataset, count: int, split: str = "train") -> list[int]:
    """Positions of `count` images of a split that it pays most to label, the most telling first; see `telling`."""
    shown = evenly_spaced(data[split], LOOKED_AT)
    return shown[telling(model.estimate(np.asarray(data[split].images[shown])).keypoints.numpy(), count)].tolist()


def telling(keypoints: np.ndarray, count: int) -> list[int]:
    """Which of n images with keypoints (n, N, 2) to label, so that the others are predicted best.

    One after the other, that which lowers the mean variance of a weighted mean of keypoints most over all images, where
    the weights are known from the labels of those before (A-optimal design). The most unusual poses, UNUSUAL of all,
    are not taken. Raises PplkitError for a `count` that is more than there are, or below 1.
    """
    flat = keypoints.reshape(len(keypoints), -1).astype(float)
    flat = flat - flat.mean(0)
    distance = ((flat @ np.linalg.pinv(flat.T @ flat)) * flat).sum(1)
    usual = np.argsort(distance, kind="stable")[: len(flat) - int(UNUSUAL * len(flat))]
    if not 1 <= count <= len(usual):
        raise PplkitError(f"{count} images cannot be suggested of {len(keypoints)}: ask for 1 to {len(usual)}.")
    every = flat.reshape(keypoints.shape).swapaxes(1, 2)  # (n, 2, N)
    spread = np.einsum("nck,ncl->kl", every, every) / len(every)
    known = NOISE * np.trace(spread) / 2 / len(spread) * np.eye(len(spread))
    rows = every[usual]
    chosen: list[int] = []
    for _ in range(count):
        inverse = np.linalg.inv(known)
        seen = rows @ inverse
        gain = np.linalg.inv(np.eye(2) + seen @ rows.swapaxes(1, 2)) @ (seen @ spread @ seen.swapaxes(1, 2))
        gains = np.trace(gain, axis1=1, axis2=2)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        known = known + rows[chosen[-1]].T @ rows[chosen[-1]]
    return usual[chosen].tolist()


def summary(landmarks: LandmarkMap) -> list[str]:
    """Lines of text: each landmark's labels and error beside that of a fixed place, and what of left and right.

    Names are shown as `visible` makes them: a table from elsewhere must not steer the terminal.
    """
    names = [visible(name) for name in landmarks.names]
    width = max(map(len, names))
    rows = zip(names, landmarks.labelled.tolist(), landmarks.error, landmarks.still, strict=True)
    lines = [f"{'':{width}}  images  error  of a fixed place (% of the image side, images left out of the fit)"]
    lines += [f"{name:{width}}  {count:6}  {_percent(error)}  {_percent(still)}" for name, count, error, still in rows]
    means = (float(ridge.mean(part, 0)) for part in (landmarks.error, landmarks.still))
    lines.append(f"{'mean':{width}}  {'':6}  {'  '.join(map(_percent, means))}")
    if landmarks.told is not None:
        kept = "each image tells which" if landmarks.sides is not None else "single images do not tell which"
        lines.append(f"left and right change places in some images: {kept} ({landmarks.told:.0%} of those labelled)")
    return lines


def _percent(share: float) -> str:
    return f"{'-':>5}" if math.isnan(share) else f"{100 * share:5.2f}"
