"""The smallest task: a line is fitted to points. Here, as processes that train together import it by name."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pplkit.training import Task
from pplkit.training.task import Losses, Rank


@dataclass(frozen=True)
class LinearSettings:
    steps: int = 60
    batch_size: int = 8
    precision: str = "32-true"
    stop_at: int = -1  # the process kills itself before this step

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def differences(self, old: dict[str, Any], folder: Path) -> dict[str, tuple[Any, Any]]:
        new = asdict(self)
        return {name: (old[name], new[name]) for name in ("batch_size", "precision") if old[name] != new[name]}


class LinearTask(Task):
    method = "linear"

    def __init__(self, config: LinearSettings) -> None:
        self.config: LinearSettings = config

    def setup(self, rank: Rank) -> None:
        torch.manual_seed(0)
        self.model, self.rank = nn.Linear(2, 1), rank

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=0.2)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        if step == self.config.stop_at:
            os.kill(os.getpid(), 9)
        x = torch.randn(self.config.batch_size, 2, generator=torch.Generator().manual_seed(step))
        x = x.chunk(self.rank.world_size)[self.rank.number]
        return x, x @ torch.tensor([[2.0], [-1.0]]) + 0.5

    def losses(self, forward: Callable[..., Any], batch: tuple[Tensor, Tensor], progress: float) -> Losses:
        output = forward(batch[0])
        return (output - batch[1]).square().mean(), {}, output
