"""What a prepared data set says about itself beside its arrays, and the check that it makes sense."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pplkit.core.errors import PplkitError

HALVES = re.compile("[\ud800-\udfff]")  # of letters: JSON can say them, and no file of text can
PROTOCOLS = ("h36m", "taichi", "cub", "matching", "pictures")


@dataclass(frozen=True, eq=False, kw_only=True)
class Metadata:
    """What dataset.json says beside the arrays; `skeleton`, `*_pairs` and `groups` hold indices.

    `flip_pairs` are the (left, right) keypoints that change places in a mirrored image, `swap_pairs` those that the
    h36m protocol may exchange, `groups` a limb's name -> its links in `skeleton`, `options` how the set was made,
    `dropped` (source, reason) for what was left out.
    Raises PplkitError for an unknown protocol, an index that points nowhere, or a value of another type.
    """

    name: str
    size: int
    keypoint_names: list[str] = field(default_factory=list)
    skeleton: list[tuple[int, int]] = field(default_factory=list)
    flip_pairs: list[tuple[int, int]] = field(default_factory=list)
    swap_pairs: list[tuple[int, int]] = field(default_factory=list)
    groups: dict[str, list[int]] = field(default_factory=dict)
    protocol: str = "pictures"
    class_names: list[str] = field(default_factory=list)
    source: str = ""
    licence: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    dropped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key in ("name", "source", "licence"):
            _check_texts(key, [getattr(self, key)], "text")
        for key in ("keypoint_names", "class_names"):
            _check_texts(key, getattr(self, key), "a list of texts")
        if not isinstance(self.options, dict) or not isinstance(self.groups, dict):
            raise PplkitError("options and groups must be objects with names; give dictionaries")
        if not isinstance(self.size, int) or self.size < 2:
            raise PplkitError(f"size is {self.size!r}; give the side of the images in pixels, an integer of at least 2")
        if self.protocol not in PROTOCOLS:
            raise PplkitError(f"protocol is {self.protocol!r}; choose one of {', '.join(PROTOCOLS)}")
        for key in ("skeleton", "flip_pairs", "swap_pairs"):
            pairs = _pairs(key, getattr(self, key))
            object.__setattr__(self, key, pairs)  # JSON knows lists only
            _check_indices(key, [index for pair in pairs for index in pair], len(self.keypoint_names), "keypoint")
        object.__setattr__(self, "dropped", [(str(one), str(why)) for one, why in _two(self.dropped, "dropped")])
        for limb, links in self.groups.items():
            _check_indices(f"groups[{limb!r}]", links, len(self.skeleton), "skeleton link")


def _check_texts(key: str, lines: Any, wanted: str) -> None:
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise PplkitError(f"{key} is {lines!r}; give {wanted}")
    for line in lines:
        if HALVES.search(line):
            raise PplkitError(f"{key} has half a letter in {line!r}; give text that can be written in UTF-8")


def _two(value: Any, key: str) -> list[Sequence[Any]]:
    """The pairs of a list."""
    fits = isinstance(value, list | tuple) and all(isinstance(one, list | tuple) and len(one) == 2 for one in value)
    if not fits:
        raise PplkitError(f"{key} is no list of pairs; give one")
    return list(value)


def _pairs(key: str, value: Any) -> list[tuple[int, int]]:
    try:
        return [(operator.index(a), operator.index(b)) for a, b in _two(value, key)]
    except TypeError as error:
        raise PplkitError(f"{key} holds something else than whole numbers ({error}); give pairs of indices") from None


def _check_indices(key: str, indices: Sequence[int], count: int, noun: str) -> None:
    if not isinstance(indices, list | tuple) or not all(isinstance(index, int) for index in indices):
        raise PplkitError(f"{key} is no list of whole numbers; give indices")
    wrong = [index for index in indices if not 0 <= index < count]
    if wrong:
        raise PplkitError(f"{key} names {noun} {wrong[0]}, but there are {count}; use indices from 0 to {count - 1}")


def error_unit(protocol: str) -> tuple[float, str]:
    """What the error of a protocol is multiplied with in a figure, and the axis label with the unit."""
    if protocol == "taichi":
        return 1.0, "error (pixels)"
    return 100.0, "mean squared distance (x 100)" if protocol == "matching" else "error (% of the image side)"
