"""Coordinates and views: a point is (x, y) in [-1, 1], x to the right, y down.

-1 is the center of an image's first pixel and +1 the center of its last one. `to_unit`, `to_pixels` and `mirror` take
NumPy arrays as well as tensors.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Points = TypeVar("Points", Tensor, np.ndarray)


def to_unit(pixels: Points, size: int) -> Points:
    """Pixel coordinates (..., 2), 0 = center of the first pixel, to [-1, 1] for an image of `size` pixels a side."""
    return pixels * (2 / (size - 1)) - 1


def to_pixels(points: Points, size: int) -> Points:
    """Points (..., 2) in [-1, 1] to pixel coordinates, 0 = center of the first pixel, size - 1 = of the last."""
    return (points + 1) * ((size - 1) / 2)


def sides_per_unit(size: int) -> float:
    """Image sides in one [-1, 1] unit, (S - 1) / 2S: a side is S pixels long, and from -1 to 1 it is S - 1."""
    return (size - 1) / (2 * size)


def pixel_grid(size: int, device: torch.device | str = "cpu") -> Tensor:
    """Coordinates (size * size, 2) in [-1, 1] of the pixel centers, row by row."""
    line = torch.linspace(-1, 1, size, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def pairwise_distances(points: Tensor) -> Tensor:
    """Euclidean lengths (..., N, N) between all points (..., N, 2); the gradient of a zero length is zero."""
    squared = (points[..., :, None, :] - points[..., None, :, :]).square().sum(-1)
    return torch.where(squared > 0, squared.clamp_min(1e-12).sqrt(), squared)


def mirror(points: Points, pairs: Sequence[tuple[int, int]] = ()) -> Points:
    """Points (..., J, 2) of a horizontally flipped image; `pairs` are the (left, right) points that change places.

    Of points with more coordinates, as in 3D, the first changes its sign.
    """
    order = list(range(points.shape[-2]))
    for left, right in pairs:
        order[left], order[right] = right, left
    flipped = points[..., order, :]
    sign = np.ones(points.shape[-1], np.float32)
    sign[0] = -1
    return flipped * (sign if isinstance(flipped, np.ndarray) else torch.from_numpy(sign).to(flipped))


def apply_affine(matrices: Tensor, points: Tensor) -> Tensor:
    """Apply one affine map to each point: matrices (B, N, 2, 3), points (N, 2) to (B, N, 2), Θ_i [P_i; 1]."""
    return (matrices[..., :2] @ points[..., None]).squeeze(-1) + matrices[..., 2]


def view_transforms(turns: Tensor, scales: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
    """Affine maps (B, 2, 3) from a point of a view to the point of the image that is seen there.

    turns (B,) in radians and scales (B,), 2 = twice as much is seen, both around the middle; shifts (B, 2) in [-1, 1]
    units; flips (B,) bool, of the image, before all else.
    """
    cos, sin = scales * turns.cos(), scales * turns.sin()
    x, y = shifts.unbind(1)
    sign = torch.where(flips, -1.0, 1.0)
    return torch.stack((sign * cos, -sign * sin, sign * x, sin, cos, y), dim=1).view(-1, 2, 3)


def tta_transforms(count: int, max_rotation: float, max_shift: float, flip: bool) -> Tensor:
    """View transforms (count, 2, 3) for test-time augmentation, the same at each call; the first is the identity.

    The others are drawn as in training: rotated by up to `max_rotation` radians, scaled and shifted by up to
    `max_shift`, every second one mirrored if `flip`.
    """
    draws = torch.rand(count, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    draws[0] = 0
    odd = torch.arange(count) % 2 == 1
    return view_transforms(
        max_rotation * draws[:, 0], 1 + max_shift * draws[:, 1], max_shift * draws[:, 2:4], odd & flip
    )


def warp(images: Tensor, transforms: Tensor) -> Tensor:
    """Images (B, 3, S, S) in the views `transforms` (B, 2, 3); beyond its border an image is mirrored."""
    grid = F.affine_grid(transforms, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def relative_transform(first: Tensor, second: Tensor) -> Tensor:
    """Affine maps (B, 2, 3) from points of the first views to the same points in the second views."""
    inverse = torch.linalg.inv(second[..., :2])
    shift = inverse @ (first[..., 2:] - second[..., 2:])
    return torch.cat((inverse @ first[..., :2], shift), dim=-1)


def following_view(first: Tensor, relative: Tensor) -> Tensor:
    """The second view transforms (B, 2, 3) for which `relative_transform(first, second)` is `relative`."""
    linear = first[..., :2] @ torch.linalg.inv(relative[..., :2])
    return torch.cat((linear, first[..., 2:] - linear @ relative[..., 2:]), dim=-1)
