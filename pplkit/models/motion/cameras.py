"""Cameras of the motion loop: random ones around a clip, and the way back from a camera to the ground.

World space has z up, camera space x right, y down, z ahead, both in meters.
"""

from typing import NamedTuple

import numpy as np

from pplkit.geometry.cameras import world_to_camera
from pplkit.geometry.quaternions import from_euler

FOCAL_LENGTH = 2.3  # in screen units, of all cameras that the estimator is trained with
DISTANCE, HEIGHT = (3.5, 6.0), (1.4, 1.7)  # meters
PITCH, ROLL, YAW = (-115.0, -95.0), (-5.0, 5.0), (80.0, 100.0)  # degrees about x, y, z
PLACE = np.array([0.0, 0.4])  # meters, where the middle of the path is put
LARGE_PATH, SHIFT = 1.0, 0.4  # a path smaller than this is shifted by up to that, in meters
UP = np.array([0.0, -0.97, -0.25])  # in camera space, of the cameras of Human3.6M
SURE = 0.996  # cosine from which the body's axis is believed to be upright


class RandomCamera(NamedTuple):
    """Uniform numbers that decide on a camera, in the order in which they are drawn."""

    distance: float
    height: float
    angles: tuple[float, float, float]  # degrees about x, y, z
    shift: tuple[float, float] = (0.0, 0.0)  # meters, used for paths smaller than `LARGE_PATH`


def random_camera(rng: np.random.Generator) -> RandomCamera:
    """A camera 3.5 to 6 m away that looks down at the ground."""
    numbers = [float(rng.uniform(*limits)) for limits in (DISTANCE, HEIGHT, PITCH, ROLL, YAW)]
    shift = rng.uniform(-SHIFT, SHIFT, 2)
    return RandomCamera(
        numbers[0], numbers[1], (numbers[2], numbers[3], numbers[4]), (float(shift[0]), float(shift[1]))
    )


def random_turn(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (..., 3) turned about the vertical by a random angle."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return (points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])).astype(points.dtype)


def seen_by(points: np.ndarray, camera: RandomCamera) -> np.ndarray:
    """Joints (T, J, 3) of world space in the space of a camera; the first joint is the root.

    The middle of the bounding box of the root's path is put at (0, 0.4); a path of which no side is longer than 1 m is
    shifted further.
    """
    path = points[:, 0, :2]
    low, high = path.min(0), path.max(0)
    shift = PLACE - (low + high) / 2
    if (high - low).max() < LARGE_PATH:
        shift = shift + camera.shift
    # Turns about fixed axes x, y, z are turns about moving axes z, y, x.
    turn = from_euler(np.radians(camera.angles[::-1]), (2, 1, 0))
    place = np.array([camera.distance, 0.0, camera.height])
    return world_to_camera(points + np.append(shift, 0), turn, place)


def project(points: np.ndarray) -> np.ndarray:
    """Screen coordinates (..., 2) of points (..., 3) in camera space: 2.3 (x / z, y / z)."""
    return FOCAL_LENGTH * points[..., :2] / points[..., 2:]


def upright(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Joints (T, J, 3) of camera space in a world with z up, and the cosine between the body's axis and usual up.

    The body's axis is the first principal axis of all joints relative to the hips. If its cosine with `UP` is above
    0.996 in size, it is up; otherwise `UP` itself is. x is the second axis made horizontal, towards the camera's x.
    The origin stays the camera.
    """
    relative = (points - points[:, :1]).reshape(-1, 3)
    axes = np.linalg.svd(relative - relative.mean(0), full_matrices=False)[2]
    usual = UP / np.linalg.norm(UP)
    cosine = float(axes[0] @ usual)
    up = axes[0] * np.sign(cosine) if abs(cosine) > SURE else usual
    side = axes[1] - (axes[1] @ up) * up
    side /= np.linalg.norm(side) * (np.sign(side[0]) or 1.0)
    return points @ np.stack([side, np.cross(up, side), up], axis=1), cosine


def on_ground(points: np.ndarray, published: bool = False) -> np.ndarray:
    """Motion (T, J, 3), z up, with its lowest joint on the floor.

    Args:
        points: In meters.
        published: Whether each frame is put on the floor by itself, as released, so that nobody can jump. Otherwise
            the clip is moved as a whole, by the median of the lowest tenth of its lowest joints.
    """
    lowest = points[..., 2].min(-1)
    if not published:
        lowest = np.full_like(lowest, np.median(lowest[lowest <= np.quantile(lowest, 0.1)]))
    result = points.copy()
    result[..., 2] -= lowest[:, None]
    return result
