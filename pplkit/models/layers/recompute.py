"""Layers one after the other of which the gradients' memory keeps only what cannot be made again at little cost."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers.resampled_conv import HalvedConv

Layer = Callable[[Tensor], Tensor]
LARGE = 2**22  # bytes: below, keeping what a first convolution has made costs less than making it again


class RecomputeSequential(nn.Sequential):
    """As nn.Sequential, with the same numbers forth and back to the last bit, for less memory in between."""

    def forward(self, x: Tensor) -> Tensor:
        """Through all layers."""
        return forward_recomputing([self], x)


class Concat:
    """A layer that puts the channels of `more` after those of what comes in."""

    def __init__(self, more: Tensor) -> None:
        self.more = more

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + channels of `more`, H, W)."""
        return torch.cat((x, self.more), dim=1)


def forward_recomputing(parts: Sequence[RecomputeSequential | Layer], x: Tensor) -> Tensor:
    """x through rows of layers and layers in between, where something is remembered from one row to the next.

    Autograd keeps what goes into a batch norm, and what comes out of the leaky ReLU after it, for this and for the
    convolution that follows; the second is made again from the first, also with other channels `Concat` it. So are
    the weights that autocast has rounded or a `HalvedConv` has made of its own, and what the first convolution of a
    row has made, if it is LARGE. Batch norms that share their statistics over processes are left alone.
    """
    rows = [list(part) if isinstance(part, RecomputeSequential) else [part] for part in parts]
    layers: list[Layer] = [layer for row in rows for layer in row]
    if not (torch.is_grad_enabled() and all(part.training for part in parts if isinstance(part, RecomputeSequential))):
        for each in layers:
            x = each(x)
        return x
    first = [next((layer for layer in row if isinstance(layer, nn.Conv2d)), None) for row in rows]
    made: _Recomputed | None = None  # how to make x again
    for layer, following in pairwise([*layers, None]):
        assert layer is not None
        before = x
        with _kept(layer, made, x):
            x = layer(x)
        source = made or before.detach()
        if type(layer) is nn.BatchNorm2d and isinstance(following, nn.LeakyReLU):
            made = _Recomputed(source, _activation(layer, following))
        elif isinstance(layer, Concat):
            made = made and _Recomputed(made, layer)
        elif layer in first and isinstance(layer, nn.Conv2d) and x.nbytes >= LARGE:
            made = _Recomputed(source, _same_precision(layer, x))
        elif not isinstance(layer, (nn.LeakyReLU, nn.Identity)):
            made = None
    return x


class _Recomputed:
    """A tensor that is made again when it is needed, from one that is there or is itself made again."""

    def __init__(self, source: "Tensor | _Recomputed", make: Layer) -> None:
        self.source, self.make = source.wanted() if isinstance(source, _Recomputed) else source, make
        self.times, self.given = 0, 0
        self.made: Tensor | None = None

    def wanted(self) -> "_Recomputed":
        """Note that it will be asked for once more."""
        self.times += 1
        return self

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """The tensor, held until it has been given as often as it was wanted."""
        made = self.made
        if made is None:
            made = self.make(self.source() if isinstance(self.source, _Recomputed) else self.source)
        self.given += 1
        self.made = made
        if self.given == self.times:
            self.made, self.given = None, 0
        return made


def _activation(norm: nn.BatchNorm2d, leaky: nn.LeakyReLU) -> Layer:
    """leaky(norm(x)) in training, without a trace in the norm's statistics."""

    def make(x: Tensor) -> Tensor:
        out = F.batch_norm(x, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
        return F.leaky_relu_(out, leaky.negative_slope)

    return make


def _same_precision(layer: Layer, made: Tensor) -> Layer:
    """The layer in the precision in which it `made` something."""
    device = made.device.type
    rounded = torch.is_autocast_enabled(device)
    kind = made.dtype if rounded else None

    def make(x: Tensor) -> Tensor:
        with torch.autocast(device, kind, enabled=rounded):
            return layer(x)

    return make


def _kept(layer: Any, made: _Recomputed | None, x: Tensor) -> AbstractContextManager[Any]:
    """What autograd keeps inside: recipes for x, if it can be made again, and for weights that are no parameters."""
    place, shape = x.data_ptr(), x.shape  # x lives until the layer is done, so nothing else can be there
    weight = layer.weight if isinstance(layer, nn.Conv2d) else None
    size = () if weight is None else (*weight.shape[:2], 4, 4) if isinstance(layer, HalvedConv) else weight.shape

    def pack(saved: Tensor) -> Any:
        if saved.data_ptr() == place and saved.shape == shape:
            return saved if made is None else made.wanted()
        if weight is not None and saved.shape == size and saved.data_ptr() != weight.data_ptr():
            kind = saved.dtype
            return lambda: (layer.kernel() if isinstance(layer, HalvedConv) else weight).detach().to(kind)
        return saved

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed() if callable(packed) else packed)
