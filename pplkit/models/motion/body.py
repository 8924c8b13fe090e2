"""Bodies for the simulator: segments that turn against one another, and the humanoid of given bone lengths.

Body axes are x forward, y left, z up, in meters, also those of each segment at rest: standing, with hanging arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17

DENSITY = 1000.0  # kg / m³
SHORTEST_BONE = 0.01  # meters
Vector = tuple[float, float, float]
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
HALF_ROOT = 0.5**0.5
# Hinges of a shoulder: the first lies where an arm seldom points, ahead and outwards, as all three lose their
# independence when the arm does.
RIGHT_SHOULDER = ((HALF_ROOT, -HALF_ROOT, 0.0), (HALF_ROOT, HALF_ROOT, 0.0), Z)
LEFT_SHOULDER = ((HALF_ROOT, HALF_ROOT, 0.0), (-HALF_ROOT, HALF_ROOT, 0.0), Z)


@dataclass(frozen=True)
class Capsule:
    """A capsule between two places of a segment, in its axes; a sphere where they are the same."""

    start: Vector
    end: Vector
    radius: float

    @property
    def volume(self) -> float:
        """In m³."""
        length = float(np.linalg.norm(np.subtract(self.end, self.start)))
        return np.pi * self.radius**2 * (length + 4 / 3 * self.radius)


@dataclass(frozen=True)
class Box:
    """A box along the axes of its segment, by its center and half its sizes."""

    center: Vector
    half: Vector

    @property
    def volume(self) -> float:
        """In m³."""
        return float(8 * np.prod(self.half))


@dataclass(frozen=True)
class Hinge:
    """One axis, in the axes of the parent at rest, about which a segment turns.

    Attributes:
        axis: Of length 1.
        low, high: Limits in radians.
        stiffness: Nm / rad of the position actuator.
        damping: Nms / rad.
        torque: The largest, in Nm.
    """

    axis: Vector
    low: float
    high: float
    stiffness: float = 300.0
    damping: float = 30.0
    torque: float = 200.0


@dataclass(frozen=True)
class Segment:
    """A rigid part, turned about its joint by its hinges, the first outermost; without any it is fixed to its parent.

    Attributes:
        name: Of the joint and the part that hangs from it.
        parent: Number of the parent, which comes before; -1 for the root, which is free.
        offset: Of the joint from that of the parent, at rest.
        hinges: At most three.
        shapes: What touches the ground and has mass.
        mass: In kg; by default volume x DENSITY.
    """

    name: str
    parent: int
    offset: Vector
    hinges: tuple[Hinge, ...]
    shapes: tuple[Capsule | Box, ...]
    mass: float | None = None


@dataclass(frozen=True)
class Body:
    """Segments, parents first, and named points on them.

    Positions (qpos) are the place of the root (3), its quaternion w x y z (4), and the angles of all hinges in radians.
    Speeds (qvel) are those of the root in world axes (3), its turning in its own axes (3), and those of the hinges.
    Raises PplkitError where the segments do not form a tree with one root, the first.
    """

    segments: tuple[Segment, ...]
    points: Mapping[str, tuple[int, Vector]]  # name to segment and place in its axes

    def __post_init__(self) -> None:
        parents = [segment.parent for segment in self.segments]
        names = {segment.name for segment in self.segments}
        if not parents or parents[0] != -1 or any(not 0 <= p < n for n, p in enumerate(parents) if n):
            raise PplkitError("a body needs segments, the first with parent -1 and each later one with an earlier one.")
        # MuJoCo numbers a segment, then all that hangs from it; positions are in that order.
        if self._depth_first() != list(range(len(parents))):
            raise PplkitError(
                "the segments of a body must be listed depth first: all that hang from one right after it."
            )
        if len(names) < len(parents):
            raise PplkitError("two segments of the body have the same name: rename one.")
        for segment in self.segments:
            if len(segment.hinges) > 3 or (segment.mass is None and not segment.shapes):
                raise PplkitError(f"segment {segment.name} needs at most three hinges, and a shape or a mass.")
            if segment.parent >= 0 and segment.mass is None and any(not shape.volume > 0 for shape in segment.shapes):
                raise PplkitError(f"segment {segment.name} has a shape without volume: give sizes above 0.")

    def _depth_first(self) -> list[int]:
        order, waiting = [], [0]
        while waiting:
            order.append(waiting.pop())
            children = [n for n, segment in enumerate(self.segments) if n and segment.parent == order[-1]]
            waiting += children[::-1]
        return order

    @cached_property
    def hinges(self) -> list[Hinge]:
        """All hinges, in the order of their angles."""
        return [hinge for segment in self.segments for hinge in segment.hinges]

    @property
    def position_count(self) -> int:
        """Length of qpos."""
        return 7 + len(self.hinges)

    @property
    def speed_count(self) -> int:
        """Length of qvel."""
        return 6 + len(self.hinges)

    @cached_property
    def mass(self) -> float:
        """Of all segments, in kg."""
        return sum(segment_mass(segment) for segment in self.segments)

    def column(self, name: str) -> slice:
        """Where the angles of a segment lie in qpos; those of the speeds lie one place earlier."""
        start = 7
        for segment in self.segments:
            if segment.name == name:
                return slice(start, start + len(segment.hinges))
            start += len(segment.hinges)
        raise PplkitError(f"the body has no segment {name}.")


def segment_mass(segment: Segment) -> float:
    """In kg."""
    if segment.mass is not None:
        return segment.mass
    return DENSITY * sum(shape.volume for shape in segment.shapes)


def bone_lengths(points: np.ndarray) -> dict[str, float]:
    """Median lengths in meters of what `humanoid` is made of, from joints (T, 17, 3) of h36m17, left and right alike.

    Raises PplkitError for joints that are missing throughout, and bones without length.
    """
    at = {name: points[:, number].astype(float) for number, name in enumerate(H36M17.joints)}

    def median(*pairs: tuple[str, str]) -> float:
        values = [np.linalg.norm(at[first] - at[second], axis=-1) for first, second in pairs]
        values = [value[np.isfinite(value)] for value in values]
        length = float(np.mean([np.median(value) if len(value) else np.nan for value in values]))
        if not length >= SHORTEST_BONE:
            bone = " to ".join(pairs[0])
            raise PplkitError(f"the bone {bone} has a length of {length:.3f} m: give joints in meters, none missing.")
        return length

    def both(first: str, second: str) -> float:
        return median(*((f"{side} {first}".strip(), f"{side} {second}") for side in ("right", "left")))

    middle = (at["left shoulder"] + at["right shoulder"]) / 2 - at["thorax"]
    up = _unit(at["thorax"] - at["spine"])
    ahead = _unit(np.cross(at["left shoulder"] - at["right shoulder"], up))
    return {
        "hips": median(("right hip", "left hip")) / 2,
        "thigh": both("hip", "knee"),
        "shin": both("knee", "ankle"),
        "lumbar": median(("pelvis", "spine")),
        "chest": median(("spine", "thorax")),
        "neck": median(("thorax", "nose")),
        "head": median(("thorax", "head")),
        "shoulders": median(("left shoulder", "right shoulder")) / 2,
        "shoulder rise": float(np.nanmedian((middle * up).sum(-1))),
        "shoulder advance": float(np.nanmedian((middle * ahead).sum(-1))),
        "upper arm": both("shoulder", "elbow"),
        "forearm": both("elbow", "wrist"),
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SHORTEST_BONE)


def humanoid(lengths: Mapping[str, float]) -> Body:
    """A person of 13 segments and 28 hinges, on box feet, from the lengths that `bone_lengths` gives.

    Widths and the sizes of feet and hands grow with the legs; for legs of 0.83 m the person weighs about 60 kg. Its
    points are the joints of h36m17, whose nose lies in the head, and the toes.
    """
    size = (lengths["thigh"] + lengths["shin"]) / 0.83
    segments = [_pelvis(lengths, size), *_trunk(lengths, size)]
    points: dict[str, tuple[int, Vector]] = {"pelvis": (0, (0, 0, 0)), "spine": (1, (0, 0, 0))}
    points |= {"thorax": (2, (0, 0, 0)), "nose": (2, _nose(lengths)), "head": (2, (0, 0, lengths["head"]))}
    for side, sign in (("right", -1.0), ("left", 1.0)):
        first = len(segments)
        segments += _arm(side, sign, lengths, size, first)
        points[f"{side} shoulder"], points[f"{side} elbow"] = (first, (0, 0, 0)), (first + 1, (0, 0, 0))
        points[f"{side} wrist"] = (first + 1, (0, 0, -lengths["forearm"]))
    for side, sign in (("right", -1.0), ("left", 1.0)):
        first = len(segments)
        segments += _leg(side, sign, lengths, size, first)
        for number, name in enumerate(("hip", "knee", "ankle")):
            points[f"{side} {name}"] = (first + number, (0, 0, 0))
        points[f"{side} toe"] = (first + 2, (TOE * size, 0, -ANKLE * size))
    names = (*H36M17.joints, "right toe", "left toe")
    return Body(tuple(segments), {name: points[name] for name in names})


ANKLE = 0.06  # meters from the ankle down to the sole, for legs of 0.83 m
HEEL = 0.06  # back to the heel
TOE = 0.17  # ahead to the toes


def _hinges(axes: Sequence[Vector], limits: Sequence[tuple[float, float]], gain: float, torque: float) -> tuple:  # type: ignore[type-arg]
    return tuple(
        Hinge(axis, low, high, gain, gain / 10, torque) for axis, (low, high) in zip(axes, limits, strict=True)
    )


def _nose(lengths: Mapping[str, float]) -> Vector:
    """At its distance from the neck, ahead of the line to the top of the head by the angle of a usual head."""
    return (0.66 * lengths["neck"], 0.0, 0.75 * lengths["neck"])


def _pelvis(lengths: Mapping[str, float], size: float) -> Segment:
    hips = lengths["hips"]
    shapes = (
        Capsule((0, -0.5 * hips, 0.02 * size), (0, 0.5 * hips, 0.02 * size), 0.1 * size),
        Capsule((0, 0, 0.4 * lengths["lumbar"]), (0, 0, 0.7 * lengths["lumbar"]), 0.09 * size),
    )
    return Segment("pelvis", -1, (0, 0, 0), (), shapes)


def _trunk(lengths: Mapping[str, float], size: float) -> list[Segment]:
    chest, wide = lengths["chest"], lengths["shoulders"]
    ribs = (
        Capsule((0, -0.35 * wide, 0.3 * chest), (0, 0.35 * wide, 0.3 * chest), 0.095 * size),
        Capsule((0, -0.4 * wide, 0.75 * chest), (0, 0.4 * wide, 0.75 * chest), 0.1 * size),
    )
    skull = 0.09 * size
    height = max(lengths["head"] - skull, skull)
    neck = (Capsule((0, 0, 0.02), (0, 0, 0.3 * lengths["head"]), 0.045 * size),)
    head = (*neck, Capsule((0.02 * size, 0, height), (0.02 * size, 0, height), skull))
    bend, turn = (-1.2, 1.2), (-1.2, 1.2)
    return [
        Segment("chest", 0, (0, 0, lengths["lumbar"]), _hinges((X, Y, Z), (bend, bend, turn), 1000, 300), ribs),
        Segment("head", 1, (0, 0, chest), _hinges((X, Y, Z), ((-1, 1), (-1.2, 1.2), (-1.4, 1.4)), 100, 50), head),
    ]


def _leg(side: str, sign: float, lengths: Mapping[str, float], size: float, first: int) -> list[Segment]:
    """Thigh, shin and foot. The hinges of a hip are independent unless the leg is stretched sideways."""
    thigh, shin = lengths["thigh"], lengths["shin"]
    hip = _hinges((Y, X, Z), ((-2.6, 1.6), (-1.3, 1.3), (-1.4, 1.4)), 700, 300)
    knee = _hinges((Y,), ((-0.02, 2.9),), 700, 250)
    ankle = _hinges((Y, X, Z), ((-1.0, 1.2), (-0.8, 0.8), (-0.8, 0.8)), 500, 150)
    sole = Box(
        ((TOE - HEEL) / 2 * size, 0, -ANKLE / 2 * size), ((TOE + HEEL) / 2 * size, 0.045 * size, ANKLE / 2 * size)
    )
    return [
        Segment(
            f"{side} thigh", 0, (0, sign * lengths["hips"], 0), hip,
            (Capsule((0, 0, -0.05 * size), (0, 0, -thigh + 0.05 * size), 0.065 * size),),
        ),
        Segment(
            f"{side} shin", first, (0, 0, -thigh), knee,
            (Capsule((0, 0, -0.03 * size), (0, 0, -shin + 0.06 * size), 0.05 * size),),
        ),
        Segment(f"{side} foot", first + 1, (0, 0, -shin), ankle, (sole,)),
    ]  # fmt: skip


def _arm(side: str, sign: float, lengths: Mapping[str, float], size: float, first: int) -> list[Segment]:
    """The upper arm, and the forearm with the hand."""
    upper, fore = lengths["upper arm"], lengths["forearm"]
    axes = LEFT_SHOULDER if sign > 0 else RIGHT_SHOULDER
    # Wide enough for an arm to circle without its angles jumping by a turn.
    shoulder = _hinges(axes, ((-6.5, 6.5), (-3.3, 3.3), (-6.5, 6.5)), 400, 100)
    elbow = _hinges((Y,), ((-2.8, 0.02),), 300, 60)
    place = (lengths["shoulder advance"], sign * lengths["shoulders"], lengths["chest"] + lengths["shoulder rise"])
    hand = 0.04 * size
    return [
        Segment(
            f"{side} upper arm", 1, place, shoulder,
            (Capsule((0, 0, -0.03 * size), (0, 0, -upper + 0.03 * size), 0.045 * size),),
        ),
        Segment(
            f"{side} forearm", first, (0, 0, -upper), elbow,
            (
                Capsule((0, 0, -0.03 * size), (0, 0, -fore + 0.03 * size), 0.035 * size),
                Capsule((0, 0, -fore - hand), (0, 0, -fore - hand), hand),
            ),
        ),
    ]  # fmt: skip
