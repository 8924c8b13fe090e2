"""2D keypoints of a person from files and arrays: whatever a detector wrote, as `Keypoints`."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import MAX_TABLE_BYTES, check_file, read_text
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.inference.lifting.detector_files import confidence_of, read_detector_json
from pplkit.inference.lifting.people import Detection, Keypoints, one_person

KINDS = (
    "a .json of COCO results, AlphaPose, OpenPose or MMPose, OpenPose's folder, a .csv with frame, keypoint, x, y, "
    "confidence, or an .npz with keypoints"
)
COLUMNS = {  # of tables, and what they are called
    "frame": ("frame", "image", "file", "frame_id", "image_id"),
    "keypoint": ("keypoint", "joint", "name", "landmark", "bodypart"),
    "confidence": ("confidence", "score", "likelihood", "visible"),
    "person": ("person", "track_id", "person_id", "id"),
    "seconds": ("seconds", "time"),
}
SCORES = ("confidence", "score", "c")  # endings of a column for a point's confidence, beside NAME_x and NAME_y


def read_keypoints(path: str | os.PathLike[str], person: str | int | None = None) -> Keypoints:
    """The keypoints of one person in a file or folder of one of KINDS.

    Raises PplkitError for a file that is missing, damaged or of no known kind, and for several people without `person`.
    """
    path = Path(path)
    if not path.exists():
        raise PplkitError(f"{path} does not exist: give {KINDS}.")
    if path.is_dir() or path.suffix.lower() == ".json":
        detected = read_detector_json(path)
        points, confidence = one_person(detected.detections, str(path), person)
        return Keypoints(
            points=points, confidence=confidence, source=str(path), names=detected.names, size=detected.size
        )
    readers = {".csv": _csv, ".npz": _numpy, ".npy": _numpy}
    if path.suffix.lower() not in readers:
        raise PplkitError(f"{path} is no file of keypoints by its ending: give {KINDS}.")
    return readers[path.suffix.lower()](path, person)


def keypoints_from_array(
    values: Any, confidence: Any = None, source: str = "the array", person: str | int | None = None
) -> Keypoints:
    """Keypoints of an array: (T, K, 2) or one image's (K, 2) pixels, or with the confidence as a third number.

    An array (T, P, K, ...) has P people, numbered from 1. A point that is NaN, has confidence 0, or without any
    confidence lies at exactly (0, 0), is missing. Raises PplkitError for other shapes and for several people without
    `person`.
    """
    try:
        points = np.asarray(values, float)
        sure = None if confidence is None else np.asarray(confidence, float)
    except (ValueError, TypeError) as error:
        raise PplkitError(f"{source} holds no numbers ({reason(error)}): give keypoints (frames, points, 2).") from None
    if points.ndim == 2:
        points, sure = points[None], None if sure is None else sure.reshape(1, -1)
    if points.ndim not in (3, 4) or points.shape[-1] not in (2, 3) or not points.size:
        raise PplkitError(f"{source} has the shape {points.shape}: give keypoints (frames, points, 2 or 3).")
    if sure is None and points.shape[-1] == 3:
        sure = points[..., 2]
    points = points[..., :2]
    if sure is None:
        sure = (points != 0).any(-1).astype(float)
    if sure.shape != points.shape[:-1]:
        raise PplkitError(f"confidence has the shape {sure.shape}: give {points.shape[:-1]}, one number a point.")
    if points.ndim == 4:
        detections = [
            Detection(frame, str(number + 1), points[frame, number], confidence_of(sure[frame, number]))
            for frame in range(len(points))
            for number in range(points.shape[1])
        ]
        points, sure = one_person(detections, source, person)
    return Keypoints(points=points, confidence=confidence_of(sure), source=source)


def keypoints_from_sequence(sequence: PoseSequence) -> Keypoints:
    """Keypoints of a 2D pose sequence. Raises PplkitError for a 3D one."""
    name = sequence.source or "the sequence"
    if sequence.points.shape[-1] != 2:
        raise PplkitError(f"{name} is 3D already: give 2D keypoints in pixels.")
    return Keypoints(
        points=sequence.points.astype(float), confidence=sequence.weight.astype(float), source=name,
        names=sequence.skeleton.joints, fps=sequence.fps, size=sequence.size,
    )  # fmt: skip


def _numpy(path: Path, person: str | int | None) -> Keypoints:
    """An array, a pose sequence, or arrays `keypoints` and perhaps `confidence`, `names`, `fps`, `size`."""
    check_file(path, f"give {KINDS}")
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            return keypoints_from_array(file, None, str(path), person)
        with file:
            content = dict(file)
    except PplkitError:
        raise
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise PplkitError(f"{path} cannot be read ({reason(error)}): give {KINDS}.") from None
    if {"schema", "points", "space"} <= content.keys():
        return keypoints_from_sequence(read_sequence(path))
    name = next((name for name in ("keypoints", "points", "arr_0") if name in content), None)
    if name is None:
        raise PplkitError(f"{path} has no array called keypoints, only {', '.join(content)}: give {KINDS}.")
    keypoints = keypoints_from_array(content[name], content.get("confidence", content.get("scores")), str(path), person)
    names = content.get("names", content.get("joints"))
    try:
        return Keypoints(
            points=keypoints.points, confidence=keypoints.confidence, source=keypoints.source,
            names=None if names is None else tuple(map(str, names)),
            fps=float(content["fps"]) if "fps" in content else None,
            size=(int(content["size"][0]), int(content["size"][1])) if "size" in content else None,
        )  # fmt: skip
    except (ValueError, TypeError, IndexError) as error:
        raise PplkitError(f"{path} has fps or size that are not numbers ({reason(error)}).") from None


def _csv(path: Path, person: str | int | None) -> Keypoints:
    """A table with a line for each point, as `pplkit track` and `estimate` write it, or a line for each frame."""
    text = read_text(path, f"give {KINDS}", MAX_TABLE_BYTES)
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    head = [cell.strip() for cell in rows[0]] if rows else []
    try:
        columns = {
            column: next((head.index(name) for name in names if name in head), None)
            for column, names in COLUMNS.items()
        }
        if columns["keypoint"] is not None and {"x", "y"} <= set(head):
            return _long_table(path, head, rows[1:], columns, person)
        if any(name.endswith("_x") for name in head):
            return _wide_table(path, head, rows[1:], columns, person)
    except (ValueError, IndexError) as error:
        raise PplkitError(f"{path} is not a whole table ({reason(error)}): give {KINDS}.") from None
    raise PplkitError(f"{path} needs a first line frame,keypoint,x,y,confidence (or frame,nose_x,nose_y,…): add it.")


def _number(text: str) -> float:
    return float(text) if text.strip() else float("nan")


def _long_table(
    path: Path, head: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, int | None], person: Any
) -> Keypoints:
    names = list(dict.fromkeys(row[columns["keypoint"] or 0] for row in rows))
    index = {name: number for number, name in enumerate(names)}
    poses: dict[tuple[str, str | None], np.ndarray] = {}
    seconds: dict[str, float] = {}
    files = {row[head.index("file")] for row in rows} if {"file", "frame"} <= set(head) else set()
    of_images = bool(files) and not any(row[head.index("frame")].strip() for row in rows)
    if len(files) > 1 and not of_images:
        raise PplkitError(f"{path} holds poses of several videos: lift one at a time.")
    frame_column = head.index("file") if of_images else columns["frame"]
    x, y, sure, who = head.index("x"), head.index("y"), columns["confidence"], columns["person"]
    for row in rows:
        frame = row[frame_column] if frame_column is not None else "0"
        pose = poses.setdefault((frame, row[who] if who is not None else None), np.full((len(names), 3), np.nan))
        pose[index[row[columns["keypoint"] or 0]]] = _number(row[x]), _number(row[y]), _number(row[sure]) if sure else 1
        if columns["seconds"] is not None:
            seconds[frame] = _number(row[columns["seconds"]])
    numbers = _frame_numbers([frame for frame, _ in poses])
    detections = [
        Detection(number, who_is, pose[:, :2], confidence_of(pose[:, 2]))
        for number, ((_, who_is), pose) in zip(numbers, poses.items(), strict=True)
    ]
    points, confidence = one_person(detections, str(path), person)
    times = np.array(list(seconds.values()))
    times_or_none = times if len(times) == len(points) and (np.diff(times) > 0).all() and len(times) > 1 else None
    named = None if all(name.isdigit() for name in names) else tuple(names)
    return Keypoints(
        points=points, confidence=confidence, source=str(path), names=named, seconds=times_or_none,
        fps=None if times_or_none is None else float(1 / np.median(np.diff(times_or_none))),
    )  # fmt: skip


def _wide_table(
    path: Path, head: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, int | None], person: Any
) -> Keypoints:
    names = [name.removesuffix("_x") for name in head if name.endswith("_x")]
    places = [[head.index(f"{name}_x"), head.index(f"{name}_y")] for name in names]
    scores = [
        next((head.index(f"{name}_{ending}") for ending in SCORES if f"{name}_{ending}" in head), None)
        for name in names
    ]
    frame_column, who = columns["frame"], columns["person"]
    frames = [row[frame_column] if frame_column is not None else str(number) for number, row in enumerate(rows)]
    detections = []
    for number, row in zip(_frame_numbers(frames), rows, strict=True):
        points = np.array([[_number(row[x]), _number(row[y])] for x, y in places])
        sure = confidence_of([1.0 if score is None else _number(row[score]) for score in scores])
        detections.append(Detection(number, row[who] if who is not None else None, points, sure))
    points, confidence = one_person(detections, str(path), person)
    return Keypoints(points=points, confidence=confidence, source=str(path), names=tuple(names))


def _frame_numbers(frames: Sequence[str]) -> list[int]:
    """Numbers of frames as they are; other names by their order."""
    if all(frame.strip().isdigit() for frame in frames):
        return [int(frame) for frame in frames]
    order = {frame: number for number, frame in enumerate(dict.fromkeys(frames))}
    return [order[frame] for frame in frames]
