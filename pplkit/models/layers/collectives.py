"""Sums, means and batch statistics over the processes of a training; a single process sends nothing."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F


def world_size() -> int:
    """Number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient)  # type: ignore[no-any-return, no-untyped-call]


def total(value: Tensor) -> Tensor:
    """The sum of `value`, of any shape, over all processes, with a gradient; all must call it in the same order."""
    return value if world_size() == 1 else _Total.apply(value)  # type: ignore[no-any-return, no-untyped-call]


def gather(value: Tensor) -> Tensor:
    """The values (B, ...) of all processes, concatenated; without gradient."""
    if world_size() == 1:
        return value.detach()
    parts = [torch.empty_like(value) for _ in range(world_size())]
    dist.all_gather(parts, value.detach().contiguous())
    return torch.cat(parts)


def mean(value: Tensor) -> Tensor:
    """The mean of `value`, of any shape, over all processes, with a gradient; all must call it in the same order."""
    return value if world_size() == 1 else total(value) / world_size()


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm with the mean and variance of the images of all processes, of equal number, on a CPU.

    torch's SyncBatchNorm supports GPUs only.
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
    """Mean and variance (C,) float32 of (B, C, H, W) over all processes."""
    rows = x.movedim(1, -1).reshape(-1, x.shape[1]).float()  # no copy if channels lie last in memory
    center = rows.mean(0)
    spread = (rows - center).square_().mean(0)
    statistics = torch.zeros(world_size(), 2, x.shape[1], device=x.device)
    statistics[dist.get_rank()] = torch.stack((center, spread))
    dist.all_reduce(statistics)
    centers, spreads = statistics.unbind(1)
    common = centers.mean(0)
    return common, (spreads + (centers - common).square()).mean(0)


class _Normalised(torch.autograd.Function):
    """(x - mean) / std · weight + bias, with gradients through mean and variance of all processes.

    dx = weight / std · (dy - mean(dy) - x̂ · mean(dy · x̂)), means over the images of all processes.
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
    """The model, with the same parameters and buffers, and batch norms that share their statistics on `device`."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return]
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
    return model


def broadcast_first(value: int) -> int:
    """The `value` of the first process; all must call it."""
    if world_size() == 1:
        return value
    tensor = torch.tensor([value], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(tensor, 0)
    return int(tensor)
