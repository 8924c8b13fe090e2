"""The published estimator of the motion loop as the engine's task: pairs of keypoints and poses, two networks."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.data.pose_views import LiftBatch
from pplkit.data.skeletons import H36M17
from pplkit.models.motion.estimator import (
    EPOCHS,
    MAX_GRADIENT,
    TemporalConvolution,
    learning_rate_factor,
    path_loss,
    pose_loss,
)
from pplkit.models.motion.estimator_config import EstimatorConfig
from pplkit.training.checkpoint import restore
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.run_folder import RunFolder, start_from
from pplkit.training.task import Losses, Rank, Task

SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1
JOINTS = len(H36M17.joints)


class Windows(Protocol):
    """Where training windows come from, as `data.motion_pool.MotionPool`; picklable."""

    def __call__(self, seed: int, count: int, frames: int) -> LiftBatch:
        """`count` windows of `frames` frames; the same seed gives the same."""


class Estimates(NamedTuple):
    """Of the middle frame of windows, in meters of camera space."""

    pose: Tensor  # (B, 1, 17, 3) relative to the root
    path: Tensor  # (B, 1, 1, 3)


class Estimator(nn.Module):
    """The network of the pose and that of the path; each is called for itself as well."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.pose = TemporalConvolution(JOINTS, config.channels, config.blocks, JOINTS)
        self.path = TemporalConvolution(1, config.channels, config.blocks, JOINTS)

    def forward(self, keypoints: Tensor) -> Estimates:
        """Of windows (B, F, 17, 2) in screen units."""
        return Estimates(self.pose(keypoints, strided=True), self.path(keypoints, strided=True))


class EstimatorRun(NamedTuple):
    """A trained estimator."""

    model: Estimator  # in eval mode
    config: EstimatorConfig


def train_estimator(
    config: EstimatorConfig,
    source: Windows,
    run: str | os.PathLike[str],
    start: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Result:
    """Train the estimator, or continue where the run folder stopped; `options` are those of `training.loop.fit`.

    `start` is a run folder whose weights the training starts from. Raises PplkitError as `fit` does.
    """
    return fit(EstimatorTask(config, source, start), run, **options)


def load_estimator(run: str | os.PathLike[str]) -> EstimatorRun:
    """The estimator of a run folder. Raises PplkitError if it is one of something else, or has no checkpoint."""
    folder = RunFolder(Path(run))
    settings = folder.read("config.json", "config")["config"]
    if settings.get("name") != "estimator":
        raise PplkitError(f"{folder.path} is not a run of the published estimator: train one with train_estimator.")
    config = folder.settings(EstimatorConfig)
    model = Estimator(config)
    restore(folder.latest(), model, None)
    return EstimatorRun(model.eval(), config)


class ClippedAdam(torch.optim.Adam):
    """Adam after the gradients of each group are brought to the norm 1 at most, as published."""

    def step(self, closure: Any = None) -> Any:
        """One step."""
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], MAX_GRADIENT)
        return super().step(closure)


class EstimatorTask(Task):
    """Poses and paths from windows of keypoints."""

    method = "estimator"

    def __init__(self, config: EstimatorConfig, source: Windows, start: str | os.PathLike[str] | None = None) -> None:
        self.config: EstimatorConfig = config
        self.source, self.start = source, start

    def setup(self, rank: Rank) -> None:
        """Build the networks from the seed or the run to start from."""
        torch.manual_seed(self.config.seed)
        self.rank = rank
        self.model: nn.Module = Estimator(self.config)
        if self.start is not None:
            start_from(self.start, self.model)

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam with clipped gradients, a group for each network."""
        assert isinstance(self.model, Estimator)
        return ClippedAdam([{"params": list(net.parameters())} for net in (self.model.pose, self.model.path)])

    def learning_rates(self, step: int) -> Sequence[float]:
        """Falling for the pose over the published number of epochs, constant for the path."""
        rate = self.config.learning_rate
        return [rate * learning_rate_factor(EPOCHS * step // self.config.steps), rate]

    def before_step(self, step: int, batch: Any) -> None:
        """Dropout of a step follows from the seed and the step alone, so that a run continues to the same bits."""
        torch.manual_seed(self.config.seed * SEED_STRIDE + step)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """This process's share of keypoints (B, F, 17, 2), and joints (B, 1, 17, 3) of the middle frame."""
        config = self.config
        windows = self.source(config.seed * SEED_STRIDE + step, config.batch_size, config.frames)
        middle = config.frames // 2
        share, device = slice(self.rank.number, None, self.rank.world_size), self.rank.device
        parts = windows.keypoints, windows.positions[:, middle : middle + 1]
        keypoints, target = (torch.from_numpy(part[share]).to(device) for part in parts)
        return keypoints, target

    def losses(self, forward: Callable[..., Any], batch: tuple[Tensor, Tensor], progress: float) -> Losses:
        """Squared errors of the pose, and distances of the root divided by its depth."""
        keypoints, target = batch
        output: Estimates = forward(keypoints)
        parts = {"pose": pose_loss(output.pose, target), "path": path_loss(output.path, target)}
        total = parts["pose"] + parts["path"]
        return total, {name: value.detach() for name, value in parts.items()}, output

    def finite(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Whether poses and paths are finite, a bool."""
        output = self.model(batch[0])
        return output.pose.isfinite().all() & output.path.isfinite().all()  # type: ignore[no-any-return]

    def detach(self, output: Estimates) -> Estimates:
        """An output without the graph that made it."""
        return Estimates(output.pose.detach(), output.path.detach())
