"""Layers that make their activations again: the same numbers as layers that keep them, for less memory."""

import copy
import gc
from collections import Counter
from functools import partial

import pytest
import torch
from counting import Tensors
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers import recompute as lean_layers
from pplkit.models.layers.recompute import Concat, RecomputeSequential, forward_recomputing
from pplkit.models.layers.resampled_conv import DoubledConv, HalvedConv


def layers(first: type[nn.Conv2d] | None = None) -> RecomputeSequential:
    """A row as in the networks; `first`: a convolution of another kind, (3, H, W) to (4, H', W')."""
    torch.manual_seed(0)
    conv = first(3, 4) if first else nn.Conv2d(3, 4, 3, padding=1)  # type: ignore[call-arg]
    parts = (conv, nn.BatchNorm2d(4), nn.LeakyReLU(0.2, inplace=True))
    return RecomputeSequential(*parts, nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.LeakyReLU(0.2))


@pytest.fixture(params=[False, True], ids=["first kept", "first again"])
def again(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether what a row's first convolution has made counts as large, so that it is made again."""
    monkeypatch.setattr(lean_layers, "MIN_RECOMPUTED_BYTES", 0 if request.param else 2**30)
    return bool(request.param)


def gradients(module: nn.Module, x: Tensor, lean: bool, precision: torch.dtype | None) -> list[Tensor]:
    """Of the sum of squares, for the input and all parameters, with the output before and the norms' statistics."""
    module, x = copy.deepcopy(module), x.clone().requires_grad_()
    with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
        out = module(x) if lean else nn.Sequential(*module)(x)  # type: ignore[arg-type]
    out.float().square().sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad, *(p.grad for p in module.parameters() if p.grad is not None), *module.buffers()]


@pytest.mark.usefixtures("again")
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("first", [None, HalvedConv, DoubledConv])
def test_numbers_and_gradients_are_those_of_a_sequential_to_the_last_bit(
    first: type[nn.Conv2d] | None, precision: torch.dtype | None
) -> None:
    module, x = layers(first), torch.randn(2, 3, 16, 16)
    for one, other in zip(*(gradients(module, x, lean, precision) for lean in (True, False)), strict=True):
        assert torch.equal(one, other)


def kept(run: nn.Module, x: Tensor) -> int:
    """Bytes of the tensors that `run(x)` has made and that live on as long as its gradients may be asked for."""
    with Tensors() as made:
        out = run(x)
    assert out.requires_grad
    return made.total


def test_activations_are_not_kept(again: bool) -> None:
    """Of both leaky ReLUs, 4 channels at 8 x 8 and 5 at 6 x 6, nor what the first convolution made, if it is large."""
    x, first, second = torch.randn(2, 3, 8, 8), 4 * 2 * 4 * 8 * 8, 4 * 2 * 5 * 6 * 6
    assert kept(nn.Sequential(*layers()), x) - kept(layers(), x) == (1 + again) * first + second


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_the_weights_that_a_halved_convolution_makes_are_not_kept(precision: torch.dtype | None) -> None:
    x, conv = torch.randn(2, 3, 8, 8), HalvedConv(3, 64)
    with torch.autocast("cpu", precision or torch.bfloat16, precision is not None, cache_enabled=False):
        plain, lean = kept(nn.Sequential(conv), x), kept(RecomputeSequential(conv), x)
    assert plain - lean == (2 if precision else 4) * 64 * 3 * 4 * 4


class Chain(nn.Module):
    """Two rows with other channels in between, and a layer at the end that reads the last activation."""

    def __init__(self, lean: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.weight = layers(), nn.Parameter(torch.randn(3, 4, 3, 3))
        second = (nn.Identity(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2, inplace=True))
        self.two, self.lean = RecomputeSequential(*second), lean

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 8, 8) to (B, 3, 2, 2)."""
        read = partial(F.conv2d, weight=self.weight)
        beside = x[:, :, 1:-1, 1:-1].sin()
        if self.lean:
            return forward_recomputing([self.one, Concat(beside), self.two, read], x)
        one = nn.Sequential(*self.one)(x)
        return read(nn.Sequential(*self.two)(torch.cat((one, beside), 1)))


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_chain_of_rows_gives_the_same_numbers_and_keeps_less(again: bool, precision: torch.dtype | None) -> None:
    x, result = torch.randn(2, 3, 8, 8), []
    for module in (Chain(True), Chain(False)):
        start = x.clone().requires_grad_()
        with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
            out = module(start)
        out.float().square().sum().backward()
        result.append([out, start.grad, *(p.grad for p in module.parameters()), *module.buffers()])
    for one, other in zip(*result, strict=True):
        assert torch.equal(one, other)
    joined = 4 * 2 * 5 * 6 * 6  # what goes into the second row, but the three channels that stand beside
    last = 4 * 2 * 4 * 4 * 4  # what comes out of it
    first = 4 * 2 * (4 * 8 * 8 + 4 * 4 * 4)  # of both rows' first convolutions
    rows = 4 * 2 * (4 * 8 * 8 + 5 * 6 * 6)  # both activations of the first row
    assert kept(Chain(False), x) - kept(Chain(True), x) == rows + joined + last + again * first


def recipes() -> list[lean_layers._Recomputed]:
    """All that there are, also those of other tests that are still held."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is lean_layers._Recomputed]


def test_what_is_made_again_is_made_once_and_given_up_when_the_last_has_had_it(again: bool) -> None:
    module, x, before = Chain(True), torch.randn(2, 3, 8, 8, requires_grad=True), recipes()
    out = module(x).sum()
    made = [one for one in recipes() if one not in before]
    assert len(made) == 4 + again * 2  # three activations, what stands beside, and two first convolutions
    times: Counter[object] = Counter()
    for one in made:
        one.compute = partial(lambda make, given: times.update([make]) or make(given), one.compute)  # type: ignore[func-returns-value]
    out.backward(retain_graph=True)
    assert list(times.values()) == [1] * len(made)
    assert all(one.value is None for one in made)


def test_without_gradients_or_in_eval_mode_it_is_a_sequential() -> None:
    module, x = layers().eval(), torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), nn.Sequential(*module)(x))
    assert torch.equal(forward_recomputing([module, torch.neg], x), -module(x))
