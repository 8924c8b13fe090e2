"""The arrays that a split of a data set may have, and the check of each."""

import re

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.schema import Metadata

DTYPES = {
    "images": np.uint8,
    "masks": np.uint8,
    "keypoints": np.float32,
    "visible": np.bool_,
    "videos": np.int32,
    "classes": np.int32,
}
SHARDED = ("images", "masks")
SPLIT = re.compile(r"\w[\w .-]*")  # a name that no system takes for another folder
FARTHEST = 10.0
"""A label may lie outside the image, but one this far out is in other units than [-1, 1]."""
ROOM = "free some space or choose another folder; nothing was changed"
AGAIN = "prepare the data set again (python -m data_prep.<data set> SOURCE OUT --overwrite)"


def array_of(name: str) -> tuple[str, str] | None:
    """Split and kind of the array in the file <split>/<kind>.npy or, in shards, <split>/<kind>-00000.npy; else None.

    Anything else would lead out of the data set.
    """
    split, _, file = name.partition("/")
    found = re.fullmatch(r"([a-z]+)(-[0-9]{5,8})?\.npy", file)
    if not found or not SPLIT.fullmatch(split) or found[1] not in DTYPES or bool(found[2]) != (found[1] in SHARDED):
        return None
    return split, found[1]


def as_stored(key: str, array: np.ndarray) -> np.ndarray:
    """The array in its stored type where that loses precision alone; otherwise as it is, for the check to name."""
    kinds = {"keypoints": "f", "videos": "iu", "classes": "iu"}
    return array.astype(DTYPES[key]) if array.dtype.kind in kinds.get(key, "") else array


def check_array(label: str, key: str, array: np.ndarray, metadata: Metadata, count: int | None, remedy: str) -> None:
    """Raise PplkitError, naming `label` and `remedy`, if an array called `key` has a wrong shape, type or value."""
    size, points = metadata.size, len(metadata.keypoint_names)
    tails = {"images": (size, size, 3), "masks": (size, size), "keypoints": (points, 2), "visible": (points,)}
    shape = (len(array) if array.ndim and count is None else count, *tails.get(key, ()))
    if array.dtype != DTYPES[key] or array.shape != shape:
        wanted, found = f"{np.dtype(DTYPES[key])} {shape}", f"{array.dtype} {array.shape}"
        raise PplkitError(f"{label} must be {wanted} and is {found}; {remedy}")
    if key == "keypoints" and array.size and not bool(np.all(np.isnan(array) | (np.abs(array) <= FARTHEST))):
        raise PplkitError(f"{label} holds coordinates far outside [-1, 1]; {remedy}")
    if key == "videos" and array.size and array.min() < 0:
        raise PplkitError(f"{label} must count videos from 0; {remedy}")
    if key == "classes" and array.size and not 0 <= array.min() <= array.max() < len(metadata.class_names):
        raise PplkitError(f"{label} must index the {len(metadata.class_names)} class_names; {remedy}")
