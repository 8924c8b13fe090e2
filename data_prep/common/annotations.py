"""Labels of pictures from one file: COCO keypoints (.json) or a table `file,name,x,y,visible` (.csv).

Pixel coordinates count from 0 = centre of the first pixel, in the picture as it is shown (turned as its EXIF says);
COCO's bbox (left, top, width, height) counts from the picture's left upper corner.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import MAX_TABLE_BYTES, read_json, read_text
from pplkit.data.crops import Box, around

FAR = 1e7  # pixels
POINTS = 1000  # names of keypoints
TOGETHER = 20_000_000  # names times files of a table: each file has room for all


class Label(NamedTuple):
    """One object in a picture."""

    points: np.ndarray  # (J, 2) pixels, NaN = unlabelled
    visible: np.ndarray  # (J,) bool
    box: Box | None  # as given, None where only the points are


class Labels(NamedTuple):
    """All that a file of labels says; `faults` are files whose labels cannot be used, and why."""

    names: list[str]
    skeleton: list[tuple[int, int]]
    objects: dict[str, list[Label]]  # file as written there -> its objects, an empty list where there is none
    faults: dict[str, str]


def read_labels(path: Path) -> Labels:
    """The labels of a .json or .csv file.

    Raises PplkitError for a file that is missing, damaged or without any label; what is wrong with a single picture's
    labels is a fault of that picture.
    """
    if not path.is_file():
        raise PplkitError(f"there is no file {path}; give labels the path of a .json or .csv file")
    if path.suffix.lower() not in (".json", ".csv"):
        raise PplkitError(f"{path} is neither .json (COCO keypoints) nor .csv (file,name,x,y,visible); convert it")
    return _coco(path) if path.suffix.lower() == ".json" else _table(path)


def _coco(path: Path) -> Labels:
    content = read_json(path, "give COCO keypoints, or save it as UTF-8", MAX_TABLE_BYTES)
    try:
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        named = {kind["id"]: kind for kind in content["categories"] if kind.get("keypoints")}
        notes = [note for note in content["annotations"] if not note.get("iscrowd")]
        annotations = [(note["image_id"], note, note.get("category_id") in named) for note in notes]
        hash(tuple(image for image, _, _ in annotations))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PplkitError(
            f"{path} is not COCO keypoints ({type(error).__name__}: {error}); it needs images, annotations, categories"
        ) from error
    kinds = list(named.values())
    if not kinds or any(kind["keypoints"] != kinds[0]["keypoints"] for kind in kinds):
        raise PplkitError(f"{path} has {len(kinds)} categories with keypoints that differ; leave one kind of them")
    names = kinds[0]["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > POINTS:
        raise PplkitError(f"{path} has keypoints that are no list of at most {POINTS} names; correct it")
    objects: dict[str, list[Label]] = {name: [] for name in files.values()}
    listed = Counter(str(image["file_name"]) for image in content["images"])
    faults = {name: f"{path} lists {name} twice; leave one" for name, count in listed.items() if count > 1}
    for image, note, wanted in annotations:
        name = files.get(image, f"image {image}")
        if name.startswith("image ") and image not in files:
            faults[name] = f"{path} labels image {image}, which is not among its images; add or remove it"
        elif wanted:
            try:
                objects[name].append(_annotation(note, len(names)))
            except (ValueError, TypeError, OverflowError) as error:
                faults[name] = f"{path} has a wrong annotation {note.get('id')} of {name} ({error}); correct it"
    return Labels(names, _skeleton(path, kinds[0], len(names)), objects, faults)


def _skeleton(path: Path, kind: Mapping[str, Any], count: int) -> list[tuple[int, int]]:
    try:
        links = [(int(a) - 1, int(b) - 1) for a, b in kind.get("skeleton") or ()]
    except (ValueError, TypeError, OverflowError) as error:
        raise PplkitError(f"{path} has a skeleton that is not pairs of numbers ({error}); correct it") from error
    if any(not 0 <= end < count for link in links for end in link):
        raise PplkitError(f"{path} has a skeleton that leaves 1 to {count}; COCO counts keypoints from 1, correct it")
    return links


def _annotation(note: Mapping[str, Any], count: int) -> Label:
    values = np.asarray(note.get("keypoints", ()), dtype=np.float64)
    if values.shape != (3 * count,):
        raise ValueError(f"{values.size} numbers in keypoints, not 3 x {count}")
    points, seen = values.reshape(count, 3)[:, :2], values[2::3]
    if not np.isin(seen, (0, 1, 2)).all():
        raise ValueError("visibility other than 0, 1 and 2")
    if not np.isfinite(points[seen > 0]).all():
        raise ValueError("a labelled keypoint is not a number")
    box = None
    if note.get("bbox") is not None:
        left, top, width, height = (float(value) for value in note["bbox"])
        if not (max(abs(left), abs(top)) < FAR and 0 < width < FAR and 0 < height < FAR):
            raise ValueError("a bbox without an area, or far away")
        box = (left, top, left + width, top + height)
    return Label(np.where(seen[:, None] > 0, points, np.nan), seen == 2, box)


def _table(path: Path) -> Labels:
    text = read_text(path, "save it as UTF-8", MAX_TABLE_BYTES)
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise PplkitError(f"{path} is no table of CSV ({error}); its lines must be file,name,x,y,visible") from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if header != ["file", "name", "x", "y", "visible"]:
        raise PplkitError(f"{path} begins with {','.join(header)!r}; its first line must be file,name,x,y,visible")
    cells = [(number, [cell.strip() for cell in row]) for number, row in enumerate(rows[1:], start=2) if any(row)]
    for number, row in cells:
        if len(row) != len(header) or not row[0] or not row[1]:
            raise PplkitError(f"{path} has {len(row)} columns in line {number} or lacks file or name; give all 5")
    if not cells:
        raise PplkitError(f"{path} holds no label; add lines file,name,x,y,visible")
    names = list(dict.fromkeys(row[1] for _, row in cells))
    if len(names) > POINTS or len(names) * len({row[0] for _, row in cells}) > TOGETHER:
        raise PplkitError(f"{path} has {len(names)} names, or too many files for so many; leave {POINTS} at most")
    found: dict[str, dict[str, tuple[float, float] | None]] = {}
    faults: dict[str, str] = {}
    for number, (file, name, *values) in cells:
        points = found.setdefault(file, {})
        try:
            if name in points:
                raise ValueError(f"{name} a second time")
            points[name] = _point(values)
        except ValueError as error:
            faults[file] = f"{path} has a wrong line {number} for {file} ({error}); correct it"
    return Labels(names, [], {file: [_label(names, points)] for file, points in found.items()}, faults)


def _point(values: Sequence[str]) -> tuple[float, float] | None:
    if values[2].lower() not in ("0", "1", "false", "true"):
        raise ValueError(f"visible is {values[2]!r}, neither 0 nor 1")
    if values[2].lower() in ("0", "false"):
        return None
    x, y = float(values[0]), float(values[1])
    if not np.isfinite((x, y)).all():
        raise ValueError(f"({values[0]}, {values[1]}) are not numbers")
    return x, y


def _label(names: Sequence[str], found: Mapping[str, tuple[float, float] | None]) -> Label:
    points = np.array([found.get(name) or (np.nan, np.nan) for name in names])
    return Label(points, np.isfinite(points).all(1), None)


def matched(labels: Labels, names: Sequence[str]) -> tuple[dict[str, list[Label]], dict[str, str]]:
    """The labels and faults of each picture by its name here; labels of no picture are a fault of their own."""
    by_path = {name: [name] for name in names}
    by_last: dict[str, list[str]] = {}
    for name in names:
        by_last.setdefault(name.rpartition("/")[2], []).append(name)
    objects: dict[str, list[Label]] = {}
    faults: dict[str, str] = {}
    for written in [*labels.objects, *(name for name in labels.faults if name not in labels.objects)]:
        key = written.replace("\\", "/").removeprefix("./")
        found = by_path.get(key) or by_last.get(key.rpartition("/")[2], [])
        if written in labels.faults:
            faults[found[0] if len(found) == 1 else written] = labels.faults[written]
        elif not found:
            faults[written] = f"the labels name {written}, which is not among the pictures; add it or remove its labels"
        elif len(found) > 1:
            faults[written] = f"the labels name {written}, but {found[0]} and {found[1]} are called so; write the path"
        elif found[0] in objects:
            faults[found[0]] = f"the labels name {found[0]} in two ways; write it in one"
        else:
            objects[found[0]] = labels.objects[written]
    return objects, faults


def area(label: Label) -> float:
    """Square pixels of what `extent` gives without margin; 0 where that is nothing."""
    box = extent(label, 0)
    return 0.0 if box is None else (box[2] - box[0]) * (box[3] - box[1])


def extent(label: Label, margin: float) -> Box | None:
    """The square around the bbox or else the labelled points, with `margin` of its side on each side; None without."""
    if label.box is not None:
        corners = np.array(label.box).reshape(2, 2) - 0.5  # edges as centres, as `around` takes them
        return around(corners, margin)
    return around(label.points, margin) if np.isfinite(label.points).any() else None


def check_inside(path: Path, label: Label, width: int, height: int) -> None:
    """Raise PplkitError for a label outside of its picture."""
    low, high = np.array([-1.0, -1.0]), np.array([width, height])  # half a pixel beyond the border is let pass
    beyond = np.flatnonzero(((label.points < low) | (label.points > high)).any(1))
    if len(beyond):
        x, y = label.points[beyond[0]]
        raise PplkitError(f"{path} has a label at ({x:g}, {y:g}), outside its {width} x {height} pixels; correct it")
    box = label.box
    if box is not None and (box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0):
        raise PplkitError(f"{path} has a bbox outside its {width} x {height} pixels; correct it")
