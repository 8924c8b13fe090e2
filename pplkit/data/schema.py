"""What a prepared data set holds: the fields of dataset.json, the arrays of a split, and the checks of both."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice

SCHEMA = 2  # of dataset.json; 2: `dropped`
PROTOCOLS = ("h36m", "taichi", "cub", "matching", "pictures")
DTYPES = {
    "images": np.uint8,
    "masks": np.uint8,
    "keypoints": np.float32,
    "visible": np.bool_,
    "videos": np.int32,
    "classes": np.int32,
}
SHARDED = ("images", "masks")
SPLIT_NAME = re.compile(r"\w[\w .-]*")  # never the path of another folder, on any system
MAX_COORDINATE = 10.0  # labels may lie outside of the image, but so far out they are not in units of [-1, 1]
PREPARE_AGAIN = "prepare the data set again (python -m data_prep.<data set> SOURCE OUT --overwrite)"


@dataclass(frozen=True, eq=False, kw_only=True)
class Metadata:
    """The fields of dataset.json beside the arrays. Raises PplkitError for a value that makes no sense."""

    name: str
    size: int  # side of the images in pixels
    keypoint_names: list[str] = field(default_factory=list)
    skeleton: list[tuple[int, int]] = field(default_factory=list)  # pairs of keypoints
    flip_pairs: list[tuple[int, int]] = field(default_factory=list)  # keypoints that a mirrored image exchanges
    swap_pairs: list[tuple[int, int]] = field(default_factory=list)  # keypoints that the protocol h36m may exchange
    groups: dict[str, list[int]] = field(default_factory=dict)  # from the name of a limb to its links in `skeleton`
    protocol: str = "pictures"
    class_names: list[str] = field(default_factory=list)
    source: str = ""
    licence: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # how the data set was prepared
    dropped: list[tuple[str, str]] = field(default_factory=list)  # what was left out, and why
    origin: dict[str, Any] = field(default_factory=dict)  # `path`, number of `files` and `sha256` of the raw data

    def __post_init__(self) -> None:
        try:
            self._check()
        except (TypeError, ValueError, AttributeError) as error:
            raise PplkitError(f"a value is of the wrong type ({error}); give those that Metadata documents") from error

    def _check(self) -> None:
        for key in ("name", "source", "licence"):
            if not isinstance(getattr(self, key), str):
                raise TypeError(f"{key} is {getattr(self, key)!r}")
        if not isinstance(self.size, int) or self.size < 2:
            raise PplkitError(f"size is {self.size!r}; give the side of the images in pixels, an integer of at least 2")
        if self.protocol not in PROTOCOLS:
            raise PplkitError(f"protocol is {self.protocol!r}; {choice(self.protocol, PROTOCOLS)}")
        for key in ("skeleton", "flip_pairs", "swap_pairs"):
            pairs = [(operator.index(a), operator.index(b)) for a, b in getattr(self, key)]
            object.__setattr__(self, key, pairs)  # JSON has lists only
            _check_indices(key, [index for pair in pairs for index in pair], len(self.keypoint_names), "keypoint")
        object.__setattr__(self, "dropped", [(str(source), str(reason)) for source, reason in self.dropped])
        for limb, links in self.groups.items():
            _check_indices(f"groups[{limb!r}]", links, len(self.skeleton), "skeleton link")
        "".join([*self.keypoint_names, *self.class_names]).encode()  # raises where they are not text
        dict(**self.options, **{f"origin {key}": value for key, value in self.origin.items()})


def _check_indices(key: str, indices: Sequence[int], count: int, noun: str) -> None:
    wrong = [index for index in indices if not 0 <= operator.index(index) < count]
    if wrong:
        raise PplkitError(f"{key} names {noun} {wrong[0]}, but there are {count}; use indices from 0 to {count - 1}")


def array_of(name: str) -> tuple[str, str] | None:
    """The split and the key of the array in a file of a data set; None for a file that does not hold an array.

    Such files are <split>/<key>.npy or, in shards, <split>/<key>-00000.npy; no other name is ever opened.
    """
    split, _, file = name.partition("/")
    match = re.fullmatch(r"([a-z]+)(-[0-9]{5,8})?\.npy", file)
    if not match or not SPLIT_NAME.fullmatch(split) or match[1] not in DTYPES:
        return None
    return (split, match[1]) if bool(match[2]) == (match[1] in SHARDED) else None


def as_stored(key: str, array: np.ndarray) -> np.ndarray:
    """The array in its stored type if only precision is lost by that, otherwise unchanged, for `check_array`."""
    kinds = {"keypoints": "f", "videos": "iu", "classes": "iu"}
    return array.astype(DTYPES[key]) if array.dtype.kind in kinds.get(key, "") else array


def check_array(label: str, key: str, array: np.ndarray, metadata: Metadata, count: int | None, remedy: str) -> None:
    """Raise PplkitError if the array `key` of `count` images (None: any number) has a wrong shape, type or value."""
    size, points = metadata.size, len(metadata.keypoint_names)
    tails = {"images": (size, size, 3), "masks": (size, size), "keypoints": (points, 2), "visible": (points,)}
    shape = (len(array) if array.ndim and count is None else count, *tails.get(key, ()))
    if array.dtype != DTYPES[key] or array.shape != shape:
        raise PplkitError(
            f"{label} must be {np.dtype(DTYPES[key])} {shape} and is {array.dtype} {array.shape}; {remedy}"
        )
    if not array.size:
        return
    if key == "keypoints" and not bool(np.all(np.isnan(array) | (np.abs(array) <= MAX_COORDINATE))):
        raise PplkitError(f"{label} holds coordinates far outside [-1, 1]; {remedy}")
    if key == "videos" and array.min() < 0:
        raise PplkitError(f"{label} must count videos from 0; {remedy}")
    if key == "classes" and not 0 <= array.min() <= array.max() < len(metadata.class_names):
        raise PplkitError(f"{label} must index the {len(metadata.class_names)} class_names; {remedy}")


def error_unit(protocol: str) -> tuple[float, str]:
    """The factor that figures multiply an error of the protocol with, and the axis label with the unit."""
    if protocol == "taichi":
        return 1.0, "error (pixels)"
    return 100.0, "mean squared distance (x 100)" if protocol == "matching" else "error (% of the image side)"
