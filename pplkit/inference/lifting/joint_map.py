"""The joints of a detector's layout as those of a lifter, by their names."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_text
from pplkit.data.skeletons import (
    H36M17,
    LAYOUTS,
    Skeleton,
    check_layout,
    likely_layouts,
    pairs_by_name,
    plain_name,
    read_skeleton,
    to_h36m17,
)
from pplkit.inference.lifting.people import Keypoints

NAMES = 'a JSON file of joint names, ["nose", "left eye", ...]'
Layout = str | Path | Skeleton | Sequence[str]


def named_points(names: Sequence[str], name: str = "own") -> Skeleton:
    """A skeleton of which only the names of the joints are known. Raises PplkitError for repeated names."""
    joints = tuple(map(str, names))
    return Skeleton(name, joints, (-1, *[0] * (len(joints) - 1)), pairs_by_name(joints))


def layout_of(layout: Layout | None, keypoints: Keypoints) -> Skeleton:
    """The skeleton of keypoints: what is given, a name of LAYOUTS, a JSON file, names; else what the file says.

    Raises PplkitError where nothing says it or it does not fit the keypoints, and names the likely layout.
    """
    likely = likely_layouts(np.where(keypoints.confidence[..., None] > 0, keypoints.points, np.nan))
    hint = f"; by number and places they are {' or '.join(likely)}, the first most likely" if len(likely) > 1 else ""
    hint = f"; by their number they are {likely[0]}" if len(likely) == 1 else hint
    count = keypoints.points.shape[1]
    if layout is None and keypoints.names is None:
        raise PplkitError(
            f"{keypoints.source} does not say which joints its {count} points are{hint}: give layout= (--layout), one "
            f"of {', '.join(LAYOUTS)}, or {NAMES}."
        )
    if isinstance(layout, str | Path) and str(layout) not in LAYOUTS and Path(layout).suffix != ".json":
        raise PplkitError(
            f"layout {layout} is unknown, and {keypoints.source} has {count} points{hint}: give one of "
            f"{', '.join(LAYOUTS)}, or {NAMES}."
        )
    skeleton = given_layout(keypoints.names or () if layout is None else layout)
    check_layout(keypoints.points, skeleton, keypoints.source)
    if layout is not None and keypoints.names is not None:
        _check_names(keypoints, skeleton)
    return skeleton


def given_layout(layout: Layout) -> Skeleton:
    """The skeleton of a name of LAYOUTS, a JSON file, or names. Raises PplkitError for an unknown one."""
    if isinstance(layout, Skeleton):
        return layout
    if isinstance(layout, str | Path):
        return _read_names(Path(layout)) or read_skeleton(layout)
    return named_points(layout)


def _read_names(path: Path) -> Skeleton | None:
    """The joints of a JSON file that holds names alone; None for another file."""
    if path.suffix != ".json":
        return None
    try:
        content = json.loads(read_text(path, f"give {NAMES}"))
    except (ValueError, RecursionError):
        return None
    names = content.get("joints") if isinstance(content, dict) and "parents" not in content else content
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return named_points(names, path.stem)
    return None


def _check_names(keypoints: Keypoints, skeleton: Skeleton) -> None:
    """Raise PplkitError where a file names its points otherwise than the layout that was given."""
    for number, (own, expected) in enumerate(zip(keypoints.names or (), skeleton.joints, strict=True)):
        sides = [plain_name(name).split(" ")[0] for name in (own, expected)]
        if plain_name(own) != plain_name(expected) and (sides[0] in ("left", "right") or sides[1] in ("left", "right")):
            raise PplkitError(
                f"{keypoints.source} calls its point {number} {own!r}, layout {skeleton.name} {expected!r}: leave the "
                "layout out, or give the one that the keypoints have."
            )


def joints_of(keypoints: Keypoints, layout: Skeleton, wanted: Skeleton) -> Keypoints:
    """Keypoints of one skeleton as those of another, by the names of the joints; what is not there is missing.

    Joints of h36m17 that others lack are made from their neighbors (`data.skeletons.to_h36m17`). Raises PplkitError if
    more than half of the joints have no counterpart.
    """
    names = [plain_name(joint) for joint in layout.joints]
    own = [plain_name(joint) for joint in wanted.joints]
    if names == own:
        points, confidence = keypoints.points, keypoints.confidence
    elif wanted.joints == H36M17.joints:
        points, confidence = to_h36m17(keypoints.points, layout, keypoints.confidence, partial=True)
    else:
        absent = [joint for joint in own if joint not in names]
        if 2 * len(absent) > len(own):
            raise PplkitError(
                f"{keypoints.source} has no {', '.join(absent)}, which the lifter was trained on: give keypoints with "
                "these names, or train a lifter on yours."
            )
        index = [names.index(joint) if joint in names else -1 for joint in own]
        there = np.array(index) >= 0
        points = np.where(there[:, None], keypoints.points[:, index], np.nan)
        confidence = np.where(there, keypoints.confidence[:, index], 0)
    confidence = np.where(np.isfinite(points).all(-1), confidence, 0)
    return replace(keypoints, points=points, confidence=confidence, names=wanted.joints)
