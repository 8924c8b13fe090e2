"""Diffusion of pose codes as the engine's task: codes of training poses, noise, and how much of it is found."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pplkit.models.mesh.diffusion import PoseDiffusion
from pplkit.models.mesh.diffusion_config import DiffusionConfig
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.saved_mesh import MeshRun, build_diffusion, load_mesh_run, read_codes
from pplkit.training.task import Losses, Rank, Task

SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1


class NoiseBatch(NamedTuple):
    """Codes of one step and the noise they get."""

    tokens: Tensor  # (B, K, C)
    steps: Tensor  # (B,) of the diffusion, from 0
    noise: Tensor  # (B, K, C)


def train_diffusion(
    config: DiffusionConfig, mesh_run: str | os.PathLike[str], run: str | os.PathLike[str], **options: Any
) -> Result:
    """Learn the codes of a run of mesh pose, or continue where the run folder stopped; `options` are those of `fit`.

    The run folder remembers where the other lies from its own place, so both may be moved together. Raises PplkitError
    for a folder that is no finished run of mesh pose, and as `fit` does.
    """
    config = config.replace(mesh_run=os.path.relpath(mesh_run, run))
    return fit(DiffusionTask(config, Path(mesh_run)), run, **options)


class DiffusionTask(Task):
    """A diffusion over the codes of the poses that a model of mesh pose was trained on."""

    method = "diffusion"

    def __init__(self, config: DiffusionConfig, mesh_run: Path) -> None:
        self.config: DiffusionConfig = config
        self.tokens = read_codes(mesh_run)
        self._mesh: MeshRun = load_mesh_run(mesh_run)

    def setup(self, rank: Rank) -> None:
        """Build the network from the seed."""
        torch.manual_seed(self.config.seed)
        self.rank = rank
        self.model: PoseDiffusion = build_diffusion(self.config, self._mesh.model, self.tokens.shape[1:])
        self.model.fit_scale(self.tokens)

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam, as published."""
        return torch.optim.Adam(self.model.parameters())

    def learning_rates(self, step: int) -> Sequence[float]:
        """Half a cosine from the learning rate to its last fraction."""
        low = self.config.final_learning_rate
        return (self.config.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * step / self.config.steps)) / 2),)

    def batch(self, step: int) -> NoiseBatch:
        """This process's share of the codes of a step."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * SEED_STRIDE + step)
        numbers = torch.randint(len(self.tokens), (config.batch_size,), generator=generator)
        steps = torch.randint(config.noise_steps, (config.batch_size,), generator=generator)
        noise = torch.randn(config.batch_size, *self.tokens.shape[1:], generator=generator)
        share, device = slice(self.rank.number, None, self.rank.world_size), self.rank.device
        return NoiseBatch(*(value[share].to(device) for value in (self.tokens[numbers], steps, noise)))

    def losses(self, forward: Callable[..., Any], batch: NoiseBatch, progress: float) -> Losses:
        """Mean squared error of the noise, of each stage by itself."""
        output = forward(batch.tokens, batch.steps, batch.noise)
        errors = (output - batch.noise).square().mean((0, 1)).split(self.model.channels)
        parts = {f"noise_{number}": error.mean() for number, error in enumerate(errors)}
        return torch.stack(list(parts.values())).sum(), {name: value.detach() for name, value in parts.items()}, output
