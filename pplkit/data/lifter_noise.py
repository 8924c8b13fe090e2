"""3D motion with the errors of a network that lifts it from 2D keypoints: slow, quick, and along the root's path."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

SLOW = 0.025  # meters, deviation for each axis and joint of errors that last for a while
SLOW_SECONDS = 0.2  # in which their correlation falls to 1/e
QUICK = 0.008  # meters, deviation of errors that are new in each frame
DRIFT = (0.018, 0.018, 0.060)  # meters, deviation of the whole body; the last axis is that of depth
DRIFT_SECONDS = 0.5  # deviation of the Gaussian through which the drift goes


def lifter_noise(
    rng: np.random.Generator, points: np.ndarray, fps: float = 30.0, scale: float | np.ndarray = 1.0
) -> np.ndarray:
    """Joints (..., T, J, 3) with errors, `scale` (...) times as large as the constants of this module say.

    Slow errors follow a first-order autoregression. The axes of the drift are turned about y, as cameras are.
    """
    shape = points.shape
    motion = np.asarray(points, float).reshape(-1, *shape[-3:])
    count, frames = motion.shape[:2]
    keep = float(np.exp(-1 / (SLOW_SECONDS * fps)))
    warm = 1 + round(5 * SLOW_SECONDS * fps)
    white = rng.normal(size=(count, frames + warm, *motion.shape[2:]))
    slow = lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=1)[:, warm:]
    width = DRIFT_SECONDS * fps
    pad = round(4 * width)
    drift = gaussian_filter1d(rng.normal(size=(count, frames + 2 * pad, 3)), width, axis=1)[:, pad : pad + frames]
    drift = drift * np.sqrt(2 * np.sqrt(np.pi) * width) * DRIFT
    angle = rng.uniform(-np.pi, np.pi, (count, 1))
    x = np.cos(angle) * drift[..., 0] + np.sin(angle) * drift[..., 2]
    z = np.cos(angle) * drift[..., 2] - np.sin(angle) * drift[..., 0]
    whole = np.stack([x, drift[..., 1], z], -1)[:, :, None]
    error = SLOW * slow + QUICK * rng.normal(size=motion.shape) + whole
    size = np.broadcast_to(np.asarray(scale, float).ravel(), count)[:, None, None, None]
    return np.asarray(motion + size * error).reshape(shape)
