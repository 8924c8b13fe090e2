"""The smallest task: a line is fitted to points. Here, as processes that train together import it by name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pplkit.core.settings import Settings
from pplkit.training import Task
from pplkit.training.task import Losses, Rank


@dataclass(frozen=True)
class LinearSettings(Settings):
    steps: int = 60
    batch_size: int = 8
    precision: str = "32-true"


class LinearTask(Task):
    method = "linear"

    def __init__(self, config: LinearSettings, kill_before: int = -1) -> None:
        self.config: LinearSettings = config
        self.kill_before = kill_before

    def setup(self, rank: Rank) -> None:
        torch.manual_seed(0)
        self.model, self.rank = nn.Linear(2, 1), rank

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=0.2)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        if step == self.kill_before:
            os.kill(os.getpid(), 9)
        x = torch.randn(self.config.batch_size, 2, generator=torch.Generator().manual_seed(step))
        x = x.chunk(self.rank.world_size)[self.rank.number]
        return x, x @ torch.tensor([[2.0], [-1.0]]) + 0.5

    def losses(self, forward: Callable[..., Any], batch: tuple[Tensor, Tensor], progress: float) -> Losses:
        output = forward(batch[0])
        return (output - batch[1]).square().mean(), {}, output
