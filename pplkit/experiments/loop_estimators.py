"""What a motion loop asks of an estimator: to be trained on pairs, and 3D joints in camera space from keypoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pplkit.data.motion_pool import MotionPool
from pplkit.data.pose_views import LiftBatch, detected_views
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.lifting import lifting_method
from pplkit.geometry.placement import root_path
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.motion.estimator import estimate_camera_space
from pplkit.models.motion.estimator_config import EstimatorConfig
from pplkit.models.motion.random_walks import random_walks
from pplkit.training.saved_lifter import load_lifter
from pplkit.training.tasks.estimator import load_estimator, train_estimator
from pplkit.training.tasks.lifting import train_lifter

FOCAL_LENGTH = 2.3  # screen units, of a camera that nobody knows
OPTIONS: dict[str, Any] = {"device": "cpu", "threads": 1, "bar": False}  # so that runs are the same to the bit

Lift = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From keypoints (T, 17, 2) in screen units and confidence (T, 17) to joints (T, 17, 3), camera space, meters."""
Pairs = Callable[[int, int, int], LiftBatch]
"""From a seed, a number of windows and their frames to pairs; see `data.motion_pool.MotionPool`."""


class WalkPairs:
    """Pairs of round 0: random walks as cameras see them, at the frame rate of the loop."""

    def __init__(self, fps: float) -> None:
        self.fps = fps

    def __call__(self, seed: int, count: int, frames: int) -> LiftBatch:
        """`count` windows; the same seed gives the same."""
        windows = random_walks(seed, count, frames, self.fps)
        return detected_views(np.random.default_rng([seed, 1]), windows, None, list(H36M17.flip_pairs))


def train(
    config: LiftingConfig | EstimatorConfig, source: WalkPairs | MotionPool, run: Path, start: Path | None
) -> None:
    """Train an estimator in `run`, from the weights of the run `start` if given, or go on where that stopped."""
    if isinstance(config, LiftingConfig):
        train_lifter(config, source, run, start, **OPTIONS)
    else:
        train_estimator(config, source, run, start, **OPTIONS)


def load_lift(config: LiftingConfig | EstimatorConfig, run: Path) -> Lift:
    """The estimator of a run. Gaps are its own matter for "lifting"; "published" gets them interpolated in time."""
    if isinstance(config, LiftingConfig):
        relative = lifting_method(load_lifter(run))

        def lift(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
            poses = relative(np.where(confidence[..., None] > 0, keypoints, np.nan).astype(np.float32), confidence)
            path = root_path(poses, keypoints, confidence, FOCAL_LENGTH, config.fps)
            return np.asarray(poses + path[:, None])

        return lift
    model = load_estimator(run).model

    def estimate(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(interpolated(keypoints, confidence).astype(np.float32))
        return estimate_camera_space(model.pose, model.path, points, config.flip_test, H36M17.flip_pairs).numpy()

    return estimate


def interpolated(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Keypoints (T, J, 2) with straight lines through gaps; joints that are never seen lie at the root."""
    points, frames = np.array(keypoints, float), np.arange(len(keypoints))
    order = [0, *range(1, keypoints.shape[1])]
    for joint in order:
        seen = confidence[:, joint] > 0
        if not seen.any():
            points[:, joint] = points[:, 0] if joint else 0.0
            continue
        for axis in range(2):
            points[:, joint, axis] = np.interp(frames, frames[seen], points[seen, joint, axis])
    return points
