"""From the joints of a person to the positions of a body: rotations that point its bones where those of the joints do.

Joints here are those of h36m17 in the axes of bodies, x forward, y left, z up, in meters.
"""

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.geometry.kinematics import SMALLEST_LENGTH, fit_rotation, shortest_rotation
from pplkit.geometry.quaternions import from_matrices
from pplkit.models.motion.body import ANKLE, HEEL, TOE, Body, Vector
from pplkit.models.motion.body_pose import BodyKinematics

FLOOR_QUANTILE = 0.05  # of the heights of the lower ankle
BENT = 0.35  # sine of the bend of a limb above which its plane alone says how it is turned about itself
PITCH_STEP = 0.002  # radians, of the search for a foot's pitch


def to_body_axes(points: np.ndarray) -> np.ndarray:
    """World points (..., 3) with y up in the axes of bodies, z up."""
    x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    return np.stack([x, -z, y], axis=-1)


def from_body_axes(points: np.ndarray) -> np.ndarray:
    """The inverse of `to_body_axes`."""
    x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    return np.stack([x, z, -y], axis=-1)


def floor_height(joints: np.ndarray, ankle: float) -> float:
    """Height of the ground under joints (T, 17, 3): a low quantile of the lower ankle, less its height above the sole.

    One for the whole clip, so that jumps stay jumps.
    """
    ankles = joints[:, [H36M17.joints.index("right ankle"), H36M17.joints.index("left ankle")], 2]
    return float(np.quantile(ankles.min(-1), FLOOR_QUANTILE)) - ankle


def retargeted(body: Body, joints: np.ndarray) -> np.ndarray:
    """Positions (T, Q) of a humanoid for joints (T, 17, 3), its ground at height 0 if `joints` are above theirs.

    The trunk is turned as its joints are, with least squares; each limb so that its bones have the directions of those
    of the joints, with elbow and knee in the plane of the limb (that of the trunk's sides where it is straight). A foot
    keeps its angle to the shin unless its sole would be below the ground. The pelvis keeps its place, scaled by the
    ratio of the legs. Raises PplkitError for joints that are missing.
    """
    joints = np.asarray(joints, np.float64)
    if joints.shape[1:] != (len(H36M17.joints), 3) or not np.isfinite(joints).all():
        raise PplkitError("a body follows whole poses of the 17 joints of h36m17: complete missing joints first.")
    at = {name: joints[:, number] for number, name in enumerate(H36M17.joints)}
    count = len(joints)
    qpos = np.zeros((count, body.position_count))
    legs = [at[f"{side} {end}"] for side in ("right", "left") for end in ("hip", "knee", "ankle")]
    leg = np.mean([np.median(np.linalg.norm(legs[n + 1] - legs[n], axis=-1)) for n in (0, 1, 3, 4)]) * 2
    scale = -(_offset(body, "right shin")[2] + _offset(body, "right foot")[2]) / max(leg, SMALLEST_LENGTH)
    qpos[:, :3] = at["pelvis"] * scale
    pelvis = fit_rotation(_rest(body, "pelvis"), _relative(at, "pelvis", ("right hip", "left hip", "spine")))
    qpos[:, 3:7] = _continuous(from_matrices(pelvis))
    chest = fit_rotation(_rest(body, "spine"), _relative(at, "spine", ("thorax", "right shoulder", "left shoulder")))
    _write(qpos, body, "chest", np.swapaxes(pelvis, -1, -2) @ chest)
    line = np.swapaxes(chest, -1, -2) @ (at["head"] - at["thorax"])[..., None]
    _write(qpos, body, "head", shortest_rotation(np.array([0.0, 0, 1]), line[..., 0]))
    for side in ("right", "left"):
        _limb(qpos, body, at, side, ("upper arm", "forearm"), ("shoulder", "elbow", "wrist"), chest, -1.0)
        shin = _limb(qpos, body, at, side, ("thigh", "shin"), ("hip", "knee", "ankle"), pelvis, 1.0)
        _foot(qpos, body, side, at[f"{side} ankle"][:, 2] * scale, shin)
    low = np.array([hinge.low for hinge in body.hinges])
    high = np.array([hinge.high for hinge in body.hinges])
    qpos[:, 7:] = np.clip(qpos[:, 7:], low, high)
    return qpos


def _offset(body: Body, name: str) -> Vector:
    return next(segment.offset for segment in body.segments if segment.name == name)


def _rest(body: Body, start: str) -> np.ndarray:
    """The joints that the pelvis ("pelvis") or the chest ("spine") carries, from its own (3, 3)."""
    if start == "pelvis":
        return np.array([_offset(body, name) for name in ("right thigh", "left thigh", "chest")])
    return np.array([_offset(body, name) for name in ("head", "right upper arm", "left upper arm")])


def _relative(at: dict[str, np.ndarray], start: str, ends: tuple[str, ...]) -> np.ndarray:
    return np.stack([at[end] - at[start] for end in ends], axis=1)


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations (T, 4) without changes of sign from frame to frame."""
    signs = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    return quaternions * np.cumprod(np.concatenate([[1.0], signs]))[:, None]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALLEST_LENGTH)


def _write(qpos: np.ndarray, body: Body, name: str, local: np.ndarray) -> None:
    """Put the angles of a segment's three hinges, which are at right angles, for rotations (T, 3, 3) into `qpos`."""
    segment = next(segment for segment in body.segments if segment.name == name)
    frame = np.array([hinge.axis for hinge in segment.hinges]).T  # its columns are the axes
    # In the axes of the hinges the turn is one about x, then y, then z, or in a left-handed order its mirror.
    hand = np.sign(np.linalg.det(frame))
    r = frame.T @ local @ frame
    sine = np.clip(r[..., 0, 2], -1, 1)
    first, third = np.arctan2(-r[..., 1, 2], r[..., 2, 2]), np.arctan2(-r[..., 0, 1], r[..., 0, 0])
    angles = hand * np.stack([first, np.arcsin(sine), third], axis=-1)
    # Two triples of angles give one turn; of these and their multiples, those next to the frame before.
    other = angles * [1, -1, 1] + hand * np.pi * np.array([1.0, 1, 1])
    result = np.empty_like(angles)
    before = np.zeros(3)
    for frame_number, pair in enumerate(np.stack([angles, other], axis=1)):
        near = pair + 2 * np.pi * np.round((before - pair) / (2 * np.pi))
        before = near[np.abs(near - before).sum(-1).argmin()]
        result[frame_number] = before
    qpos[:, body.column(name)] = result


def _limb(
    qpos: np.ndarray, body: Body, at: dict[str, np.ndarray], side: str, parts: tuple[str, str],
    joints: tuple[str, str, str], carrier: np.ndarray, sign: float,
) -> np.ndarray:  # fmt: skip
    """Angles of a limb of two parts into `qpos`; returns the world rotation (T, 3, 3) of its lower part.

    `sign` is that of the lower part's angle about y: positive for knees, negative for elbows.
    """
    start, middle, end = (at[f"{side} {name}"] for name in joints)
    upper, lower = _unit(middle - start), _unit(end - middle)
    across = np.cross(upper, lower) * sign
    bend = np.linalg.norm(across, axis=-1, keepdims=True)
    # Where the limb is straight, its hinge lies as when the upper part is turned from rest the shortest way.
    shortest = carrier @ shortest_rotation(
        np.array([0.0, 0, -1]), (np.swapaxes(carrier, -1, -2) @ upper[..., None])[..., 0]
    )
    share = np.clip(bend / BENT, 0, 1)
    hinge = _unit(across) * share + shortest[..., 1] * (1 - share)
    y = _unit(hinge - upper * (hinge * upper).sum(-1, keepdims=True))
    world = np.stack([np.cross(y, -upper), y, -upper], axis=-1)
    _write(qpos, body, f"{side} {parts[0]}", np.swapaxes(carrier, -1, -2) @ world)
    inside = (np.swapaxes(world, -1, -2) @ lower[..., None])[..., 0]
    angle = np.arctan2(-inside[:, 0], -inside[:, 2])
    qpos[:, body.column(f"{side} {parts[1]}").start] = angle
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    bent = np.stack([cos, zero, sin, zero, zero + 1, zero, -sin, zero, cos], axis=-1).reshape(-1, 3, 3)
    return world @ bent


def _foot(qpos: np.ndarray, body: Body, side: str, height: np.ndarray, shin: np.ndarray) -> None:
    """The pitch of a foot: the smallest turn against the shin at which neither heel nor toes are below the ground."""
    segment = next(segment for segment in body.segments if segment.name == f"{side} foot")
    pitch = segment.hinges[0]
    size = body.points[f"{side} toe"][1][0] / TOE
    options = np.arange(np.floor(pitch.low / PITCH_STEP), np.ceil(pitch.high / PITCH_STEP) + 1) * PITCH_STEP
    cos, sin = np.cos(options), np.sin(options)
    lowest = np.full((len(height), len(options)), np.inf)
    for x, z in ((TOE * size, -ANKLE * size), (-HEEL * size, -ANKLE * size)):
        # A turn by the angle about y, then by the shin: the height of the place (x, 0, z).
        place = np.stack([cos * x + sin * z, np.zeros_like(cos), -sin * x + cos * z])
        lowest = np.minimum(lowest, height[:, None] + (shin @ place)[:, 2])
    depth = np.maximum(-lowest, 0)
    best = (depth * 1000 + np.abs(options)).argmin(-1)
    qpos[:, body.column(segment.name).start] = options[best]


def followed(body: Body, qpos: np.ndarray) -> np.ndarray:
    """The joints (T, 17, 3) of h36m17 at positions (T, Q)."""
    return BodyKinematics(body)(qpos).points[..., : len(H36M17.joints), :]
