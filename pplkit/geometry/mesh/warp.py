"""A smooth map of space that takes landmarks of one body to those of another."""

import numpy as np
from scipy.interpolate import RBFInterpolator

from pplkit.core.errors import PplkitError

SAME = 1e-6  # distance below which two landmarks are one
FLAT = 0.02  # of the largest extent of the landmarks, below which they say nothing about a direction


def landmark_warp(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (N, 3) moved by a smooth map that takes landmarks `start` (L, 3) to `end` (L, 3).

    The uniform scale and shift that fit best, and a thin-plate spline of what is left, linear far away. Across a plane
    in which all landmarks lie, as the joints of a standing person nearly do, the uniform scale holds. Raises
    PplkitError for landmarks of other shapes, or two in one place.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if start.ndim != 2 or start.shape != end.shape or start.shape[1:] != (3,) or not len(start):
        raise PplkitError(f"landmarks have the shapes {start.shape} and {end.shape}: give (L, 3) of either body.")
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise PplkitError("some landmarks are not finite: leave out what either body lacks.")
    distances = np.linalg.norm(start[:, None] - start, axis=2) + np.eye(len(start))
    if distances.min() < SAME:
        pair = sorted(divmod(int(distances.argmin()), len(start)))
        raise PplkitError(f"the landmarks {pair[0]} and {pair[1]} lie in one place: leave one out.")
    if len(start) == 1:
        return points + (end - start)
    middle, goal = start.mean(0), end.mean(0)
    extents, axes = np.linalg.eigh((start - middle).T @ (start - middle))
    scale = np.sqrt(((end - goal) ** 2).sum() / extents.sum())
    left = end - goal - scale * (start - middle)
    # Copies of the landmarks on both sides of the plane, with what is left to each, hold the spline still across it.
    flat = axes.T[extents < FLAT**2 * extents.max()] * np.sqrt(extents.max() / len(start))
    knots = np.concatenate([start, *(start + side for axis in flat for side in (axis, -axis))])
    spline = RBFInterpolator(knots, np.tile(left, (1 + 2 * len(flat), 1)), kernel="thin_plate_spline", degree=1)
    return np.asarray(goal + scale * (points - middle) + spline(points))
