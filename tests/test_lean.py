"""Layers that make their activations again: the same numbers as layers that keep them, for less memory."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.lean import Lean


def layers(again: bool = False) -> Lean:
    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2, inplace=True))
    return Lean(*parts, nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.LeakyReLU(0.2), first_again=again)


def gradients(module: nn.Module, x: Tensor, lean: bool, precision: torch.dtype | None) -> list[Tensor]:
    """Of the sum of squares, for the input and all parameters, with the output before and the norms' statistics."""
    module, x = copy.deepcopy(module), x.clone().requires_grad_()
    with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
        out = module(x) if lean else nn.Sequential(*module)(x)  # type: ignore[arg-type]
    out.float().square().sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad, *(p.grad for p in module.parameters() if p.grad is not None), *module.buffers()]


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("again", [False, True])
def test_numbers_and_gradients_are_those_of_a_sequential_to_the_last_bit(
    again: bool, precision: torch.dtype | None
) -> None:
    module, x = layers(again), torch.randn(2, 3, 8, 8)
    for one, other in zip(*(gradients(module, x, lean, precision) for lean in (True, False)), strict=True):
        assert torch.equal(one, other)


def kept(run: nn.Module, x: Tensor) -> int:
    """Bytes of the storages that autograd keeps of `run(x)`, without the parameters."""
    own, found = {p.data_ptr() for p in run.parameters()}, {}

    def pack(saved: Tensor) -> Tensor:
        found[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    original = torch.autograd.graph.saved_tensors_hooks

    class Counting(original):  # type: ignore[misc, valid-type]
        """Counts also what the inner hooks of Lean have let through."""

        def __init__(self, inner, unpack) -> None:  # type: ignore[no-untyped-def]
            def both(saved: Tensor) -> object:
                out = inner(saved)
                return pack(out) if isinstance(out, Tensor) else out

            super().__init__(both, unpack)

    torch.autograd.graph.saved_tensors_hooks = Counting  # type: ignore[misc]
    try:
        with original(pack, lambda saved: saved):
            out = run(x)
    finally:
        torch.autograd.graph.saved_tensors_hooks = original  # type: ignore[misc]
    out.sum().backward()
    return sum(size for place, size in found.items() if place not in own)


def test_activations_are_not_kept() -> None:
    """Four maps of 4 x 8 x 8: out of the convolution, kept; out of the norm with its leaky ReLU in place, not."""
    x, one_map = torch.randn(2, 3, 8, 8), 4 * 2 * 4 * 8 * 8
    plain, lean = kept(nn.Sequential(*layers()), x), kept(layers(), x)
    assert plain - lean >= one_map
    assert lean - kept(layers(True), x) == one_map  # not even what the first convolution made


def test_a_layer_outside_may_read_the_last_activation() -> None:
    module, x = layers(), torch.randn(2, 3, 8, 8)
    weight = torch.randn(1, 5, 3, 3, requires_grad=True)
    found = []
    for out in (
        module(x, partial(F.conv2d, weight=weight)),
        F.conv2d(nn.Sequential(*copy.deepcopy(module))(x), weight),
    ):
        (gradient,) = torch.autograd.grad(out.square().sum(), weight)
        found.append((out, gradient))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_two_backward_passes_give_the_same() -> None:
    module, x = layers(True), torch.randn(2, 3, 8, 8, requires_grad=True)
    out = module(x).square().sum()
    (first,), (second,) = (torch.autograd.grad(out, x, retain_graph=True) for _ in range(2))
    assert torch.equal(first, second)


def test_without_gradients_or_in_eval_mode_it_is_a_sequential() -> None:
    module, x = layers().eval(), torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), nn.Sequential(*module)(x))
    assert torch.equal(module(x, torch.neg), -module(x))
