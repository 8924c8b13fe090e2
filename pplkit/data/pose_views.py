"""3D motion seen by random cameras, and the errors that a 2D detector would make there."""

from typing import NamedTuple

import numpy as np

from pplkit.geometry.cameras import project_linear

DISTANCE = (3.0, 6.0)  # meters from the camera to the middle of the body
CAMERA_HEIGHT = (0.4, 2.4)  # meters above the floor
FOCAL_LENGTH = (2.0, 2.6)  # in screen units; 2.29 in Human3.6M
DRIFT_FRAMES = 9  # between the key frames of a slow drift: 27 of them in 243 frames


class Views(NamedTuple):
    """Windows as cameras see them."""

    positions: np.ndarray  # (B, F, J, 3) meters, camera space: x right, y down, z away
    keypoints: np.ndarray  # (B, F, J, 2) screen units, in [-1, 1] where the image shows the point
    focal_length: np.ndarray  # (B,) screen units


def random_views(rng: np.random.Generator, windows: np.ndarray) -> Views:
    """Windows (B, F, J, 3) of motion in meters, y up, the floor at 0, from any direction.

    Each camera stands still, 3 to 6 m away and 0.4 to 2.4 m high, and looks at a point near the middle of the body.
    """
    count = len(windows)
    target = windows.mean((1, 2)) + rng.normal(0, 0.15, (count, 3))
    yaw = rng.uniform(-np.pi, np.pi, count)
    height, distance = rng.uniform(*CAMERA_HEIGHT, count), rng.uniform(*DISTANCE, count)
    drop = np.clip(height - target[:, 1], -0.9 * distance, 0.9 * distance)
    floor = np.sqrt(distance**2 - drop**2)
    place = target + np.stack([floor * np.sin(yaw), drop, floor * np.cos(yaw)], -1)
    away = (target - place) / distance[:, None]
    right = np.cross(away, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(away, right), away], axis=1)  # rows: right, down, away
    positions = np.einsum("bij,bftj->bfti", axes, windows - place[:, None, None]).astype(np.float32)
    focal_length = rng.uniform(*FOCAL_LENGTH, count)
    intrinsics = np.zeros((count, 1, 1, 9), np.float32)
    intrinsics[..., :2] = focal_length[:, None, None, None]
    return Views(positions, project_linear(positions, intrinsics), focal_length)


def detector_noise(
    rng: np.random.Generator,
    keypoints: np.ndarray,
    jitter: float | np.ndarray,
    drift: float | np.ndarray = 0.0,
    swaps: float = 0.0,
    swap_pairs: list[tuple[int, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (B, F, J, 2) with a detector's errors, and the confidence (B, F, J) that it might give.

    Args:
        rng: Source of the errors.
        keypoints: In any unit.
        jitter: Deviation of an error that is new in each frame: a number, or (B,), in the unit of the keypoints. Every
            twentieth error is four times as large.
        drift: Deviation of a slow error, interpolated between key frames `DRIFT_FRAMES` apart.
        swaps: The fraction of windows in which the joints of one pair are exchanged for a third of the frames.
        swap_pairs: Pairs (left, right) that are mistaken for each other.

    Confidence falls with the true error of a point, and with chance, as a detector's does.
    """
    count, frames, joints, _ = keypoints.shape
    shape = (count, frames, joints)
    scale = np.broadcast_to(jitter, count)[:, None, None] * np.where(rng.random(shape) < 0.05, 4, 1)
    error = scale[..., None] * rng.normal(size=(*shape, 2))
    keys = rng.normal(size=(count, (frames - 1) // DRIFT_FRAMES + 2, joints, 2))
    time = np.arange(frames) / DRIFT_FRAMES
    first = time.astype(int)
    share = (time - first)[:, None, None]
    slow = (1 - share) * keys[:, first] + share * keys[:, first + 1]
    error = error + np.broadcast_to(drift, count)[:, None, None, None] * slow
    noisy = keypoints + error
    if swaps and swap_pairs:
        length = max(frames // 3, 1)
        pairs = np.array(swap_pairs)
        for window in np.flatnonzero(rng.random(count) < swaps):
            start, (left, right) = rng.integers(frames - length + 1), pairs[rng.integers(len(pairs))]
            part = noisy[window, start : start + length]
            part[:, [left, right]] = part[:, [right, left]]
    distance = np.linalg.norm(noisy - keypoints, axis=-1)
    unit = 3 * np.broadcast_to(np.asarray(jitter) + np.asarray(drift), count)[:, None, None] + 1e-6
    confidence = np.exp(-((distance / unit) ** 2)) * rng.uniform(0.75, 1, shape)
    return noisy.astype(np.float32), np.clip(confidence, 0.05, 1).astype(np.float32)
