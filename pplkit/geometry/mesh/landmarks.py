"""Landmarks of a body at rest: named points, and the bones between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points that bodies share, such as their joints, in the rest pose and the frame of the mesh.

    Raises PplkitError for names, points and bones that do not go together.

    Attributes:
        names: L names.
        points: (L, 3) float64.
        bones: pairs of numbers of landmarks, the ends of each bone.
    """

    names: tuple[str, ...]
    points: np.ndarray
    bones: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float64)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "bones", tuple((int(a), int(b)) for a, b in self.bones))
        if points.shape != (len(self.names), 3) or not np.isfinite(points).all():
            raise PplkitError(f"landmarks have the shape {points.shape}: give three finite numbers for each name.")
        if len(set(self.names)) < len(self.names):
            raise PplkitError("two landmarks have the same name: rename one.")
        if any(not 0 <= end < len(self.names) for bone in self.bones for end in bone):
            raise PplkitError(
                f"a bone joins landmarks that are not there: their numbers are 0 to {len(self.names) - 1}."
            )

    def named(self, names: tuple[str, ...]) -> np.ndarray:
        """The points (N, 3) called `names`. Raises PplkitError naming those that are missing."""
        place = dict(zip(self.names, self.points, strict=True))
        if missing := [name for name in names if name not in place]:
            raise PplkitError(f"the landmarks lack {', '.join(missing)}: give those of the source's rest pose.")
        return np.stack([place[name] for name in names])

    def to_dict(self) -> dict[str, Any]:
        """As JSON: {"points": {name: [x, y, z]}, "bones": [[name, name]]}."""
        points = {name: point.tolist() for name, point in zip(self.names, self.points, strict=True)}
        return {"points": points, "bones": [[self.names[a], self.names[b]] for a, b in self.bones]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the landmarks") -> "Landmarks":
        """From JSON as `to_dict` gives it; raises PplkitError naming the source for anything else."""
        try:
            points, names = values["points"], tuple(values["points"])
            bones = tuple((names.index(a), names.index(b)) for a, b in values.get("bones", ()))
            return cls(names, np.array([points[name] for name in names], np.float64).reshape(-1, 3), bones)
        except (KeyError, TypeError, ValueError):
            form = '{"points": {"elbow": [x, y, z], ...}, "bones": [["shoulder", "elbow"], ...]}'
            raise PplkitError(f"{source} are no landmarks: write them as {form}.") from None


def shared_points(first: Landmarks, second: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """The points (L, 3) of either body that both have by name; raises PplkitError if there are none."""
    names = tuple(name for name in first.names if name in second.names)
    if not names:
        raise PplkitError(
            f"the landmarks of the two bodies share no name ({first.names[0]}, ... and {second.names[0]}, ...): "
            "give the same points the same names."
        )
    return first.named(names), second.named(names)
