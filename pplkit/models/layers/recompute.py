"""Activation recomputation: layers in a row that keep for backward only what is expensive to compute again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers.resampled_conv import HalvedConv

Layer = Callable[[Tensor], Tensor]
MIN_RECOMPUTED_BYTES = 2**22  # of a first convolution's output; a smaller one is cheaper to keep than to recompute


class RecomputeSequential(nn.Sequential):
    """nn.Sequential with the same outputs and gradients to the last bit, for less memory in between."""

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Sequential."""
        return forward_recomputing([self], x)


class Concat:
    """A layer that concatenates `more` (B, C', H, W) to its input along the channels."""

    def __init__(self, more: Tensor) -> None:
        self.more = more

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + C', H, W)."""
        return torch.cat((x, self.more), dim=1)


def forward_recomputing(parts: Sequence[RecomputeSequential | Layer], x: Tensor) -> Tensor:
    """x through rows of layers and single layers in between.

    Autograd would keep the input of a batch norm, and the output of the leaky ReLU after it; here the second is
    recomputed from the first, also after a `Concat`. So are the weights that autocast has rounded or a `HalvedConv`
    computes, and the output of a row's first convolution, from MIN_RECOMPUTED_BYTES on. Batch norms that share their
    statistics over processes are left alone.
    """
    rows = [list(part) if isinstance(part, RecomputeSequential) else [part] for part in parts]
    layers: list[Layer] = [layer for row in rows for layer in row]
    if not (torch.is_grad_enabled() and all(part.training for part in parts if isinstance(part, RecomputeSequential))):
        for each in layers:
            x = each(x)
        return x
    first = [next((layer for layer in row if isinstance(layer, nn.Conv2d)), None) for row in rows]
    recipe: _Recomputed | None = None  # of x
    for layer, following in pairwise([*layers, None]):
        assert layer is not None
        before = x
        with _saved(layer, recipe, x):
            x = layer(x)
        source = recipe or before.detach()
        if type(layer) is nn.BatchNorm2d and isinstance(following, nn.LeakyReLU):
            recipe = _Recomputed(source, _activation(layer, following))
        elif isinstance(layer, Concat):
            recipe = recipe and _Recomputed(recipe, layer)
        elif layer in first and isinstance(layer, nn.Conv2d) and x.nbytes >= MIN_RECOMPUTED_BYTES:
            recipe = _Recomputed(source, _same_precision(layer, x))
        elif not isinstance(layer, (nn.LeakyReLU, nn.Identity)):
            recipe = None
    return x


class _Recomputed:
    """A tensor that is recomputed when it is needed, from one that is kept or is itself recomputed."""

    def __init__(self, source: "Tensor | _Recomputed", compute: Layer) -> None:
        self.source, self.compute = source.request() if isinstance(source, _Recomputed) else source, compute
        self.requests, self.reads = 0, 0
        self.value: Tensor | None = None

    def request(self) -> "_Recomputed":
        """Note that it will be read once more."""
        self.requests += 1
        return self

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """The tensor, held until it has been read as often as it was requested."""
        value = self.value
        if value is None:
            value = self.compute(self.source() if isinstance(self.source, _Recomputed) else self.source)
        self.reads += 1
        self.value = value
        if self.reads == self.requests:
            self.value, self.reads = None, 0
        return value


def _activation(norm: nn.BatchNorm2d, leaky: nn.LeakyReLU) -> Layer:
    """leaky(norm(x)) in training, without an update of the norm's statistics."""

    def compute(x: Tensor) -> Tensor:
        out = F.batch_norm(x, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
        return F.leaky_relu_(out, leaky.negative_slope)

    return compute


def _same_precision(layer: Layer, output: Tensor) -> Layer:
    """The layer in the precision in which it computed `output`."""
    device = output.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = output.dtype if autocast else None

    def compute(x: Tensor) -> Tensor:
        with torch.autocast(device, dtype, enabled=autocast):
            return layer(x)

    return compute


def _saved(layer: Any, recipe: _Recomputed | None, x: Tensor) -> AbstractContextManager[Any]:
    """Inside, autograd saves recipes in place of x, if it has one, and of weights that are no parameters."""
    address, shape = x.data_ptr(), x.shape  # x lives until the layer is done, so nothing else has its address
    weight = layer.weight if isinstance(layer, nn.Conv2d) else None
    size = () if weight is None else (*weight.shape[:2], 4, 4) if isinstance(layer, HalvedConv) else weight.shape

    def pack(saved: Tensor) -> Any:
        if saved.data_ptr() == address and saved.shape == shape:
            return saved if recipe is None else recipe.request()
        if weight is not None and saved.shape == size and saved.data_ptr() != weight.data_ptr():
            dtype = saved.dtype
            return lambda: (layer.kernel() if isinstance(layer, HalvedConv) else weight).detach().to(dtype)
        return saved

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed() if callable(packed) else packed)
