"""Bodies for motion made by rule: bone lengths, and where each of many skeleton definitions puts its joints.

All lengths are in meters; a body's axes are x to its left, y up, z forward.
"""

from dataclasses import dataclass

import numpy as np

from pplkit.data.skeletons import H36M17
from pplkit.geometry.kinematics import axis_rotation, bend_limb

JOINT = {name: number for number, name in enumerate(H36M17.joints)}
ANKLE_HEIGHT = 0.08  # above the sole
CLOSEST_ANKLE = 0.28  # lengths of the leg from the hip, where the knee is bent by about 147 degrees
LEFT, RIGHT = 0, 1
# Flesh around joints that lie on the floor; the trunk is thick, hands and feet are thin.
RADIUS = np.full(17, 0.08, np.float32)
RADIUS[[JOINT["left wrist"], JOINT["right wrist"], JOINT["left elbow"], JOINT["right elbow"]]] = 0.04
RADIUS[[JOINT["left knee"], JOINT["right knee"]]] = 0.06


@dataclass(frozen=True, eq=False)
class Bodies:
    """B bodies; the offsets are (B, 3) in the axes of the part that carries them, lengths (B, 1)."""

    pelvis: np.ndarray  # from the middle of the hips
    hip: np.ndarray  # half of the distance between the hips
    thigh: np.ndarray
    shin: np.ndarray
    spine: np.ndarray  # from the middle of the hips, in the axes of the lower trunk
    thorax: np.ndarray  # from the spine, in the axes of the upper trunk
    shoulder: np.ndarray  # the left one from the thorax, in the axes of the upper trunk
    upper_arm: np.ndarray
    forearm: np.ndarray
    nose: np.ndarray  # from the thorax, in the axes of the neck
    head: np.ndarray  # from the nose, in the axes of the head

    @property
    def leg(self) -> np.ndarray:
        """Length of a straight leg (B, 1)."""
        return self.thigh + self.shin


def random_bodies(rng: np.random.Generator, count: int) -> Bodies:
    """Bodies of all sizes, with bone lengths that vary by 8 to 20 % against each other, and their joints' places."""

    def length(mean: float, deviation: float) -> np.ndarray:
        factor = 1 + deviation * np.clip(rng.normal(size=(count, 1)), -2, 2)
        return (mean * size * factor).astype(np.float32)

    def offset(x: float, y: float, z: float, spread: float) -> np.ndarray:
        shift = spread * rng.uniform(-1, 1, (count, 3)) * [x != 0, 1, 1]
        return (size * ([x, y, z] + shift)).astype(np.float32)

    size = 1 + 0.08 * np.clip(rng.normal(size=(count, 1)), -2.2, 2.2)
    trunk = length(0.49, 0.1)
    middle = rng.uniform(0.35, 0.68, (count, 1))  # where along the trunk the definition has its spine
    forward = np.array([0, 0, 1]) * rng.uniform(-0.03, 0.02, (count, 1)) * size
    above = rng.random((count, 1)) < 0.3  # definitions whose pelvis lies above the hips
    pelvis = np.array([0, 1, 0]) * np.where(above, rng.uniform(0, 0.07, (count, 1)), 0) * size
    up = np.array([0, 1, 0])
    return Bodies(
        pelvis=pelvis.astype(np.float32),
        hip=length(0.1, 0.15),
        thigh=length(0.43, 0.08),
        shin=length(0.415, 0.08),
        spine=(up * trunk * middle + forward).astype(np.float32),
        thorax=(up * trunk * (1 - middle) - forward).astype(np.float32),
        shoulder=offset(0.18, -0.01, 0.0, 0.035),
        upper_arm=length(0.278, 0.08),
        forearm=length(0.25, 0.1),
        nose=offset(0, 0.1, 0.06, 0.05),
        head=offset(0, 0.135, -0.03, 0.05),
    )


def mirrored(rotations: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of the left side as those of the right."""
    sign = np.array([-1, 1, 1], rotations.dtype)
    return rotations * sign[:, None] * sign


def limb_rotation(swing: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of a hanging left limb by (..., 3) radians: elevation, direction, turn about itself.

    The limb is raised by the elevation towards a direction that goes from sideways (0) to forward (π/2) and across the
    body; its hinge keeps pointing forward.
    """
    elevation, direction, turn = np.moveaxis(swing, -1, 0)
    return axis_rotation(-direction, 1) @ axis_rotation(elevation, 2) @ axis_rotation(direction + turn, 1)


def _turned(rotations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return (rotations @ vectors[..., None])[..., 0]


def upper_body(
    positions: np.ndarray, bodies: Bodies, hips: np.ndarray, pelvis: np.ndarray, trunk: np.ndarray, arms: np.ndarray
) -> None:
    """Fill in all joints above the hips of positions (B, F, 17, 3).

    Args:
        positions: Whose entries are set.
        bodies: Their lengths.
        hips: (B, F, 3) middle of the hips.
        pelvis: (B, F, 3, 3) its rotation.
        trunk: (B, F, 6) radians: bend forward, twist, bend to the left; then nod, turn and tilt of the head.
        arms: (B, F, 2, 4) radians: elevation, direction and turn of the left and right upper arm, bend of the elbow.
    """
    half = trunk[..., :3] / 2
    bend = axis_rotation(half[..., 1], 1) @ axis_rotation(half[..., 0], 0) @ axis_rotation(-half[..., 2], 2)
    lower = pelvis @ bend
    upper = lower @ bend
    part = trunk[..., 3:] / 2
    nod = axis_rotation(part[..., 1], 1) @ axis_rotation(part[..., 0], 0) @ axis_rotation(-part[..., 2], 2)
    neck = upper @ nod
    positions[..., JOINT["pelvis"], :] = hips + _turned(pelvis, bodies.pelvis[:, None])
    spine = hips + _turned(lower, bodies.spine[:, None])
    thorax = spine + _turned(upper, bodies.thorax[:, None])
    nose = thorax + _turned(neck, bodies.nose[:, None])
    positions[..., JOINT["spine"], :], positions[..., JOINT["thorax"], :] = spine, thorax
    positions[..., JOINT["nose"], :] = nose
    positions[..., JOINT["head"], :] = nose + _turned(neck @ nod, bodies.head[:, None])
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        sign = np.array([1 - 2 * side, 1, 1], np.float32)
        swing = limb_rotation(arms[..., side, :3])
        hinge = axis_rotation(-arms[..., side, 3], 0)
        # A raised arm lifts its shoulder.
        lift = np.maximum(arms[..., side, 0] - 0.8, 0)[..., None] * np.array([-0.012, 0.045, 0], np.float32)
        shoulder = thorax + _turned(upper, (bodies.shoulder[:, None] + lift) * sign)
        rotation = upper @ (mirrored(swing) if side else swing)
        elbow = shoulder - rotation[..., 1] * bodies.upper_arm[:, None]
        wrist = elbow - (rotation @ hinge)[..., 1] * bodies.forearm[:, None]
        for joint, value in (("shoulder", shoulder), ("elbow", elbow), ("wrist", wrist)):
            positions[..., JOINT[f"{name} {joint}"], :] = value


def hip_joints(bodies: Bodies, hips: np.ndarray, pelvis: np.ndarray) -> np.ndarray:
    """The left and right hip (B, F, 2, 3)."""
    beside = pelvis[..., 0] * bodies.hip[:, None]
    return np.stack([hips + beside, hips - beside], axis=2)


def swung_legs(bodies: Bodies, joints: np.ndarray, pelvis: np.ndarray, legs: np.ndarray) -> np.ndarray:
    """Knees and ankles (B, F, 2 sides, 2, 3) from the hips (B, F, 2, 3) and angles.

    `legs` are (B, F, 2, 4) radians: forward, outward and turn of each thigh, bend of the knee.
    """
    ends = []
    for side in (LEFT, RIGHT):
        forward, outward, turn, bend = np.moveaxis(legs[..., side, :], -1, 0)
        swing = axis_rotation(outward, 2) @ axis_rotation(-forward, 0) @ axis_rotation(turn, 1)
        rotation = pelvis @ (mirrored(swing) if side else swing)
        knee = joints[..., side, :] - rotation[..., 1] * bodies.thigh[:, None]
        ankle = knee - (rotation @ axis_rotation(bend, 0))[..., 1] * bodies.shin[:, None]
        ends.append(np.stack([knee, ankle], axis=-2))
    return np.stack(ends, axis=2)


def reaching_legs(
    bodies: Bodies, joints: np.ndarray, pelvis: np.ndarray, ankles: np.ndarray, toe_out: np.ndarray
) -> np.ndarray:
    """Knees and ankles (B, F, 2 sides, 2, 3) of legs that reach for ankles (B, F, 2, 3); `toe_out` (B, 1) radians."""
    ends = []
    for side in (LEFT, RIGHT):
        turn = toe_out if side == LEFT else -toe_out
        hinge = np.cos(turn)[..., None] * pelvis[..., 0] - np.sin(turn)[..., None] * pelvis[..., 2]
        lengths = bodies.thigh[:, None], bodies.shin[:, None]
        start, reach = joints[..., side, :], ankles[..., side, :] - joints[..., side, :]
        distance = np.linalg.norm(reach, axis=-1, keepdims=True)
        target = start + reach * np.maximum(1, CLOSEST_ANKLE * bodies.leg[:, None] / distance)
        knee, ankle = bend_limb(start, target, *lengths, hinge)
        ends.append(np.stack([knee, ankle], axis=-2))
    return np.stack(ends, axis=2)


def set_legs(positions: np.ndarray, joints: np.ndarray, ends: np.ndarray) -> None:
    """Fill in the legs of positions (B, F, 17, 3) from hips (B, F, 2, 3), and knees and ankles (B, F, 2, 2, 3)."""
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        positions[..., JOINT[f"{name} hip"], :] = joints[..., side, :]
        positions[..., JOINT[f"{name} knee"], :] = ends[..., side, 0, :]
        positions[..., JOINT[f"{name} ankle"], :] = ends[..., side, 1, :]
