"""Layers one after the other of which the gradients' memory keeps only what cannot be made again at little cost."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = Callable[[Tensor], Tensor]


class Lean(nn.Sequential):
    """As nn.Sequential, with the same numbers forth and back to the last bit, for less memory in between.

    Autograd keeps what goes into a batch norm, and what comes out of the leaky ReLU after it, for this and for the
    convolution that follows; the second is made again from the first. So are the weights that autocast has rounded,
    and, with `first_again`, what the first layer, a convolution, has made: for large images that pays.
    Batch norms that share their statistics over processes are left alone.
    """

    def __init__(self, *layers: nn.Module, first_again: bool = False) -> None:
        super().__init__(*layers)
        self.first_again, self.first = (
            first_again,
            next((n for n, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)), 0),
        )

    def forward(self, x: Tensor, then: Layer | None = None) -> Tensor:  # type: ignore[override]
        """Through all layers and, if given, `then`, which may be a layer outside that reads the last activation."""
        if not (torch.is_grad_enabled() and self.training):
            x = super().forward(x)
            return x if then is None else then(x)
        layers: list[Layer] = [*self, *([] if then is None else [then])]
        made: _Again | None = None  # how to make x again
        for number, (layer, following) in enumerate(pairwise([*layers, None])):
            assert layer is not None
            before = x
            with _kept(layer, made, x):
                x = layer(x)
            if type(layer) is nn.BatchNorm2d and isinstance(following, nn.LeakyReLU):
                made = _activation(layer, following, made or before.detach())
            elif self.first_again and number == self.first:
                made = _Again(_same_precision(layer, before.detach(), x))
            elif not isinstance(layer, nn.LeakyReLU):
                made = None
        return x


class _Again:
    """A tensor that is made again when it is needed."""

    def __init__(self, make: Callable[[], Tensor]) -> None:
        self.make, self.times, self.given = make, 0, 0
        self.made: Tensor | None = None

    def wanted(self) -> "_Again":
        """Note that it will be asked for once more."""
        self.times += 1
        return self

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """The tensor, held until it has been given as often as it was wanted."""
        made = self.make() if self.made is None else self.made
        self.given += 1
        self.made = made
        if self.given == self.times:
            self.made, self.given = None, 0
        return made


def _activation(norm: nn.BatchNorm2d, leaky: nn.LeakyReLU, x: Tensor | _Again) -> _Again:
    """leaky(norm(x)) in training, without a trace in the norm's statistics."""
    source = x if isinstance(x, Tensor) else x.wanted()

    def make() -> Tensor:
        given = source if isinstance(source, Tensor) else source()
        out = F.batch_norm(given, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
        return F.leaky_relu_(out, leaky.negative_slope)

    return _Again(make)


def _same_precision(layer: Layer, x: Tensor, made: Tensor) -> Callable[[], Tensor]:
    """layer(x) in the precision in which it was `made`."""
    device = x.device.type
    rounded = torch.is_autocast_enabled(device)
    kind = made.dtype if rounded else None

    def make() -> Tensor:
        with torch.autocast(device, kind, enabled=rounded):
            return layer(x)

    return make


def _kept(layer: Any, made: _Again | None, x: Tensor) -> AbstractContextManager[Any]:
    """What autograd keeps inside: recipes for x, if it can be made again, and for rounded weights."""
    place, shape = x.data_ptr(), x.shape  # x lives until the layer is done, so nothing else can be there
    weight = layer.weight if isinstance(layer, nn.Conv2d) else None

    def pack(saved: Tensor) -> Any:
        if made is not None and saved.data_ptr() == place and saved.shape == shape:
            return made.wanted()
        if weight is not None and saved.shape == weight.shape and saved.dtype != weight.dtype:
            kind = saved.dtype
            return lambda: weight.detach().to(kind)
        return saved

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed() if callable(packed) else packed)
