"""Rotations as quaternions (..., 4) of length 1, in the order (w, x, y, z), and bodies whose joints they turn.

All functions take NumPy arrays as well as tensors; leading axes are broadcast. q and -q are the same rotation.
`pplkit.geometry.cameras` turns points (`rotate`) and inverts (`inverse_rotation`).
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pplkit.geometry.cameras import inverse_rotation, rotate

Array = TypeVar("Array", Tensor, np.ndarray)
NEARLY_EQUAL = 0.99  # cosine of half the angle from which the way is a straight line, 3e-5 beside the arc at most


def multiply(first: Array, second: Array) -> Array:
    """The rotation by `second`, then by `first` (Hamilton's product)."""
    w1, x1, y1, z1 = (first[..., n] for n in range(4))
    w2, x2, y2, z2 = (second[..., n] for n in range(4))
    product = (
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
    )
    return _library(first).stack(product, -1)  # type: ignore[no-any-return]


def normalized(quaternions: Array) -> Array:
    """Quaternions of length 1."""
    return quaternions / (quaternions**2).sum(-1)[..., None] ** 0.5


def from_rotation_vectors(vectors: Array) -> Array:
    """Rotations about vectors (..., 3) by their lengths in radians."""
    lib = _library(vectors)
    # The smallest number under the root keeps the gradient of no rotation finite.
    half = ((vectors**2).sum(-1)[..., None] + 1e-24) ** 0.5 / 2
    return lib.concatenate((lib.cos(half), vectors * (lib.sin(half) / (2 * half))), -1)  # type: ignore[no-any-return]


def rotation_vectors(quaternions: Array) -> Array:
    """Axes times angles (..., 3) in radians, at most π long; the inverse of `from_rotation_vectors`."""
    lib = _library(quaternions)
    whole = lib.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = ((whole[..., 1:] ** 2).sum(-1)[..., None] + 1e-24) ** 0.5
    return whole[..., 1:] * (2 * lib.arctan2(sine, whole[..., :1]) / sine)  # type: ignore[no-any-return]


def from_euler(angles: Array, order: Sequence[int]) -> Array:
    """The product of turns by N angles (..., N) in radians about the axes `order`, the first leftmost."""
    lib = _library(angles)
    result: Any = None
    for number, axis in enumerate(order):
        half = angles[..., number] / 2
        parts = [lib.cos(half)] + [0 * half] * 3
        parts[axis + 1] = lib.sin(half)
        turn = lib.stack(parts, -1)
        result = turn if result is None else multiply(result, turn)
    return result  # type: ignore[no-any-return]


def between(first: Array, second: Array) -> Array:
    """The shortest rotations that turn directions `first` (..., 3) into `second`, which must not be opposite.

    Not of length 1 (`normalized` makes them so), as interpolating code publishes them.
    """
    lib = _library(first)
    lengths = ((first**2).sum(-1) * (second**2).sum(-1)) ** 0.5
    ahead, behind = [1, 2, 0], [2, 0, 1]
    axis = first[..., ahead] * second[..., behind] - first[..., behind] * second[..., ahead]
    return lib.concatenate(((lengths + (first * second).sum(-1))[..., None], axis), -1)  # type: ignore[no-any-return]


def slerp(first: Array, second: Array, share: Array | float) -> Array:
    """Rotations on the shorter way from `first` (share 0) to `second` (share 1), at constant speed.

    `share` is a number, or broadcast with a last axis of 1. Where the two nearly agree, the way is a straight line.
    """
    lib = _library(first)
    cosine = (first * second).sum(-1)[..., None]
    second = lib.where(cosine < 0, -second, second)
    cosine = abs(cosine)
    angle = lib.arccos(lib.clip(cosine, 0, NEARLY_EQUAL))
    near = cosine > NEARLY_EQUAL
    start = lib.where(near, 1 - share + 0 * angle, lib.sin((1 - share) * angle) / lib.sin(angle))
    end = lib.where(near, share + 0 * angle, lib.sin(share * angle) / lib.sin(angle))
    return normalized(start * first + end * second)


def matrices(quaternions: Array) -> Array:
    """Rotation matrices (..., 3, 3) that turn column vectors."""
    lib = _library(quaternions)
    w, x, y, z = (quaternions[..., n] for n in range(4))
    rows = (
        lib.stack((1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)), -1),
        lib.stack((2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)), -1),
        lib.stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), -1),
    )
    return lib.stack(rows, -2)  # type: ignore[no-any-return]


def from_matrices(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4), w at least 0, of rotation matrices (..., 3, 3).

    By the one of four formulas that divides by the largest number (Shepperd 1978).
    """
    r = np.asarray(rotations)
    a, b, c = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    products = np.empty((*r.shape[:-2], 4, 4), np.result_type(r, np.float32))  # 4 q qᵀ
    diagonal = (1 + a + b + c, 1 + a - b - c, 1 - a + b - c, 1 - a - b + c)
    for n, value in enumerate(diagonal):
        products[..., n, n] = value
    for n, (i, j) in enumerate(((2, 1), (0, 2), (1, 0)), start=1):
        products[..., 0, n] = products[..., n, 0] = r[..., i, j] - r[..., j, i]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        products[..., i + 1, j + 1] = products[..., j + 1, i + 1] = r[..., i, j] + r[..., j, i]
    largest = np.stack(diagonal, -1).argmax(-1)
    chosen = np.take_along_axis(products, largest[..., None, None], -2)[..., 0, :]
    result = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.where(result[..., :1] < 0, -result, result)


def global_rotations(local: Array, offsets: Array, root: Array, parents: Sequence[int]) -> tuple[Array, Array]:
    """Positions (..., J, 3) and world rotations (..., J, 4) of the joints of a body.

    Args:
        local: (..., J, 4) rotations of the joints against their parents.
        offsets: (..., J, 3), broadcast: each joint in the axes of its parent. That of the root is not used.
        root: (..., 3) positions of the root.
        parents: For each joint its parent, which comes before it; -1 for the root, which is first.
    """
    positions, rotations = [root], [local[..., 0, :]]
    for joint, parent in list(enumerate(parents))[1:]:
        positions.append(positions[parent] + rotate(offsets[..., joint, :], rotations[parent]))
        rotations.append(multiply(rotations[parent], local[..., joint, :]))
    lib = _library(local)
    return lib.stack(positions, -2), lib.stack(rotations, -2)


def local_rotations(rotations: Array, parents: Sequence[int]) -> Array:
    """Rotations (..., J, 4) against the parents from those in the world (..., J, 4)."""
    above = rotations[..., list(parents[1:]), :]
    below = multiply(inverse_rotation(above), rotations[..., 1:, :])
    return _library(rotations).concatenate((rotations[..., :1, :], below), -2)  # type: ignore[no-any-return]


def _library(like: Array) -> Any:
    return torch if isinstance(like, Tensor) else np
