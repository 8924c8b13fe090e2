"""Poses of frames at any rate: a lifter sees frames at the rate that it was trained on."""

from typing import NamedTuple

import numpy as np
import torch

from pplkit.geometry.trajectories import interpolate_gaps
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.models.lifting.windows import lift_centers, lift_sequence
from pplkit.training.saved_lifter import LifterRun

SAME_RATE = 0.1  # relative difference of frame rates that does not matter


class Poses(NamedTuple):
    """Poses relative to the root, in the axes of the camera."""

    positions: np.ndarray  # (T, J, 3) meters
    spread: np.ndarray | None  # (T, J) meters


def poses_at(
    run: LifterRun, screen: np.ndarray, confidence: np.ndarray, seconds: np.ndarray, resample: bool = True
) -> Poses:
    """The poses at given times of keypoints (T, J, 2) in screen coordinates with their confidence (T, J).

    With `resample` the lifter sees frames at its own rate, interpolated, and the poses are interpolated at the times
    (T,) of the keypoints. Not if all steps between frames are within SAME_RATE of the lifter's.
    """
    steps = np.diff(seconds) * run.fps
    if not resample or len(seconds) < 2 or (np.abs(steps - 1) <= SAME_RATE).all():
        return poses_of_frames(run, screen, confidence)
    grid = seconds[0] + np.arange(int(np.ceil((seconds[-1] - seconds[0]) * run.fps - 1e-6)) + 1) / run.fps
    poses = poses_of_frames(run, *keypoints_at(screen, confidence, seconds, grid))
    spread = None if poses.spread is None else at_times(poses.spread, grid, seconds)
    return Poses(at_times(poses.positions, grid, seconds), spread)


def poses_of_frames(run: LifterRun, screen: np.ndarray, confidence: np.ndarray) -> Poses:
    """The poses of keypoints (T, J, 2) in screen coordinates, NaN where missing, at the rate of the lifter."""
    pairs = run.skeleton.flip_pairs if run.config.flip_test else None
    device = next(run.model.parameters()).device
    if isinstance(run.model, PoseFormer):  # which knows nothing of missing joints
        screen = interpolate_gaps(screen, np.arange(len(screen)), confidence)
        screen = np.where(np.isfinite(screen), screen, np.nanmean(screen, axis=1, keepdims=True))
        points = torch.from_numpy(screen.astype(np.float32)).to(device)
        return Poses(lift_centers(run.model, points, pairs).cpu().numpy(), None)
    points = torch.from_numpy(screen.astype(np.float32)).to(device)
    sure = torch.from_numpy(confidence.astype(np.float32)).to(device)
    lifted = lift_sequence(run.model, points, sure, pairs)
    return Poses(lifted.positions.cpu().numpy(), None if lifted.spread is None else lifted.spread.cpu().numpy())


def at_times(values: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (T, ...) at rising times (T,), linearly interpolated at others; held beyond the ends."""
    first, share = _between(times, wanted)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    last = np.minimum(first + 1, len(times) - 1)
    return (1 - share) * values[first] + share * values[last]  # type: ignore[no-any-return]


def keypoints_at(
    points: np.ndarray, confidence: np.ndarray, times: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `at_times` for points (T, J, 2) with confidence (T, J).

    Where one of two frames lacks a joint, the nearer frame counts alone.
    """
    first, share = _between(times, wanted)
    last, share = np.minimum(first + 1, len(times) - 1), share[:, None]
    both = (confidence[first] > 0) & (confidence[last] > 0)
    weight = np.where(both, share, (share > 0.5).astype(float))
    before, after = (np.where(confidence[index][..., None] > 0, points[index], 0) for index in (first, last))
    mixed = (1 - weight)[..., None] * before + weight[..., None] * after
    sure = (1 - weight) * confidence[first] + weight * confidence[last]
    return np.where(sure[..., None] > 0, mixed, np.nan), sure


def _between(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame before each wanted time, and how far the time lies from it towards the next, from 0 to 1."""
    first = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, max(len(times) - 2, 0))
    step = times[np.minimum(first + 1, len(times) - 1)] - times[first]
    return first, np.clip((wanted - times[first]) / np.maximum(step, 1e-9), 0, 1)
