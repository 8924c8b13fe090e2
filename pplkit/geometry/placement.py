"""Where a body is in front of a camera: the path of its root, from poses relative to it and their keypoints.

With focal length f, a joint at (x, y, z) from the root lies on the screen at u = f (x + X) / (z + Z), and v likewise:
linear equations in the root's place (X, Y, Z). They are solved for all frames at once, in the sense of least squares,
together with small accelerations of the root.
"""

import numpy as np
from scipy.linalg import solveh_banded

SCREEN_ERROR = 0.03  # deviation of a projected joint, in screen units: 7 cm of a pose at 5 m
ACCELERATION = 3.0  # m/s², deviation of the root's
PRIOR = 5.0  # m, deviation from the place that follows from the sizes of pose and keypoints alone
NEAREST = 0.5  # m, the least distance of a root from the camera
ROUNDS = 2  # of reweighting by the distance


def root_path(
    positions: np.ndarray, keypoints: np.ndarray, weights: np.ndarray, focal_length: float, fps: float
) -> np.ndarray:
    """Places (T, 3) of the root in camera space (x right, y down, z away), in the unit of the positions, float64.

    Args:
        positions: (T, J, 3) meters, relative to the root, in the axes of the camera.
        keypoints: (T, J, 2) screen coordinates (`geometry.cameras`), the optical axis at 0; NaN where missing.
        weights: (T, J) of the keypoints, 0 where missing.
        focal_length: in screen units.
        fps: frames a second.
    """
    positions, weights = np.asarray(positions, float), np.where(np.isfinite(keypoints).all(-1), weights, 0)
    screen = np.where(weights[..., None] > 0, keypoints, 0.0)
    guess = _place_by_size(positions, screen, weights, focal_length)
    depth = guess[:, 2]
    for _ in range(ROUNDS):
        matrices, right = _normal_equations(positions, screen, weights, focal_length, depth)
        matrices += np.eye(3) / PRIOR**2
        right += guess / PRIOR**2
        path = _smooth_solution(matrices, right, fps)
        depth = np.maximum(path[:, 2], NEAREST)
    return np.concatenate((path[:, :2], depth[:, None]), axis=1)


def _place_by_size(positions: np.ndarray, screen: np.ndarray, weights: np.ndarray, focal_length: float) -> np.ndarray:
    """Places (T, 3) as if all joints were equally far away; the median distance for frames without a size."""
    total = weights.sum(1)[:, None, None]
    share = weights[..., None] / np.maximum(total, 1e-9)
    middle, center = (share * positions).sum(1), (share * screen).sum(1)
    size = np.sqrt((share * (positions - middle[:, None])[..., :2] ** 2).sum((1, 2)))
    seen = np.sqrt((share * (screen - center[:, None]) ** 2).sum((1, 2)))
    known = (size > 1e-6) & (seen > 1e-6)
    depth = focal_length * size / np.maximum(seen, 1e-6)
    depth = np.where(known, depth, np.median(depth[known]) if known.any() else 10 * NEAREST)
    depth = np.maximum(depth, NEAREST)
    place = np.concatenate((center * depth[:, None] / focal_length, depth[:, None]), axis=1) - middle
    frames, visible_frames = np.arange(len(place)), np.flatnonzero(total[:, 0, 0] > 0)
    if 0 < len(visible_frames) < len(frames):
        place = np.stack([np.interp(frames, visible_frames, axis[visible_frames]) for axis in place.T], axis=1)
    return place


def _normal_equations(
    positions: np.ndarray, screen: np.ndarray, weights: np.ndarray, focal_length: float, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (T, 3, 3) and right sides (T, 3) of f X - u Z = u z - f x and f Y - v Z = v z - f y."""
    scale = weights / (depth[:, None] * SCREEN_ERROR) ** 2
    values = screen * positions[..., 2:] - focal_length * positions[..., :2]  # (T, J, 2)
    matrices = np.zeros((len(positions), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = focal_length**2 * scale.sum(1)
    matrices[:, :2, 2] = matrices[:, 2, :2] = -focal_length * (scale[..., None] * screen).sum(1)
    matrices[:, 2, 2] = (scale * (screen**2).sum(-1)).sum(1)
    flat = focal_length * (scale[..., None] * values).sum(1)
    away = -(scale * (screen * values).sum(-1)).sum(1)
    return matrices, np.concatenate((flat, away[:, None]), axis=1)


def _smooth_solution(matrices: np.ndarray, right: np.ndarray, fps: float) -> np.ndarray:
    """The path (T, 3) that solves all equations and has small second differences; a banded system of 3 T unknowns."""
    count = len(matrices)
    bands = np.zeros((7, 3 * count))  # the upper ones; the last is the diagonal
    for row in range(3):
        for column in range(row, 3):
            bands[6 - (column - row), column::3] = matrices[:, row, column]
    if count > 2:
        stiffness = (fps**2 / ACCELERATION) ** 2
        for first, one in enumerate((1.0, -2.0, 1.0)):
            for second, other in list(enumerate((1.0, -2.0, 1.0)))[first:]:
                start, stop = 3 * second, 3 * (count - 2 + second)
                bands[6 - 3 * (second - first), start:stop] += stiffness * one * other
    solution = solveh_banded(bands, right.ravel())
    return solution.reshape(count, 3)  # type: ignore[no-any-return]
