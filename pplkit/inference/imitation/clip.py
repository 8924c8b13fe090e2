"""A pose sequence made ready for imitation: no gaps, one frame rate, y up, the floor at 0, and where feet touch it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import LEG, SIDES, Skeleton, h36m17_sources, plain_name
from pplkit.geometry.cameras import inverse_rotation, rotate
from pplkit.geometry.ground import floor_height, floor_normal, upright_axis
from pplkit.geometry.kinematics import shortest_rotation
from pplkit.inference.imitation.contact import learned_contact, likely_contact

FARTHEST = 30.0  # meters from the middle of the clip, beyond which a joint has exploded and counts as missing
SHORTEST_LEG = 0.05  # meters
REST = 0.09  # height of a standing ankle above the floor, in lengths of the leg
MAX_LEAN = 45.0  # degrees between camera and body axis, beyond which the body lies
ROUNDS = 3  # of contact and floor, each from the other
GRAVITIES = ("auto", "given", "estimated")
Y = np.array([0.0, 1.0, 0.0])
CAMERA_Y_UP = np.diag([1.0, -1.0, -1.0])  # half a turn about x


@dataclass(frozen=True, eq=False)
class Clip:
    """What a method of imitation gets.

    Attributes:
        points: (T, J, 3) meters, float64, y up, the floor at 0; no gaps.
        weight: (T, J) confidence from 0, where the joint was missing and is interpolated, to 1.
        fps: frames a second.
        skeleton: the joints.
        contact: (T, 2) how likely the left and right foot touch the floor, 0 to 1.
        rotation: (3, 3) from the axes of the given sequence to those of the points, and
        height: of the floor in the given sequence, so turned: points = rotation @ given - (0, height, 0).
        sighted: whether the given sequence lies in the space of a camera, which is at its origin and looks along z.
    """

    points: np.ndarray
    weight: np.ndarray
    fps: float
    skeleton: Skeleton
    contact: np.ndarray
    rotation: np.ndarray
    height: float
    sighted: bool = False

    @cached_property
    def legs(self) -> np.ndarray:
        """Joints (2, 3): hip, knee and ankle of the left and right side."""
        return leg_joints(self.skeleton)

    @cached_property
    def rest(self) -> float:
        """Meters of an ankle above the floor when the foot stands on it."""
        return REST * _leg_length(self.points, self.legs)

    @property
    def touches(self) -> np.ndarray:
        """Whether a foot touches the floor, bool (T, 2)."""
        return np.asarray(self.contact > 0.5)

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the given sequence, such as the truth, in the axes of the clip."""
        return points @ self.rotation.T - [0, self.height, 0]


class Imitation(NamedTuple):
    """What a method makes of a clip."""

    points: np.ndarray  # (T, J, 3) meters, in the axes of the clip: y up, the floor at 0
    numbers: dict[str, float] = {}  # of its own for the report, such as the force that it took
    arrays: dict[str, np.ndarray] = {}  # such as joint angles


def prepared(
    sequence: PoseSequence, fps: float | None = None, gravity: str = "auto", contact: Path | str = "network"
) -> Clip:
    """The clip of a 3D sequence, at another frame rate if given (resampled by cubic splines, never relabelled).

    `gravity` "given" takes y (in camera space of a known camera, its orientation; of an unknown one, the image's up),
    "estimated" finds it from feet that stand; "auto" estimates where no orientation is known. `contact` of the feet is
    found by the kit's "network" or that of a file contact.safetensors, in geometric mean with thresholds of speed and
    height, or by these "thresholds" alone.
    Gaps are interpolated, and so are joints that are not finite or farther than 30 m away.

    Raises PplkitError for 2D points, a joint that is missing throughout, an exploded clip, a skeleton without legs, or
    one whose legs have no length.
    """
    name = sequence.source or "the sequence"
    if gravity not in GRAVITIES:
        raise PplkitError(f'gravity is {gravity!r}: give "auto", "given" or "estimated".')
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise PplkitError(f"fps is {fps}: give the frames a second of the result, such as 30.")
    points, weight = _without_gaps(sequence, name)
    if fps is not None:
        points, weight = _resampled(points, weight, sequence.fps, fps)
    rate, legs = float(fps or sequence.fps), leg_joints(sequence.skeleton)
    length = _leg_length(points, legs)
    if length < SHORTEST_LEG:
        raise PplkitError(
            f"{name} has legs of {length * 100:.1f} cm: give meters, and a body whose legs have a length."
        )
    turn = np.eye(3) if sequence.space == "world" else CAMERA_Y_UP
    if sequence.space == "camera" and sequence.camera is not None:
        turn = shortest_rotation(turn @ _up_of_camera(sequence.camera.orientation), Y) @ turn
    known = sequence.space == "world" or sequence.camera is not None
    if gravity == "estimated" or (gravity == "auto" and not known):
        turn = _gravity_rotation(points @ turn.T, sequence.skeleton, rate) @ turn
    clip = Clip(
        points @ turn.T,
        weight,
        rate,
        sequence.skeleton,
        np.zeros((len(points), 2)),
        turn,
        0.0,
        sequence.space == "camera",
    )
    return _on_floor(clip, contact)


def leg_joints(skeleton: Skeleton) -> np.ndarray:
    """Joints (2, 3): hip, knee and ankle of the left and right side, by name. Raises PplkitError without them."""
    sources = h36m17_sources(skeleton)
    names = [plain_name(joint) for joint in skeleton.joints]
    return np.array([[names.index(sources[f"{side} {part}"]) for part in LEG] for side in SIDES])


def _leg_length(points: np.ndarray, legs: np.ndarray) -> float:
    """Median length, in meters, of both legs from hip to ankle."""
    return float(np.median(np.linalg.norm(np.diff(points[:, legs], axis=2), axis=-1).sum(-1)))


def _up_of_camera(orientation: np.ndarray) -> np.ndarray:
    """Up (3,) in camera space. Worlds have y or, as that of Human3.6M, z up: the one that is nearer to the image's."""
    ups = rotate(np.eye(3)[1:], inverse_rotation(np.asarray(orientation, float)))
    return np.asarray(ups[ups[:, 1].argmin()])


def _without_gaps(sequence: PoseSequence, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, J, 3) with straight lines through gaps, and the confidence (T, J)."""
    points, weight = sequence.points.astype(float), sequence.weight.astype(float)
    if points.shape[-1] != 3 or len(points) < 2:
        raise PplkitError(f"{name} has the shape {points.shape}: give (frames, joints, 3), at least two frames.")
    finite = np.isfinite(points).all(-1)
    if not finite.any():
        raise PplkitError(f"{name} has no finite joint: estimate it again.")
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.linalg.norm(points - np.median(points[finite], axis=0), axis=-1)
    exploded = ~(distance < FARTHEST) & (finite | np.isinf(points).any(-1))
    if exploded.any(1).mean() > 0.5:
        raise PplkitError(
            f"{name} has exploded, with joints at infinity or farther than {FARTHEST:.0f} m from one another in most "
            "frames: give meters, or estimate it again."
        )
    weight = np.where(exploded, 0, weight)
    frames = np.arange(len(points))
    for joint, title in enumerate(sequence.skeleton.joints):
        seen = weight[:, joint] > 0
        if not seen.any():
            raise PplkitError(f"{name} never shows the joint {title}: give a skeleton without it, or fill it before.")
        for axis in range(3):
            points[~seen, joint, axis] = np.interp(frames[~seen], frames[seen], points[seen, joint, axis])
    return points, weight


def _resampled(points: np.ndarray, weight: np.ndarray, old: float, new: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and confidence at `new` frames a second instead of `old`; the first frame keeps its time."""
    from scipy.interpolate import CubicSpline  # here, since it takes its time

    seconds = np.arange(len(points)) / old
    wanted = np.arange(int(np.floor(seconds[-1] * new + 1e-6)) + 1) / new
    if len(wanted) < 2:
        raise PplkitError(f"fps {new:g} leaves {len(wanted)} frame of the sequence: give a higher one.")
    surest = np.stack([np.interp(wanted, seconds, column) for column in weight.T], axis=1)
    return CubicSpline(seconds, points)(wanted), surest


def _gravity_rotation(points: np.ndarray, skeleton: Skeleton, fps: float) -> np.ndarray:
    """The rotation (3, 3) that makes points (T, J, 3), whose up is about y, stand upright."""
    legs = leg_joints(skeleton)
    shoulders = [j for j, joint in enumerate(skeleton.joints) if plain_name(joint).split()[-1] in ("shoulder", "arm")]
    ankles, rest = points[:, legs[:, 2]], REST * _leg_length(points, legs)
    up = upright_axis(ankles.mean(1), points[:, shoulders or list(legs[:, 0])].mean(1))
    if np.degrees(np.arccos(np.clip(up @ Y, -1, 1))) > MAX_LEAN:
        up = Y
    for _ in range(ROUNDS):
        feet = ankles @ shortest_rotation(up, Y).T
        contact = likely_contact(feet, fps, rest) > 0.5
        up = floor_normal(ankles[contact], up)
    return shortest_rotation(up, Y)


def _on_floor(clip: Clip, method: Path | str) -> Clip:
    """The clip with its floor at 0, below feet in contact, and the contact of its feet."""
    feet = clip.points[:, clip.legs[:, 2]]
    contact = likely_contact(feet, clip.fps, clip.rest)
    if method != "thresholds":  # two opinions, as the network has seen motion made by rule alone
        weights = None if method == "network" else method
        contact = np.sqrt(contact * learned_contact(clip.points, clip.skeleton, clip.fps, weights))
    height = floor_height(feet, contact > 0.5, clip.rest)
    return replace(clip, points=clip.points - [0, height, 0], contact=contact, height=height)
