"""Whether feet touch the floor."""

from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import Skeleton, to_h36m17
from pplkit.geometry.plausibility import HORIZONTAL, UP

SLOW = 0.5  # m/s, below which a standing foot moves in a noisy estimate
LOW = 0.08  # meters above its height when standing
SMOOTHING = 0.35  # seconds of the polynomials through which feet are smoothed before their speed is taken


def likely_contact(feet: np.ndarray, fps: float, rest: float) -> np.ndarray:
    """How likely each of feet (T, F, 3), y up, touches the floor, 0 to 1, by thresholds of speed and height.

    A foot is low near its lowest place in the clip, which lies `rest` above the floor; 0.5 is at the thresholds.
    """
    smooth = smoothed(feet, fps)
    speed = np.linalg.norm(np.gradient(smooth[..., HORIZONTAL], axis=0), axis=-1) * fps
    floor = np.quantile(smooth[..., UP], 0.1)
    excess = np.maximum(speed / SLOW, (smooth[..., UP] - floor) / LOW)
    return np.asarray(1 / (1 + np.maximum(excess, 1e-3) ** 4))


def learned_contact(points: np.ndarray, skeleton: Skeleton, fps: float, weights: Path | str | None) -> np.ndarray:
    """How likely the left and right foot of joints (T, J, 3), y up, touch the floor, (T, 2), by a small network.

    `weights` as for `models.motion.contact.read_contact`. Raises PplkitError for skeletons that lack a joint of h36m17.
    """
    from pplkit.models.motion.contact import contact_of, read_contact  # here, since torch takes its time

    try:
        joints = to_h36m17(points, skeleton)[0]
    except PplkitError as error:
        raise PplkitError(f'{str(error).rstrip(".")}, or give contact="thresholds".') from None
    return contact_of(read_contact(weights), joints, fps)


def smoothed(points: np.ndarray, fps: float, seconds: float = SMOOTHING) -> np.ndarray:
    """Points (T, ...) through polynomials of third order over `seconds` (Savitzky and Golay, 1964); short clips as is.

    The window is in seconds, so that the same motion at another frame rate gives the same.
    """
    from scipy.signal import savgol_filter  # here, since it takes its time

    window = 2 * round(seconds * fps / 2) + 1
    window = min(window, len(points) - 1 + len(points) % 2)
    return savgol_filter(points, window, 3, axis=0) if window > 4 else np.array(points, float)
