"""JSON files of detectors: COCO results and annotations, AlphaPose, OpenPose, MMPose, and poses that the kit wrote."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import MAX_TABLE_BYTES, parse_json, read_text
from pplkit.data.skeletons import BODY25
from pplkit.inference.lifting.people import Detection

REMEDY = "give keypoints as COCO results, AlphaPose, OpenPose, MMPose or `pplkit estimate --named` write them"
SPARSE = 10  # image numbers for each image, above which the numbers are no frames


class Found(NamedTuple):
    """What a file says."""

    detections: list[Detection]
    names: tuple[str, ...] | None = None  # of the points
    size: tuple[int, int] | None = None  # of the images


def read_detector_json(path: Path) -> Found:
    """The detections of a JSON file, or of a folder of OpenPose's. Raises PplkitError, naming the file, for others."""
    if path.is_dir():
        return _openpose_folder(path)
    try:
        content = parse_json(read_text(path, REMEDY, MAX_TABLE_BYTES))
    except ValueError as error:
        raise PplkitError(f"{path} is not valid JSON ({error}): {REMEDY}.") from None
    try:
        recognized = _recognized(content)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise PplkitError(f"{path} holds keypoints in no known form ({reason(error)}): {REMEDY}.") from None
    return recognized


def _recognized(content: Any) -> Found:
    if isinstance(content, list) and content and "image_id" in content[0]:
        return Found(_coco_results(content))
    if isinstance(content, list):
        return Found([_mmpose_person(0, person) for person in content])
    if "instance_info" in content:
        return _mmpose(content)
    if "people" in content:
        return _openpose([content])
    if "annotations" in content:
        return _coco_annotations(content)
    if "images" in content:
        return _kit_poses(content)
    raise KeyError("none of instance_info, people, annotations and images")


def confidence_of(confidence: Any) -> np.ndarray:
    """Confidence as numbers from 0 to 1: heat maps may exceed 1, and what is below 0 or no number is missing."""
    return np.clip(np.nan_to_num(np.asarray(confidence, float)), 0, 1)


def _triples(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Points (K, 2) and confidence (K,) of a list x, y, confidence, x, …; raises ValueError for another length."""
    table = np.asarray(values, float).reshape(-1, 3)
    return table[:, :2], confidence_of(table[:, 2])


def _frames(images: Sequence[Any]) -> list[int]:
    """The frame of each image: the last number in its name, with common steps taken out; else by its appearance."""
    unique = list(dict.fromkeys(images))
    numbers = [image if isinstance(image, int) else _last_number(str(image)) for image in unique]
    known = [number for number in numbers if number is not None]
    spread = max(known) - min(known) if known else 0
    step = gcd(*(number - min(known) for number in known)) if known else 1
    if len(set(known)) < len(unique) or spread // max(step, 1) > SPARSE * len(unique):
        order = {image: number for number, image in enumerate(unique)}
    else:
        order = {
            image: number // max(step, 1) for image, number in zip(unique, (n - min(known) for n in known), strict=True)
        }
    return [order[image] for image in images]


def _last_number(name: str) -> int | None:
    digits = re.findall(r"\d+", Path(name).stem)
    return int(digits[-1]) if digits else None


def _person(record: Mapping[str, Any]) -> str | None:
    """The number that a tracker gave, in one of the usual fields."""
    for name in ("track_id", "instance_id", "idx", "person_id"):
        value = record.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int | float) and value >= 0:
            return str(int(value))
        if isinstance(value, str) and value:
            return value
    return None


def _coco_results(records: Sequence[Mapping[str, Any]]) -> list[Detection]:
    frames = _frames([record["image_id"] for record in records])
    return [
        Detection(frame, _person(record), *_triples(record["keypoints"]))
        for frame, record in zip(frames, records, strict=True)
    ]


def _coco_annotations(content: Mapping[str, Any]) -> Found:
    """COCO annotations; a flag of 1 or 2 counts as seen, unless `keypoint_scores` say more, as the kit writes them."""
    images = {image["id"]: image for image in content["images"]}
    notes = [note for note in content["annotations"] if note.get("keypoints")]
    frames = _frames([images[note["image_id"]].get("file_name", note["image_id"]) for note in notes])
    detections = []
    for frame, note in zip(frames, notes, strict=True):
        points, flags = _triples(note["keypoints"])
        scores = confidence_of(note.get("keypoint_scores", flags))
        detections.append(Detection(frame, _person(note), points, np.where(flags > 0, scores, 0)))
    kinds = [kind["keypoints"] for kind in content.get("categories", ()) if kind.get("keypoints")]
    names = tuple(kinds[0]) if kinds and all(kind == kinds[0] for kind in kinds) else None
    return Found(detections, names, _one_size((image.get("width"), image.get("height")) for image in images.values()))


def _mmpose(content: Mapping[str, Any]) -> Found:
    detections = [
        _mmpose_person(int(frame["frame_id"]), person)
        for frame in content["instance_info"]
        for person in frame["instances"]
    ]
    by_number = (content.get("meta_info") or {}).get("keypoint_id2name") or {}
    names = tuple(str(by_number[key]) for key in sorted(by_number, key=int)) or None
    return Found(detections, names)


def _mmpose_person(frame: int, person: Mapping[str, Any]) -> Detection:
    points = np.asarray(person["keypoints"], float)
    scores = confidence_of(person.get("keypoint_scores", np.ones(len(points))))
    return Detection(frame, _person(person), points.reshape(len(scores), -1)[:, :2], scores)


def _openpose_folder(folder: Path) -> Found:
    paths = sorted(folder.glob("*_keypoints.json")) or sorted(folder.glob("*.json"))
    if not paths:
        raise PplkitError(f"{folder} holds no *_keypoints.json of OpenPose: {REMEDY}.")
    contents = []
    for path in paths:
        try:
            contents.append(parse_json(read_text(path, REMEDY)))
            _openpose(contents[-1:])
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise PplkitError(f"{path} is not OpenPose's ({reason(error)}): {REMEDY}.") from None
    return _openpose(contents, _frames([path.name.removesuffix("_keypoints.json") for path in paths]))


def _openpose(contents: Sequence[Mapping[str, Any]], frames: Sequence[int] = (0,)) -> Found:
    detections = [
        Detection(frame, _person(person), *_triples(person["pose_keypoints_2d"]))
        for frame, content in zip(frames, contents, strict=True)
        for person in content["people"]
    ]
    counts = {len(detection.points) for detection in detections}
    return Found(detections, BODY25.joints if counts == {len(BODY25.joints)} else None)


def _kit_poses(content: Mapping[str, Any]) -> Found:
    """Poses of `pplkit estimate`, of images or of one video."""
    rows = content["images"]
    whole = [row["file"] if row.get("frame") is None else int(row["frame"]) for row in rows]
    if len({row["file"] for row in rows if row.get("frame") is not None}) > 1:
        raise ValueError("frames of several videos")
    detections = [
        Detection(frame, None, np.asarray(row["keypoints"], float), confidence_of(row["confidence"]))
        for frame, row in zip(_frames(whole), rows, strict=True)
    ]
    names = content.get("names")
    return Found(
        detections, tuple(map(str, names)) if names else None, _one_size((row["width"], row["height"]) for row in rows)
    )


def _one_size(sizes: Iterator[tuple[Any, Any]]) -> tuple[int, int] | None:
    """The size that all images have; None where they differ or do not say."""
    different = set(sizes)
    width, height = next(iter(different), (None, None))
    return (int(width), int(height)) if len(different) == 1 and width and height else None
