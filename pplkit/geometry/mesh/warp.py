"""A smooth map of space that takes landmarks of one body to those of another."""

import numpy as np
from scipy.interpolate import RBFInterpolator

from pplkit.core.errors import PplkitError

SAME = 1e-6  # distance below which two landmarks are one


def landmark_warp(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (N, 3) moved by the smoothest map that takes landmarks `start` (L, 3) to `end` (L, 3).

    Displacements are interpolated with the kernel |r|, biharmonic in three dimensions, and a constant: landmarks that
    lie in one plane, as the joints of a standing person nearly do, then say nothing wrong about depth. Raises
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
    return np.asarray(points + RBFInterpolator(start, end - start, kernel="linear", degree=0)(points))
