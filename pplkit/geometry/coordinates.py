"""Coordinates: the one home of (x, y).

Everywhere in the kit a point is (x, y), x to the right and y down, in [-1, 1]: -1 is the centre of an image's
first pixel and +1 the centre of its last one. Every function takes torch tensors; those that only
calculate (`to_unit`, `to_pixels`, `mirror`) take NumPy arrays as well.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Points = TypeVar("Points", Tensor, np.ndarray)


def to_unit(pixels: Points, size: int) -> Points:
    """Pixel coordinates (..., 2), 0 = centre of the first pixel, to [-1, 1] for an image of `size` pixels a side."""
    return pixels * (2 / (size - 1)) - 1


def to_pixels(points: Points, size: int) -> Points:
    """Points (..., 2) in [-1, 1] to pixel coordinates, 0 = centre of the first pixel, size - 1 = of the last."""
    return (points + 1) * ((size - 1) / 2)


def sides_per_unit(size: int) -> float:
    """Image sides in one [-1, 1] unit, (S - 1) / 2S: the side is S pixels long, and from -1 to 1 it is S - 1."""
    return (size - 1) / (2 * size)


def pixel_grid(size: int, device: torch.device | str = "cpu") -> Tensor:
    """Coordinates (size * size, 2) in [-1, 1] of the pixel centres, row by row."""
    line = torch.linspace(-1, 1, size, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def apply_affine(matrices: Tensor, points: Tensor) -> Tensor:
    """One affine map per point: matrices (B, N, 2, 3) and points (N, 2) to (B, N, 2), Θ_i [P_i; 1]."""
    return (matrices[..., :2] @ points[..., None]).squeeze(-1) + matrices[..., 2]


def views(turns: Tensor, scales: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
    """Where pictures of images look: affine (B, 2, 3) from a point of the picture to the one of the image seen there.

    turns (B,) in radians and scales (B,), 2 = twice as much is seen, both around the middle; shifts (B, 2) in [-1, 1]
    units; flips (B,) bool, of the image, before all else.
    """
    cos, sin = scales * turns.cos(), scales * turns.sin()
    x, y = shifts.unbind(1)
    sign = torch.where(flips, -1.0, 1.0)
    return torch.stack((sign * cos, -sign * sin, sign * x, sin, cos, y), dim=1).view(-1, 2, 3)


def steady_views(count: int, turn: float, warp: float, flip: bool) -> Tensor:
    """Views (count, 2, 3) that are the same at each call, the first one of the image as it is.

    The others are drawn as in training: turned by up to `turn` radians, scaled and moved by up to `warp`, every second
    one mirrored if `flip`.
    """
    draws = torch.rand(count, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    draws[0] = 0
    odd = torch.arange(count) % 2 == 1
    return views(turn * draws[:, 0], 1 + warp * draws[:, 1], warp * draws[:, 2:4], odd & flip)


def seen(images: Tensor, view: Tensor) -> Tensor:
    """Images (B, 3, S, S) as they look in views (B, 2, 3); from outside comes the image mirrored at its border."""
    grid = F.affine_grid(view, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def between(first: Tensor, second: Tensor) -> Tensor:
    """Affine maps (B, 2, 3) from points of the first views to the same points in the second; both as `views` gives."""
    back = torch.linalg.inv(second[..., :2])
    shift = back @ (first[..., 2:] - second[..., 2:])
    return torch.cat((back @ first[..., :2], shift), dim=-1)


def onto(first: Tensor, moves: Tensor) -> Tensor:
    """The second views (B, 2, 3) of which `between(first, second)` is `moves`."""
    back = torch.linalg.inv(moves[..., :2])
    turned = first[..., :2] @ back
    return torch.cat((turned, first[..., 2:] - turned @ moves[..., 2:]), dim=-1)


def pairwise_distances(points: Tensor) -> Tensor:
    """Euclidean lengths (..., N, N) between all points (..., N, 2); the gradient of a zero length is zero."""
    squared = (points[..., :, None, :] - points[..., None, :, :]).square().sum(-1)
    return torch.where(squared > 0, squared.clamp_min(1e-12).sqrt(), squared)


def mirror(points: Points, pairs: Sequence[tuple[int, int]] = ()) -> Points:
    """Points (..., J, 2) of a horizontally flipped image; `pairs` names the (left, right) points that change places."""
    order = list(range(points.shape[-2]))
    for left, right in pairs:
        order[left], order[right] = right, left
    flipped = points[..., order, :]
    sign = np.array([-1, 1], dtype=np.float32)
    return flipped * (sign if isinstance(flipped, np.ndarray) else torch.from_numpy(sign).to(flipped))
