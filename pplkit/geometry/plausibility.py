"""How plausible motion is: feet that slide, sink or float, bones that change their length, acceleration, jerk.

Motion is (T, J, 3) in meters, y up, the floor at 0. Definitions: acceleration error as in motion capture from video
(mean distance of second differences), foot skate as horizontal speed in frames of contact.
"""

from collections.abc import Sequence

import numpy as np

UP = 1  # the axis that points up
HORIZONTAL = (0, 2)


STILL = 0.3  # m/s, below which a foot of clean motion stands
NEAR_FLOOR = 0.14  # meters of an ankle above the floor


def standing(feet: np.ndarray, fps: float) -> np.ndarray:
    """Where ankles (..., T, F, 3) of clean motion, the floor at 0, touch it, bool (..., T, F): slow and low."""
    speed = np.linalg.norm(np.gradient(feet, axis=-3), axis=-1) * fps
    return np.asarray((speed < STILL) & (feet[..., UP] < NEAR_FLOOR))


def foot_skate(feet: np.ndarray, contact: np.ndarray, fps: float) -> float:
    """Mean horizontal speed, in meters a second, of feet (T, F, 3) from frame to frame where they touch the floor.

    A step counts where contact (T, F), bool, holds in both of its frames; NaN without such a step.
    """
    speed = np.linalg.norm(np.diff(feet[..., HORIZONTAL], axis=0), axis=-1) * fps
    return _mean(speed[contact[1:] & contact[:-1]])


def penetration(feet: np.ndarray, rest: float) -> float:
    """Mean depth, in meters, of the lowest of feet (T, F, 3) below its height when standing; 0 for feet above it."""
    return _mean(np.maximum(rest - feet[..., UP].min(1), 0))


def floating(feet: np.ndarray, contact: np.ndarray, rest: float) -> float:
    """Mean height, in meters, of feet (T, F, 3) above their height when standing where they touch the floor."""
    return _mean(np.maximum(feet[..., UP] - rest, 0)[contact])


def bone_lengths(points: np.ndarray, bones: Sequence[tuple[int, int]]) -> np.ndarray:
    """Lengths (T, B) of the bones (start, end) of joints (T, J, 3)."""
    start, end = np.array(bones).T
    return np.linalg.norm(points[:, end] - points[:, start], axis=-1)


def bone_deviation(points: np.ndarray, bones: Sequence[tuple[int, int]]) -> float:
    """Standard deviation over time of a bone's length, in meters, as a mean over the bones (start, end)."""
    return float(bone_lengths(points, bones).std(0).mean())


def acceleration_error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of the second differences of joints (T, J, 3) and their truth, in meters per frame²."""
    return _mean(np.linalg.norm(np.diff(points - truth, 2, axis=0), axis=-1))


def jerk(points: np.ndarray, fps: float) -> float:
    """Mean third derivative of joints (T, J, 3), in m/s³: a measure of jitter that needs no truth."""
    return _mean(np.linalg.norm(np.diff(points, 3, axis=0), axis=-1)) * fps**3


def joint_error(points: np.ndarray, truth: np.ndarray, root: int | None = None) -> float:
    """Mean distance, in meters, of joints (T, J, 3) and their truth, both relative to the joint `root` if given."""
    error = points - truth
    if root is not None:
        error = error - error[:, root, None]
    return _mean(np.linalg.norm(error, axis=-1))


def contact_f1(contact: np.ndarray, truth: np.ndarray) -> float:
    """F1 of contact (T, F), bool, against the truth; NaN where neither ever touches."""
    total = contact.sum() + truth.sum()
    return float(2 * (contact & truth).sum() / total) if total else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
