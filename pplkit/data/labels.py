"""Labels of images: what a file of labels says, which image each label belongs to, and the square around an object.

Pixel coordinates count from 0 = center of the first pixel, in the image as it is shown (turned as its EXIF says).
`label_readers` reads the files.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.crops import Box, around

Faults = dict[str, str]
"""File to the reason why its labels cannot be used"""


class Label(NamedTuple):
    """One object in an image."""

    points: np.ndarray  # (J, 2) pixels, NaN = unlabeled
    visible: np.ndarray  # (J,) bool
    box: Box | None  # as given, None where only the points are


@dataclass
class Labels:
    """All that a file of labels says."""

    path: Path
    names: list[str]
    skeleton: list[tuple[int, int]]
    objects: dict[str, list[Label]]  # file as written there to its objects, an empty list where there is none
    faults: Faults = field(default_factory=dict)
    folder: str = "."  # from that of the file, to which the names are relative

    @property
    def fractions(self) -> bool:
        """Whether the points are fractions of the image's sides: all lie within 0 and 1, and not all are whole."""
        points = [label.points for labels in self.objects.values() for label in labels]
        values = np.concatenate(points)[np.isfinite(np.concatenate(points))] if points else np.empty(0)
        return bool(len(values) and ((values >= 0) & (values <= 1)).all() and (values % 1).any())


def frame_name(file: str, number: int) -> str:
    """The name of an image of a file with several, or of a video, counted from 0."""
    return f"{file} frame {number}"


def visible_label(points: np.ndarray) -> Label:
    """Points (J, 2), all of which are visible but those that are NaN."""
    return Label(points, np.asarray(np.isfinite(points).all(1)), None)


def named_label(names: Sequence[str], by_name: Mapping[str, tuple[float, float]]) -> Label:
    """An object by the points of its keypoints; those that are missing or NaN are unlabeled."""
    points = np.array([by_name.get(name, (np.nan, np.nan)) for name in names], np.float64).reshape(-1, 2)
    return visible_label(points)


def file_and_number(image: str) -> tuple[str, int]:
    """The file and the number that a `frame_name` says; the name itself and 0 for any other."""
    match = re.fullmatch(r"(.+) frame (\d+)", image, re.DOTALL)
    return (match[1], int(match[2])) if match else (image, 0)


def in_pixels(label: Label, width: int, height: int) -> Label:
    """A label given in fractions of the image's sides, in pixels."""
    sides = np.array([width, height])
    box = None if label.box is None else tuple((np.array(label.box).reshape(2, 2) * sides).ravel().tolist())
    return Label(label.points * sides - 0.5, label.visible, box)


def match(labels: Labels, images: Sequence[str]) -> tuple[dict[str, list[Label]], Faults]:
    """Objects and faults of each image by its name, a path with /; labels of no image are a fault of their own.

    A file is written as the path of an image, or with more or fewer folders before it, where that names one image.
    Composed and decomposed Unicode are the same. Raises PplkitError if no file of the labels is an image.
    """
    by_path = {_key(name): name for name in images}
    by_last: dict[str, list[str]] = {}
    for name in images:
        by_last.setdefault(_key(name).rpartition("/")[2], []).append(name)
    objects: dict[str, list[Label]] = {}
    faults: Faults = {}
    matched = 0
    for written in dict.fromkeys([*labels.objects, *labels.faults]):
        names = _named(_key(written), by_path, by_last)
        matched += bool(names)
        if written in labels.faults:
            faults[names[0] if len(names) == 1 else written] = labels.faults[written]
        elif not names:
            hint = _hint(written, by_path)
            faults[written] = f"the labels name {written}, which is not among the images{hint}; add it or its labels go"
        elif len(names) > 1:
            faults[written] = f"the labels name {written}, but {names[0]} and {names[1]} are called so; write the path"
        elif names[0] in objects:
            faults[names[0]] = f"the labels name {names[0]} in two ways; write it in one"
        else:
            objects[names[0]] = labels.objects[written]
    if not matched and labels.objects and images:
        example = next(iter(labels.objects))
        raise PplkitError(
            f"{labels.path} labels {len(labels.objects)} files such as {example!r}, and none of them is among the "
            f"{len(images)} images, such as {images[0]!r}{_hint(example, by_path)}: write the images' names"
        )
    return objects, faults


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def _named(key: str, by_path: dict[str, str], by_last: dict[str, list[str]]) -> list[str]:
    """The images that a file of the labels may be."""
    parts = key.split("/")
    for start in range(max(1, len(parts) - 1)):
        if name := by_path.get("/".join(parts[start:])):
            return [name]
    names = by_last.get(parts[-1], [])
    return [name for name in names if _key(name).endswith("/" + key)] or names


def _hint(written: str, by_path: dict[str, str]) -> str:
    """Why a file of the labels is probably none of the images."""
    last = _key(written).rpartition("/")[2]
    lasts = {key.rpartition("/")[2]: key for key in by_path}
    for name in lasts:
        if name.lower() == last.lower():
            return f" ({lasts[name]} differs from it in upper and lower case alone)"
        if last.endswith(("-" + name, "_" + name)):
            return f" (Label Studio and other tools put {last.removesuffix(name)!r} before the name {name!r})"
        if name.rpartition(".")[0] == last.rpartition(".")[0]:
            return f" ({lasts[name]} has another ending)"
    return ""


def area(label: Label) -> float:
    """Square pixels of what `extent` gives without margin; 0 where there is nothing."""
    box = extent(label, 0)
    return 0.0 if box is None else (box[2] - box[0]) * (box[3] - box[1])


def extent(label: Label, margin: float) -> Box | None:
    """The square around the box or else the labeled points, with `margin` of its side on each side; None without."""
    if label.box is not None:
        corners = np.array(label.box).reshape(2, 2) - 0.5  # edges as centers, as `around` takes them
        return around(corners, margin)
    return around(label.points, margin) if np.isfinite(label.points).any() else None


def check_inside(path: Path, label: Label, width: int, height: int) -> None:
    """Raise PplkitError for a label outside its image."""
    low, high = np.array([-1.0, -1.0]), np.array([width, height])  # half a pixel beyond the border is accepted
    outside = np.flatnonzero(((label.points < low) | (label.points > high)).any(1))
    if len(outside):
        x, y = label.points[outside[0]]
        raise PplkitError(f"{path} has a label at ({x:g}, {y:g}), outside its {width} x {height} pixels; correct it")
    box = label.box
    if box is not None and (box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0):
        raise PplkitError(f"{path} has a bbox outside its {width} x {height} pixels; correct it")
