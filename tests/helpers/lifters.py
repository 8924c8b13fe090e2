"""Lifters for tests: one that is known by heart, and one that is trained for a moment."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.motion_synthetic import lift_batch, motion_windows
from pplkit.data.pose_views import random_views
from pplkit.geometry.cameras import image_from_screen
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted
from pplkit.training.saved_lifter import LifterRun
from pplkit.training.tasks.lifting import train_lifter

SIZE = (1000, 800)
TINY = LiftingConfig.preset("lift-small").replace(width=32, depth=1, heads=2, batch_size=8, steps=6, warmup_steps=2)


class FlatLifter(nn.Module):
    """Puts each joint two meters from the root for a screen unit, at the root's depth; its error is 0.1 m."""

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.root, self.frames, self.causal, self.uncertainty = config.root, config.frames, False, True
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.seen: list[tuple[int, ...]] = []  # the shapes that it was given

    def forward(self, keypoints: Tensor, confidence: Tensor) -> Lifted:
        self.seen.append(tuple(keypoints.shape))
        known = torch.where((confidence > 0)[..., None], keypoints, 0)
        flat = self.scale * (known - known[:, :, self.root, None])
        return Lifted(nn.functional.pad(flat, (0, 1)), torch.full_like(confidence, 0.1))


def flat_lifter(config: LiftingConfig = TINY) -> LifterRun:
    return LifterRun(FlatLifter(config).eval(), config, config.skeleton, config.fps, 0)  # type: ignore[arg-type]


def tiny_lifter(folder: Path, config: LiftingConfig = TINY) -> Path:
    """The run folder of a lifter that was trained for a moment."""
    train_lifter(config, lift_batch, folder, device="cpu", bar=False, threads=1)
    return folder


def walk(frames: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (T, 17, 2) of SIZE of somebody who walks, and the joints (T, 17, 3) in camera space, in meters."""
    views = random_views(np.random.default_rng(seed), motion_windows(seed, 1, frames, rule="gait"))
    return image_from_screen(views.keypoints[0].astype(float), *SIZE), views.positions[0].astype(float)
