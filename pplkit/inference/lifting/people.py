"""Detections of one or several people, and the keypoints of the one that is asked for."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity

SAME_PERSON = 0.7  # most that a person moves from frame to frame, in sizes of the person
LONGEST_GAP = 30  # frames after which a person who is seen again counts as another
MOST_LISTED = 8  # people in a message


class Detection(NamedTuple):
    """A person in a frame."""

    frame: int
    person: str | None  # the number that a tracker gave; None without one
    points: np.ndarray  # (K, 2) pixels
    confidence: np.ndarray  # (K,) 0 where missing


@dataclass(frozen=True, eq=False, kw_only=True)
class Keypoints:
    """The keypoints of one person over time, as a detector found them."""

    points: np.ndarray  # (T, K, 2) pixels, NaN where missing
    confidence: np.ndarray  # (T, K) from 0, missing, to 1
    source: str
    names: tuple[str, ...] | None = None  # of the points, if the source says so
    seconds: np.ndarray | None = None  # (T,) rising times of the frames, if the source says so
    fps: float | None = None
    size: tuple[int, int] | None = None  # (width, height) of the image in pixels


def one_person(
    detections: Sequence[Detection], source: str, person: str | int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, K, 2), NaN where missing, and confidence (T, K) of one person, from the first frame to the last.

    Where nobody has numbered the people they are followed from frame to frame, and numbered by how long they are seen.
    Raises PplkitError without detections, for several people without `person`, and for a person who is not there.
    """
    if not detections:
        raise PplkitError(f"{source} holds no keypoints of anybody: run the detector on images with a person.")
    if len({len(detection.points) for detection in detections}) > 1:
        raise PplkitError(f"{source} holds different numbers of points: keep the output of one detector.")
    people = people_of(detections)
    listed = ", ".join(f"{name} ({quantity(len(rows), 'frame')})" for name, rows in list(people.items())[:MOST_LISTED])
    if person is None and len(people) > 1:
        raise PplkitError(f"{source} holds {len(people)} people: choose one with person= (--person) out of {listed}.")
    chosen = next(iter(people)) if person is None else str(person)
    if chosen not in people:
        raise PplkitError(f"{source} has no person {chosen}: there are {listed}.")
    first = min(detection.frame for detection in detections)
    count = max(detection.frame for detection in detections) - first + 1
    joints = len(detections[0].points)
    points, confidence = np.full((count, joints, 2), np.nan), np.zeros((count, joints))
    for detection in people[chosen]:
        points[detection.frame - first], confidence[detection.frame - first] = detection[2:]
    return points, confidence


def people_of(detections: Sequence[Detection]) -> dict[str, list[Detection]]:
    """The detections of each person, those seen in most frames first.

    People keep the numbers of the tracker. Without numbers, each is the one of the frames before who is nearest, if
    nearer than SAME_PERSON; people are then numbered from 1. Where a frame has one person at most, that is one person.
    """
    if any(detection.person is not None for detection in detections):
        groups = defaultdict(list)
        for detection in detections:
            groups[str(detection.person)].append(detection)
        return dict(sorted(groups.items(), key=lambda group: -len(group[1])))
    ordered = sorted(detections, key=lambda detection: detection.frame)
    if max(Counter(detection.frame for detection in ordered).values()) == 1:
        return {"1": ordered}
    tracks: list[list[Detection]] = []
    active: list[list[Detection]] = []
    by_frame = defaultdict(list)
    for detection in ordered:
        by_frame[detection.frame].append(detection)
    for frame, candidates in by_frame.items():
        active = [track for track in active if frame - track[-1].frame <= LONGEST_GAP]
        costs = np.array([[_distance(track[-1], one) for one in candidates] for track in active]).reshape(
            -1, len(candidates)
        )
        rows, columns = linear_sum_assignment(np.minimum(costs, 10 * SAME_PERSON))
        near = {column: row for row, column in zip(rows, columns, strict=True) if costs[row, column] < SAME_PERSON}
        for column, one in enumerate(candidates):
            if column in near:
                active[near[column]].append(one)
            else:
                tracks.append([one])
        active = [*active, *(track for track in tracks[len(tracks) - len(candidates) + len(near) :])]
    tracks.sort(key=lambda track: -len(track))
    return {str(number): track for number, track in enumerate(tracks, 1)}


def _distance(first: Detection, second: Detection) -> float:
    """Mean distance of the points that both show, in sizes of the larger one; infinite if they share none."""
    shared = (first.confidence > 0) & (second.confidence > 0)
    if not shared.any():
        return float("inf")
    a, b = first.points[shared], second.points[shared]
    size = max(float(np.linalg.norm(np.ptp(points, axis=0))) for points in (a, b))
    return float(np.linalg.norm(a - b, axis=1).mean() / max(size, 1e-6))
