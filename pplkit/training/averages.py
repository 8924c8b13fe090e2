"""Means of what a training logs."""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pplkit.models.layers import collectives


class Row(NamedTuple):
    """The line of a logged step."""

    values: dict[str, float] | None  # means, and `skipped` if steps were; None if all were
    worst: int  # the most steps skipped in a row


class Averages:
    """Means of named scalars over all processes and the steps since the last row, without skipped steps.

    On the device of the scalars: nothing waits for it before a row is asked for.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums = torch.zeros(0)
        self.counts = torch.zeros(4)  # steps; skipped ones; skipped in a row, now and at most

    def add(self, values: dict[str, Tensor], skipped: Tensor) -> None:
        """Count one step, `skipped` or not (0-dimensional, bool); a name that a step lacks counts as 0 there."""
        new = [name for name in values if name not in self.names]
        zero = torch.zeros_like(next(iter(values.values())))
        self.sums, self.counts = self.sums.to(zero), self.counts.to(zero)
        if new:
            self.names += new
            self.sums = torch.cat((self.sums, zero.expand(len(new))))
        row = torch.stack([values.get(name, zero) for name in self.names])
        self.sums = self.sums + torch.where(skipped, zero, row)
        skip = skipped.to(zero)
        steps, skips, streak, worst = self.counts.unbind()
        streak = (streak + 1) * skip
        self.counts = torch.stack((steps + 1, skips + skip, streak, torch.maximum(worst, streak)))

    def row(self) -> Row:
        """The means, which then start anew unless all steps were skipped; all processes must call it."""
        totals: list[float] = collectives.mean(torch.cat((self.sums, self.counts))).tolist()
        steps, skips, streak, worst = totals[-4:]
        self.counts[3] = streak
        if steps == skips:
            return Row(None, round(worst))
        values = {name: value / (steps - skips) for name, value in zip(self.names, totals[:-4], strict=True)}
        if skips:
            values["skipped"] = skips
        self.names, self.sums = [], self.sums[:0]
        self.counts[:2] = 0
        return Row(values, round(worst))

    def streak(self) -> int:
        """Steps skipped in a row till now; waits for the device."""
        return round(float(self.counts[2]))

    def state(self) -> dict[str, Any]:
        """All of it as JSON, with the sums of each process; all processes must call it."""
        every = torch.zeros(collectives.world_size(), len(self.names)).to(self.sums)
        every[dist.get_rank() if collectives.world_size() > 1 else 0] = self.sums
        return {"names": self.names, "sums": collectives.total(every).tolist(), "counts": self.counts.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; of another number of processes, with the mean of their sums."""
        self.names = list(state["names"])
        every = torch.tensor(state["sums"], dtype=torch.float64)
        own = (
            every[dist.get_rank() if collectives.world_size() > 1 else 0]
            if len(every) == collectives.world_size()
            else every.mean(0)
        )
        self.sums, self.counts = own.to(torch.get_default_dtype()), torch.tensor(state["counts"])
