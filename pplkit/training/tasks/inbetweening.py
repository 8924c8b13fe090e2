"""In-betweening as the engine's task: windows with gaps, the network that fills them, and its losses."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import mirror
from pplkit.models.motion.inbetweening import InBetween, InBetweening, foot_contacts, losses
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.training.checkpoint import restore
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.run_folder import RunFolder
from pplkit.training.task import Losses, Rank, Task

SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1
LEGS = ("hip", "knee", "ankle")  # whose posture stays, as feet would slide


class MotionWindows(Protocol):
    """Where motion comes from, as `data_prep.motion_synthetic.motion_windows`; picklable."""

    def __call__(self, seed: int, count: int, frames: int, fps: float) -> np.ndarray:
        """Windows (count, frames, J, 3) in meters, y up; the same seed gives the same."""


class GapBatch(NamedTuple):
    """Windows of one step, with a gap of the same length in each."""

    past: Tensor  # (B, P, J, 3)
    gap: Tensor  # (B, gap, J, 3) what is asked for
    future: Tensor  # (B, F, J, 3)
    contact: Tensor  # (B, gap, feet) whether feet touch, 0 or 1


def train_inbetweening(
    config: InBetweeningConfig, source: MotionWindows, run: str | os.PathLike[str], **options: Any
) -> Result:
    """Train in-betweening, or continue where the run folder stopped; `options` are those of `training.loop.fit`.

    `source` makes windows, such as `data_prep.motion_synthetic.motion_windows`. Raises as `fit` does.
    """
    return fit(InBetweeningTask(config, source), run, **options)


def load_inbetweening(run: str | os.PathLike[str], device: str = "cpu") -> InBetweening:
    """The network of a run folder that `train_inbetweening` wrote, in eval mode.

    Raises PplkitError if the folder is a run of something else, or has no checkpoint.
    """
    folder = RunFolder(Path(run))
    settings = folder.read("config.json", "config")["config"]
    if "longest_gap" not in settings:
        raise PplkitError(f"{folder.path} is not a run of in-betweening: train one with train_inbetweening.")
    model = InBetweening(folder.settings(InBetweeningConfig))
    restore(folder.latest(), model, None)
    return model.to(torch.device(device)).eval()


class InBetweeningTask(Task):
    """A network that fills gaps in motion."""

    method = "inbetweening"

    def __init__(self, config: InBetweeningConfig, source: MotionWindows) -> None:
        self.config: InBetweeningConfig = config
        self.source = source

    def setup(self, rank: Rank) -> None:
        """Build the network from the seed."""
        torch.manual_seed(self.config.seed)
        self.rank = rank
        self.network = InBetweening(self.config)
        self.model: nn.Module = self.network

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.model.parameters(), betas=(0.9, 0.98), weight_decay=self.config.weight_decay)

    def learning_rates(self, step: int) -> Sequence[float]:
        """Rising over the warm-up, then half a cosine."""
        config = self.config
        low, warmup = config.final_learning_rate, min(1.0, (step + 1) / max(config.warmup_steps, 1))
        return [config.learning_rate * warmup * (low + (1 - low) * (1 + math.cos(math.pi * step / config.steps)) / 2)]

    def batch(self, step: int) -> GapBatch:
        """This process's share of the windows of a step, half of them mirrored, at another speed in each step."""
        config, seed = self.config, self.config.seed * SEED_STRIDE + step
        rng = np.random.default_rng((seed, 5))
        gap = int(rng.integers(config.shortest_gap, config.longest_gap + 1))
        fps = float(config.fps * config.speed ** rng.uniform(-1, 1))
        frames = config.past + gap + config.future
        windows = torch.from_numpy(np.asarray(self.source(seed, config.batch_size, frames, fps), np.float32))
        turned = torch.from_numpy(rng.random(len(windows)) < 0.5)[:, None, None, None]
        windows = torch.where(turned, mirror(windows, config.skeleton.flip_pairs), windows)
        contact = foot_contacts(windows, self.network.feet, fps)
        windows = self._other_postures(windows, rng)
        share, device = slice(self.rank.number, None, self.rank.world_size), self.rank.device
        inner = slice(config.past, config.past + gap)
        parts = (windows[:, : config.past], windows[:, inner], windows[:, config.past + gap :], contact[:, inner])
        return GapBatch(*(part[share].to(device) for part in parts))

    def _other_postures(self, windows: Tensor, rng: np.random.Generator) -> Tensor:
        """Windows (B, F, J, 3) whose upper bodies are bent a little, the same way throughout a window."""
        skeleton = self.config.skeleton
        moved = windows.clone()
        for joint in skeleton.order[1:]:
            parent = skeleton.parents[joint]
            bone = windows[:, :, joint] - windows[:, :, parent]
            if not skeleton.joints[joint].endswith(LEGS):
                length = bone.norm(dim=-1, keepdim=True)
                change = torch.from_numpy(rng.normal(0, self.config.posture, (len(windows), 1, 3)).astype(np.float32))
                bone = nn.functional.normalize(bone + change * length, dim=-1) * length
            moved[:, :, joint] = moved[:, :, parent] + bone
        return moved

    def losses(self, forward: Callable[..., Any], batch: GapBatch, progress: float) -> Losses:
        """See `models.motion.inbetweening.losses`."""
        config = self.config
        output: InBetween = forward(batch.past, batch.future, batch.gap.shape[1])
        parts = losses(output, batch.gap, batch.past[:, -1], batch.contact, self.network.feet)
        total = (
            parts["position"]
            + config.weight_velocity * parts["velocity"]
            + config.weight_slide * parts["slide"]
            + config.weight_contact * parts["contact"]
        )
        return total, {name: value.detach() for name, value in parts.items()}, output

    def finite(self, batch: GapBatch) -> Tensor:
        """Whether the joints are finite, a bool."""
        return self.model(batch.past, batch.future, batch.gap.shape[1]).positions.isfinite().all()  # type: ignore[no-any-return]

    def detach(self, output: InBetween) -> InBetween:
        """An output without the graph that made it."""
        return InBetween(output.positions.detach(), output.contacts.detach())
