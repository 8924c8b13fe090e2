"""Contact of feet as the engine's task: clean motion, a lifter's errors added, and where its feet stand."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pplkit.core.files import atomic_path
from pplkit.data.lifter_noise import lifter_noise
from pplkit.geometry.plausibility import standing
from pplkit.models.motion.contact import LEGS, WEIGHTS, ContactConfig, ContactNetwork, contact_features
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.task import Losses, Rank, Task

SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1


class MotionWindows(Protocol):
    """Clean motion; picklable."""

    def __call__(self, seed: int, count: int, frames: int, fps: float) -> np.ndarray:
        """Windows (count, frames, 17, 3) in the order of h36m17, meters, y up, the floor at 0."""


class ContactBatch(NamedTuple):
    """Windows of one step."""

    features: Tensor  # (B, F, C)
    contact: Tensor  # (B, F, 2), 0 or 1


def train_contact(config: ContactConfig, source: MotionWindows, run: str | os.PathLike[str], **options: Any) -> Result:
    """Train the network, or continue where the run folder stopped; `options` are those of `training.loop.fit`.

    `source` makes clean motion, as `data_prep.motion_synthetic.motion_windows` does. The run folder gets
    contact.safetensors, the file that `models.motion.contact` brings along.
    """
    return fit(ContactTask(config, source), run, **options)


class ContactTask(Task):
    """A network that tells contact of feet from lifted poses."""

    method = "contact"
    divergence_advice = "lower learning_rate"

    def __init__(self, config: ContactConfig, source: MotionWindows) -> None:
        self.config: ContactConfig = config
        self.source = source

    def setup(self, rank: Rank) -> None:
        """Build the network from the seed."""
        torch.manual_seed(self.config.seed)
        self.rank = rank
        self.model: nn.Module = ContactNetwork(self.config.width)

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.model.parameters(), weight_decay=self.config.weight_decay)

    def learning_rates(self, step: int) -> Sequence[float]:
        """Half a cosine."""
        return [self.config.learning_rate * (1 + math.cos(math.pi * step / self.config.steps)) / 2]

    def batch(self, step: int) -> ContactBatch:
        """This process's share of the windows of a step, each with errors of its own size."""
        config, seed = self.config, self.config.seed * SEED_STRIDE + step
        windows = self.source(seed, config.batch_size, config.frames, config.fps)
        rng = np.random.default_rng((seed, 5))
        scale = rng.uniform(config.noise_min, config.noise_max, len(windows))
        features = contact_features(lifter_noise(rng, windows, config.fps, scale), config.fps)
        contact = standing(windows[:, :, LEGS[:, 2]], config.fps).astype(np.float32)
        share, device = slice(self.rank.number, None, self.rank.world_size), self.rank.device
        return ContactBatch(*(torch.from_numpy(value[share]).to(device) for value in (features, contact)))

    def losses(self, forward: Callable[..., Any], batch: ContactBatch, progress: float) -> Losses:
        """Cross-entropy of each foot in each frame."""
        output = forward(batch.features)
        loss = nn.functional.binary_cross_entropy_with_logits(output, batch.contact)
        return loss, {"cross_entropy": loss.detach()}, output

    def finish(self, folder: Path, made_by: dict[str, Any], step: int) -> None:
        """Write the weights as `models.motion.contact.read_contact` reads them."""
        with atomic_path(folder / WEIGHTS) as partial:
            save_file({name: value.cpu().contiguous() for name, value in self.model.state_dict().items()}, partial)
