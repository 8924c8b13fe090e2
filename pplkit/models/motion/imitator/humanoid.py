"""The published body of 21 bodies and 58 degrees of freedom, and what the imitator reads off its motion.

A state (T, 59) is the root's position (3, meters, z up) and rotation (4, a quaternion), then hinge angles (52, radians)
in the order of `BODIES`. Speeds (T, 58) have the root's linear speed in the world, its angular speed in the root's own
frame, and the hinges'. "Heading frame" is the root's rotation about z alone.
"""

from typing import NamedTuple

import numpy as np

from pplkit.geometry.cameras import inverse_rotation, rotate
from pplkit.geometry.quaternions import from_euler, global_rotations, multiply, normalized

FPS = 30.0
BODIES = (
    "Hips", "Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head",
    "RightShoulder", "RightArm", "RightForeArm", "RightHand", "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand",
    "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 3, 4, 5, 4, 7, 8, 9, 4, 11, 12, 13, 0, 15, 16, 0, 18, 19)
_HEIGHTS = (
    0,
    0.061493,
    0.151493,
    0.241493,
    0.341493,
    0.497008,
    0.681419,
    *[0.4821] * 8,
    *[0, -0.451701, -0.898658] * 2,
)
_SIDES = (
    *[0] * 7,
    *[-0.0286, -0.1505, -0.4303, -0.6803],
    *[0.0286, 0.1505, 0.4303, 0.6803],
    *[-0.135458] * 3,
    *[0.135458] * 3,
)
REST = np.stack([_SIDES, np.zeros(21), _HEIGHTS], axis=-1)
"""Positions (21, 3) in meters of the bodies when nothing is turned, from the hips: arms sideways, x to the left."""
HINGE = {"ForeArm": 2, "Leg": 0}
"""The axis of those with one hinge; all others but the hips have x, y, z, the first outermost."""
NECK_HINGE = 0.557900  # meters above the hips; the neck turns about a point above its own
HEAD_CENTER = -0.018619  # meters along the head's z, of its center of mass
ENDS = tuple(BODIES.index(name) for name in ("LeftFoot", "RightFoot", "LeftHand", "RightHand", "Head"))
JOINTS16 = (0, 15, 16, 17, 18, 19, 20, 3, 5, 6, 12, 13, 14, 8, 9, 10)
"""The bodies that are the 16 joints of the motion loop."""


def hinge_counts() -> list[int]:
    """Hinges of each body: 0 for the hips, 1 for elbows and knees, 3 for all others."""
    return [0] + [1 if part(name) in HINGE else 3 for name in BODIES[1:]]


def part(name: str) -> str:
    """A body's name without its side: "UpLeg" of "RightUpLeg"."""
    return name.removeprefix("Right").removeprefix("Left")


def local_rotations(states: np.ndarray, published: bool = False) -> np.ndarray:
    """Rotations (T, 21, 4) against the parents, that of the hips in the world.

    `published` has all single hinges turn about x, also elbows, which turn about z: so the released rewards have it.
    """
    angles = np.zeros((*states.shape[:-1], 21, 3))
    column = 7
    for body, count in enumerate(hinge_counts()):
        first = 0 if published or count != 1 else HINGE[part(BODIES[body])]
        angles[..., body, first : first + count] = states[..., column : column + count]
        column += count
    rotations = from_euler(angles, (0, 1, 2))
    rotations[..., 0, :] = states[..., 3:7]
    return rotations


def body_positions(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World positions (T, 21, 3) in meters and rotations (T, 21, 4) of the bodies."""
    offsets = REST - REST[list(PARENTS)] * (np.array(PARENTS) >= 0)[:, None]
    positions, world = global_rotations(local_rotations(states), offsets, states[..., :3], PARENTS)
    neck, spine = BODIES.index("Neck"), BODIES.index("Spine3")
    hinge = np.array([0.0, 0.0, NECK_HINGE - REST[spine, 2]])
    place = (
        positions[..., spine, :]
        + rotate(hinge, world[..., spine, :])
        + rotate(offsets[neck] - hinge, world[..., neck, :])
    )
    positions[..., [neck, neck + 1], :] += (place - positions[..., neck, :])[..., None, :]
    return positions, world


def heading(rotations: np.ndarray) -> np.ndarray:
    """The part about z (..., 4) of rotations (..., 4)."""
    return normalized(rotations * [1, 0, 0, 1])


def heading_angle(rotations: np.ndarray) -> np.ndarray:
    """The angle (...) of the heading, from 0 to 2π."""
    turn = heading(rotations)
    return 2 * np.arccos(np.clip(turn[..., 0] * np.where(turn[..., 3] < 0, -1, 1), -1, 1))


def without_heading(rotations: np.ndarray) -> np.ndarray:
    """Rotations (..., 4) seen from the heading frame."""
    return multiply(inverse_rotation(heading(rotations)), rotations)


def difference(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The turns (..., 4) from `first` to `second`, each taken with w of at least 0; the result's w may be negative."""
    second, first = (np.where(value[..., :1] < 0, -value, value) for value in (second, first))
    return multiply(second, inverse_rotation(first))


def half_angles(turns: np.ndarray) -> np.ndarray:
    """Half the angles (...) of turns (..., 4), from 0 to π."""
    return np.arccos(np.clip(turns[..., 0], -1, 1))


def angular_speeds(before: np.ndarray, after: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Angular speeds (..., 3) in rad/s between rotations; turns by more than π are not shortened, as released."""
    turn = difference(after, before)
    sine = np.linalg.norm(turn[..., 1:], axis=-1, keepdims=True)
    angle = 2 * half_angles(turn)[..., None]
    return np.where(sine > 1e-12, turn[..., 1:] / np.maximum(sine, 1e-12) * angle * fps, 0.0)


def state_speeds(states: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Speeds (T, 58) of states (T, 59) since the frame before; the first frame as the second."""
    before, after = states[:-1], states[1:]
    turning = angular_speeds(before[:, 3:7], after[:, 3:7], fps)
    linear, hinges = ((after - before)[:, columns] * fps for columns in (slice(3), slice(7, None)))
    return _repeat_first(np.concatenate([linear, rotate(turning, inverse_rotation(before[:, 3:7])), hinges], axis=1))


class Features(NamedTuple):
    """What rewards compare, of T frames; speeds are those since the frame before."""

    states: np.ndarray  # (T, 59)
    speeds: np.ndarray  # (T, 58)
    rotations: np.ndarray  # (T, 21, 4) as `local_rotations(published=True)`
    turning: np.ndarray  # (T, 21, 3) their angular speeds, rad/s
    ends: np.ndarray  # (T, 5, 3) feet, hands and head from the root, heading frame
    ends_world: np.ndarray  # (T, 5, 3)
    joints: np.ndarray  # (T, 16, 3) from the root, heading frame
    joints_world: np.ndarray  # (T, 16, 3)
    joint_speeds: np.ndarray  # (T, 16, 3) m/s, of `joints`
    tilt: np.ndarray  # (T, 4) the root's rotation without heading
    root_speed: np.ndarray  # (T, 3) m/s, heading frame of the same frame
    root_speed_before: np.ndarray  # (T, 3) the same in the heading frame of the frame before
    head_height: np.ndarray  # (T,) meters, of the head's center of mass


def features(states: np.ndarray, fps: float = FPS) -> Features:
    """Features of states (T, 59), T at least 2."""
    turn = inverse_rotation(heading(states[:, 3:7]))
    (positions, world), rotations = body_positions(states), local_rotations(states, published=True)
    speeds = state_speeds(states, fps)
    joints_world, ends_world = positions[:, list(JOINTS16)], positions[:, list(ENDS)]
    root, head = states[:, None, :3], BODIES.index("Head")
    joints = rotate(joints_world - root, turn[:, None])
    root_speed = rotate(speeds[:, :3], turn)
    return Features(
        states=states,
        speeds=speeds,
        rotations=rotations,
        turning=_repeat_first(angular_speeds(rotations[:-1], rotations[1:], fps)),
        ends=rotate(ends_world - root, turn[:, None]),
        ends_world=ends_world,
        joints=joints,
        joints_world=joints_world,
        joint_speeds=_repeat_first(np.diff(joints, axis=0) * fps),
        tilt=without_heading(states[:, 3:7]),
        root_speed=_repeat_first(root_speed[1:]),
        root_speed_before=_repeat_first(rotate(speeds[1:, :3], turn[:-1])),
        head_height=(positions[:, head] + rotate(np.array([0, 0, HEAD_CENTER]), world[:, head]))[:, 2],
    )


def observation(states: np.ndarray, speeds: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What the policy sees, (292): the state without place and heading, its speeds, and the reference as it is.

    Args:
        states: (59) the simulated state.
        speeds: (58) its speeds.
        reference: (3, 59) the last three frames of the reference, the latest last.
    """
    turn = inverse_rotation(heading(states[3:7]))
    own = [states[2:3], without_heading(states[3:7]), states[7:], rotate(speeds[:3], turn), speeds[3:]]
    return np.concatenate([*own, reference.ravel()])


def _repeat_first(values: np.ndarray) -> np.ndarray:
    """T frames from the T - 1 after the first, which is as the second."""
    return np.concatenate([values[:1], values])
