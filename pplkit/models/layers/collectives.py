"""What the processes of one training share: sums, means and batch statistics. In a single process nothing is sent."""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F


def world_size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Total(torch.autograd.Function):
    """The sum over all processes; each gets the sum of all gradients, as each one's value is in each one's sum."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        found = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient)  # type: ignore[no-any-return, no-untyped-call]


def total(value: Tensor) -> Tensor:
    """The sum of `value`, of any shape, over all processes, with a gradient; all must call it in the same order."""
    return value if world_size() == 1 else _Total.apply(value)  # type: ignore[no-any-return, no-untyped-call]


def gather(value: Tensor) -> Tensor:
    """The values (B, ...) of all processes, one after the other, in all of them; without gradient."""
    if world_size() == 1:
        return value.detach()
    parts = [torch.empty_like(value) for _ in range(world_size())]
    dist.all_gather(parts, value.detach().contiguous())
    return torch.cat(parts)


def mean(value: Tensor) -> Tensor:
    """The mean of `value`, of any shape, over all processes, with a gradient; all must call it in the same order."""
    return value if world_size() == 1 else total(value) / world_size()


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose mean and variance in training are those of the images of all processes, as many in each.

    torch's SyncBatchNorm does the same on CUDA alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape and type."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        center, spread = _statistics(x.detach())
        with torch.no_grad():
            number = x.numel() // x.shape[1] * world_size()
            self.running_mean.lerp_(center, self.momentum)
            self.running_var.lerp_(spread * (number / (number - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return _Normalised.apply(x, self.weight, self.bias, center, spread, self.eps)  # type: ignore[no-any-return, no-untyped-call]


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) float32 of (B, C, H, W) over all processes: of their means, and around the common one."""
    rows = x.movedim(1, -1).reshape(-1, x.shape[1]).float()  # no copy if channels lie last in memory
    center = rows.mean(0)
    spread = (rows - center).square_().mean(0)
    every = torch.zeros(world_size(), 2, x.shape[1], device=x.device)
    every[dist.get_rank()] = torch.stack((center, spread))
    dist.all_reduce(every)
    centers, spreads = every.unbind(1)
    common = centers.mean(0)
    return common, (spreads + (centers - common).square()).mean(0)


class _Normalised(torch.autograd.Function):
    """(x - mean) / std · weight + bias with the gradient that also goes through mean and variance, of all processes.

    dx = weight / std · (dy - mean(dy) - x̂ · mean(dy · x̂)), the means over the images of all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, center: Tensor, spread: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, center, spread)
        ctx.eps = eps
        return F.batch_norm(x, center, spread, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, center, spread = ctx.saved_tensors
        plain, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(  # as if mean and variance were constants
            gradient, x, weight, center, spread, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack((by_bias, by_weight))  # Σ dy and Σ dy x̂
        dist.all_reduce(sums)
        of_dy, of_both = sums / (x.numel() // x.shape[1] * world_size())
        inverse = (spread + ctx.eps).rsqrt()
        slope = -weight * inverse.square() * of_both
        offset = -weight * inverse * of_dy - slope * center
        slope, offset = slope[:, None, None], offset[:, None, None]
        whole = plain.float().add_(offset).addcmul_(x.float(), slope)  # large terms cancel: not in half precision
        return whole.to(x.dtype), by_weight, by_bias, None, None, None


def share_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """The same model, parameters and buffers, with batch norms that share their statistics on `device`."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return]
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
    return model


def broadcast_first(value: int) -> int:
    """The `value` of the first process; all must call it. Waits for a GPU."""
    if world_size() == 1:
        return value
    found = torch.tensor([value], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(found, 0)
    return int(found)


class Row(NamedTuple):
    """What is known at a logged step."""

    values: dict[str, float] | None  # means, and `skipped` if steps were; None if all were
    worst: int  # the most steps skipped in a row


class Means:
    """Means of named scalars over the steps since the last row and over all processes, without the steps skipped.

    On the device of the scalars: nothing waits for it before a row is asked for.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums = torch.zeros(0)
        self.counts = torch.zeros(4)  # steps; of them skipped; skipped in a row, till now and at most

    def add(self, values: dict[str, Tensor], skipped: Tensor) -> None:
        """Count one step, `skipped` or not (0-dimensional, bool); a name that a step lacks counts as 0 there."""
        new = [name for name in values if name not in self.names]
        some = next(iter(values.values()))
        none = torch.zeros_like(some)
        self.sums, self.counts = self.sums.to(some), self.counts.to(some)
        if new:
            self.names += new
            self.sums = torch.cat((self.sums, none.expand(len(new))))
        given = torch.stack([values.get(name, none) for name in self.names])
        self.sums = self.sums + torch.where(skipped, none, given)
        one = skipped.to(some)
        steps, skips, streak, worst = self.counts.unbind()
        streak = (streak + 1) * one
        self.counts = torch.stack((steps + 1, skips + one, streak, torch.maximum(worst, streak)))

    def row(self) -> Row:
        """What there is to log, from which it starts anew unless all steps were skipped; all processes must call it."""
        found: list[float] = mean(torch.cat((self.sums, self.counts))).tolist()
        steps, skips, streak, worst = found[-4:]
        self.counts[3] = streak
        if steps == skips:
            return Row(None, round(worst))
        values = {name: value / (steps - skips) for name, value in zip(self.names, found[:-4], strict=True)}
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
        every = torch.zeros(world_size(), len(self.names)).to(self.sums)
        every[dist.get_rank() if world_size() > 1 else 0] = self.sums
        return {"names": self.names, "sums": total(every).tolist(), "counts": self.counts.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; of another number of processes, with the mean of their sums."""
        self.names = list(state["names"])
        every = torch.tensor(state["sums"], dtype=torch.float64)
        own = every[dist.get_rank() if world_size() > 1 else 0] if len(every) == world_size() else every.mean(0)
        self.sums, self.counts = own.to(torch.get_default_dtype()), torch.tensor(state["counts"])
