"""Pinhole cameras: screen coordinates, rotations by quaternions, world and camera space, projection.

Camera space has x to the right, y down and z away from the camera, in meters. Screen coordinates have x from -1 at the
left to 1 at the right border of an image, and y down in the same unit. Quaternions are (w, x, y, z) of length 1. All
functions take NumPy arrays as well as tensors. Formulas: VideoPose3D (Pavllo et al., CVPR 2019), Human3.6M.
"""

from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar("Array", Tensor, np.ndarray)
Distortion = Literal["published", "human36m", "opencv"]


def normalize_screen(pixels: Array, width: int, height: int) -> Array:
    """Pixels (..., 2) to screen coordinates: x' = 2x/w - 1, y' = 2y/w - h/w, which keeps the aspect ratio."""
    return pixels * (2 / width) - _array([1, height / width], pixels)


def image_from_screen(points: Array, width: int, height: int) -> Array:
    """Screen coordinates (..., 2) to pixels, the inverse of `normalize_screen`."""
    return (points + _array([1, height / width], points)) * (width / 2)


def normalize_intrinsics(intrinsics: Array, width: int, height: int) -> Array:
    """Intrinsics (..., 9) in pixels to those that project to screen coordinates; see `project`."""
    center = normalize_screen(intrinsics[..., 2:4], width, height)
    return _library(intrinsics).concatenate((intrinsics[..., :2] * (2 / width), center, intrinsics[..., 4:]), axis=-1)


def mirror_intrinsics(intrinsics: Array, distortion: Distortion = "published") -> Array:
    """Intrinsics (..., 9) of the mirrored camera, in screen coordinates.

    It sees (-x, y, z) where the camera sees (x, y, z), mirrored.
    """
    sign = np.ones(9)
    sign[[2, 7 if distortion == "published" else 8]] = -1
    return intrinsics * _array(sign, intrinsics)


def rotate(points: Array, quaternion: Array) -> Array:
    """Points (..., 3) turned by quaternions (..., 4): v + 2 (w (u x v) + u x (u x v)), u the last three numbers.

    The leading axes of both are broadcast.
    """
    axis = quaternion[..., 1:]
    turned = _cross(axis, points)
    return points + 2 * (quaternion[..., :1] * turned + _cross(axis, turned))


def inverse_rotation(quaternion: Array) -> Array:
    """The quaternions (..., 4) that turn back: (w, -x, -y, -z)."""
    return quaternion * _array([1, -1, -1, -1], quaternion)


def world_to_camera(points: Array, orientation: Array, translation: Array) -> Array:
    """World coordinates (..., 3) in camera space: q⁻¹ (X - t).

    Args:
        points: In the unit of the translation.
        orientation: Quaternion q (..., 4) that turns the camera's axes into those of the world.
        translation: Position t (..., 3) of the camera in the world.
    """
    return rotate(points - translation, inverse_rotation(orientation))


def camera_to_world(points: Array, orientation: Array, translation: Array) -> Array:
    """Points (..., 3) of camera space in world coordinates: q X + t, the inverse of `world_to_camera`."""
    return rotate(points, orientation) + translation


def project_linear(points: Array, intrinsics: Array) -> Array:
    """Points (..., 3) of camera space on the screen (..., 2) without distortion: f (a, b) + c; see `project`."""
    return intrinsics[..., :2] * _directions(points) + intrinsics[..., 2:4]


def project(points: Array, intrinsics: Array, distortion: Distortion = "published") -> Array:
    """Points (..., 3) of camera space on the screen (..., 2), with the distortion of the lens.

    With (a, b) = (x/z, y/z), each clamped to [-1, 1], r² = a² + b² and g = 1 + k₁r² + k₂r⁴ + k₃r⁶, the result is
    f (g (a, b) + m (p·(a, b)) (a, b) + p r²) + c.

    Args:
        points: In any unit; leading axes are broadcast against those of the intrinsics.
        intrinsics: (..., 9): fx, fy, cx, cy, k₁, k₂, k₃, p₁, p₂. The result is in the unit of f and c.
        distortion: How the tangential coefficients enter. "published", as VideoPose3D and the files of projected
            Human3.6M keypoints have it: p = (p₁, p₂), m = 1. "human36m", as the cameras were calibrated:
            p = (p₂, p₁), m = 1. "opencv", as most other calibrations mean it: p = (p₂, p₁), m = 2.
    """
    direction = _directions(points)
    tangential = intrinsics[..., 7:9] if distortion == "published" else intrinsics[..., [8, 7]]
    square = (direction * direction).sum(-1)[..., None]
    radial = 1 + sum(intrinsics[..., 4 + n : 5 + n] * square ** (n + 1) for n in range(3))
    slant = (tangential * direction).sum(-1)[..., None] * (2 if distortion == "opencv" else 1)
    bent = (radial + slant) * direction + tangential * square
    return intrinsics[..., :2] * bent + intrinsics[..., 2:4]


def _directions(points: Array) -> Array:
    return (points[..., :2] / points[..., 2:]).clip(-1, 1)


def _cross(first: Array, second: Array) -> Array:
    """Cross products (..., 3); unlike those of the libraries, the same broadcasting for both."""
    forward, backward = [1, 2, 0], [2, 0, 1]
    return first[..., forward] * second[..., backward] - first[..., backward] * second[..., forward]


def _library(like: Array) -> Any:
    return torch if isinstance(like, Tensor) else np


def _array(values: Any, like: Array) -> Array:
    """`values` as an array of the library, type and device of `like`; integers become floats."""
    if isinstance(like, Tensor):
        return torch.as_tensor(values, dtype=torch.result_type(like, 0.5), device=like.device)
    return np.asarray(values, np.result_type(like.dtype, np.float32) if like.dtype.kind == "f" else float)
