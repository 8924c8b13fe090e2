"""Articulated bodies: joint positions from rotations and back, and the bend of a limb that reaches for a point.

Rotations are matrices (..., 3, 3) that turn column vectors.
"""

from collections.abc import Sequence

import numpy as np

SMALLEST_LENGTH = 1e-9  # below which a vector has no direction


def axis_rotation(angle: np.ndarray, axis: int) -> np.ndarray:
    """Rotations (..., 3, 3) by angles (...) in radians about the axis x (0), y (1) or z (2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*np.shape(angle), 3, 3), cos.dtype)
    second, third = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1
    matrix[..., second, second] = matrix[..., third, third] = cos
    matrix[..., second, third], matrix[..., third, second] = -sin, sin
    return matrix


def euler_rotation(angles: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Rotations (..., 3, 3): the product of turns by N angles (..., N) in radians, the first leftmost."""
    result = axis_rotation(angles[..., 0], order[0])
    for number, axis in enumerate(order[1:], start=1):
        result = result @ axis_rotation(angles[..., number], axis)
    return result


def euler_angles(rotations: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Angles (..., 3) in radians about three different axes, the inverse of `euler_rotation`.

    The second angle is in [-π/2, π/2]. Where it is ±π/2, the first and third are not unique; the third is then 0.
    """
    i, j, k = order
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    sine = np.clip(sign * rotations[..., i, k], -1, 1)
    first = np.arctan2(-sign * rotations[..., j, k], rotations[..., k, k])
    third = np.arctan2(-sign * rotations[..., i, j], rotations[..., i, i])
    locked = np.abs(sine) > 1 - 1e-9
    first = np.where(locked, np.arctan2(sign * rotations[..., k, j], rotations[..., j, j]), first)
    return np.stack([first, np.arcsin(sine), np.where(locked, 0.0, third)], axis=-1)


def forward_kinematics(
    rotations: np.ndarray, offsets: np.ndarray, root: np.ndarray, parents: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (..., J, 3) and world rotations (..., J, 3, 3) of the joints.

    Args:
        rotations: (..., J, 3, 3) of each joint against its parent.
        offsets: (..., J, 3), broadcast: each joint in the axes of its parent. That of the root is not used.
        root: (..., 3) positions of the root.
        parents: For each joint its parent, which comes before it; -1 for the root, which is first.
    """
    positions = np.empty(rotations.shape[:-1], np.result_type(rotations, offsets, root))
    world = np.empty_like(rotations)
    offsets = np.broadcast_to(offsets, positions.shape)
    positions[..., 0, :], world[..., 0, :, :] = root, rotations[..., 0, :, :]
    for joint, parent in list(enumerate(parents))[1:]:
        turned = (world[..., parent, :, :] @ offsets[..., joint, :, None])[..., 0]
        positions[..., joint, :] = positions[..., parent, :] + turned
        world[..., joint, :, :] = world[..., parent, :, :] @ rotations[..., joint, :, :]
    return positions, world


def bend_limb(
    start: np.ndarray, target: np.ndarray, upper: np.ndarray, lower: np.ndarray, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The middle and the end (..., 3) of a limb of two bones that reaches for a target, or towards it if it is far.

    Args:
        start: (..., 3) of the upper bone.
        target: (..., 3) for the end of the lower bone.
        upper: (..., 1) length of the upper bone.
        lower: (..., 1) length of the lower bone.
        side: (..., 3) axis of the hinge: the middle lies towards (target - start) x side.
    """
    reach = target - start
    distance = np.maximum(np.linalg.norm(reach, axis=-1, keepdims=True), SMALLEST_LENGTH)
    length = np.clip(distance, np.abs(upper - lower) + 1e-4, (upper + lower) * 0.9995)
    along = reach / distance
    # The law of cosines: how far along the reach the middle lies, and how far beside it.
    share = (length**2 + upper**2 - lower**2) / (2 * length)
    beside = np.sqrt(np.maximum(upper**2 - share**2, 0))
    bend = np.cross(along, side)
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), SMALLEST_LENGTH)
    return start + share * along + beside * bend, start + length * along


def shortest_rotation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) by the smallest angle that turn directions `first` (..., 3) into `second` (..., 3)."""
    a = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), SMALLEST_LENGTH)
    b = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), SMALLEST_LENGTH)
    axis, cosine = np.cross(a, b), (a * b).sum(-1)
    # Opposite directions: half a turn about any axis at a right angle to them.
    opposite = cosine < -1 + 1e-9
    other = np.cross(a, np.where(np.abs(a[..., :1]) < 0.9, np.array([1.0, 0, 0]), np.array([0, 1.0, 0])))
    other /= np.maximum(np.linalg.norm(other, axis=-1, keepdims=True), SMALLEST_LENGTH)
    skew = np.zeros((*axis.shape, 3))
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    skew -= np.swapaxes(skew, -1, -2)
    factor = 1 / np.where(opposite, 1, 1 + cosine)
    turn = np.eye(3) + skew + skew @ skew * factor[..., None, None]
    half_turn = 2 * other[..., :, None] * other[..., None, :] - np.eye(3)
    return np.where(opposite[..., None, None], half_turn, turn)


def fit_rotation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) that turn vectors `first` (..., N, 3) into `second` (..., N, 3), with least squares.

    By singular values (Kabsch 1976), never a mirror.
    """
    u, _, v = np.linalg.svd(np.swapaxes(second, -1, -2) @ first)
    u[..., 2] *= np.sign(np.linalg.det(u @ v))[..., None]
    return u @ v
