"""What a prepared data set says about itself beside its arrays, and the check that it makes sense."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pplkit.errors import PplkitError

PROTOCOLS = ("h36m", "taichi", "cub", "matching", "pictures")


@dataclass(frozen=True, eq=False, kw_only=True)
class Metadata:
    """What dataset.json says beside the arrays; `skeleton`, `*_pairs` and `groups` hold indices.

    `flip_pairs` are the (left, right) keypoints that change places in a mirrored image, `swap_pairs` those that the
    h36m protocol may exchange, `groups` a limb's name -> its links in `skeleton`, `options` how the set was made,
    `dropped` (source, reason) for what was left out.
    Raises PplkitError for an unknown protocol or an index that points nowhere.
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
        if not isinstance(self.size, int) or self.size < 2:
            raise PplkitError(f"size is {self.size!r}; give the side of the images in pixels, an integer of at least 2")
        if self.protocol not in PROTOCOLS:
            raise PplkitError(f"protocol is {self.protocol!r}; choose one of {', '.join(PROTOCOLS)}")
        for key in ("skeleton", "flip_pairs", "swap_pairs"):
            pairs = [(int(a), int(b)) for a, b in getattr(self, key)]
            object.__setattr__(self, key, pairs)  # JSON knows lists only
            _check_indices(key, [index for pair in pairs for index in pair], len(self.keypoint_names), "keypoint")
        object.__setattr__(self, "dropped", [(str(source), str(reason)) for source, reason in self.dropped])
        for limb, links in self.groups.items():
            _check_indices(f"groups[{limb!r}]", links, len(self.skeleton), "skeleton link")


def _check_indices(key: str, indices: Sequence[int], count: int, noun: str) -> None:
    wrong = [index for index in indices if not 0 <= index < count]
    if wrong:
        raise PplkitError(f"{key} names {noun} {wrong[0]}, but there are {count}; use indices from 0 to {count - 1}")
