"""Which way is up, and how high the floor lies, from feet that touch it.

Contact tells both: a jump stays a jump, where the lowest joint of each frame would pull every frame onto the floor.
"""

import numpy as np

from pplkit.geometry.plausibility import UP

LEAN = 0.1  # deviation of the slope between the axis of an upright body and gravity
FOOT_NOISE = 0.03  # meters, of a foot's height while it stands
CORRELATED_FRAMES = 10  # frames whose errors count as one, as those of a lifter last about so long
LOW_QUANTILE = 0.05  # of the feet's heights, taken for the floor where nothing touches


def floor_height(feet: np.ndarray, contact: np.ndarray, rest: float) -> float:
    """The height of the floor under feet (T, F, 3), y up, `rest` meters above it where contact (T, F) holds.

    A median, so that few wrong contacts do not move it. Without contact, from the lowest feet of the clip.
    """
    heights = feet[..., UP]
    if contact.any():
        return float(np.median(heights[contact])) - rest
    return float(np.quantile(heights, LOW_QUANTILE)) - rest


def upright_axis(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Mean direction (3,) from points (T, 3) low in a body to points above them, such as from ankles to thorax."""
    axis = above - below
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    mean = axis.mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def floor_normal(steps: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The upward normal (3,) of the plane through points (N, 3) where feet stood, given about which way is `up`.

    Least squares of the heights, in which the slope against `up` has the deviation `LEAN`: few steps in one place
    leave `up` as it is.
    """
    first = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.9 else [0, 0, 1.0])
    first /= np.linalg.norm(first)
    axes = np.stack([first, np.cross(up, first)], axis=1)  # (3, 2), level with the presumed floor
    if not len(steps):
        return up
    centered = steps - steps.mean(0)
    level, height = centered @ axes, centered @ up
    ridge = CORRELATED_FRAMES * (FOOT_NOISE / LEAN) ** 2
    slope = np.linalg.solve(level.T @ level + ridge * np.eye(2), level.T @ height)
    normal = up - axes @ slope
    return np.asarray(normal / np.linalg.norm(normal))
