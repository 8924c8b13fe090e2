"""Convolutions beside a change of size against the two one after the other."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers import resampled_conv as resampling
from pplkit.models.layers.resampled_conv import DoubledConv, Halve, HalvedConv


def images() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_halving_is_the_bilinear_one() -> None:
    x = images()
    expected = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Halve()(x), expected)


def test_a_halved_convolution_is_a_convolution_and_then_the_half() -> None:
    torch.manual_seed(0)
    halved, conv = HalvedConv(3, 5), nn.Conv2d(3, 5, 3, padding=1)
    conv.load_state_dict(halved.state_dict())
    pull = torch.randn(2, 5, 16, 16)
    gradients = []
    for layer, rest in ((halved, nn.Identity()), (conv, Halve())):
        x = images().requires_grad_()
        out = rest(layer(x))
        (out * pull).sum().backward()
        gradients.append((out, x.grad, layer.weight.grad, layer.bias.grad))  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "small"), [(6, 9, 2), (2, 2, 2), (2, 5, 2), (1, 7, 2), (6, 9, 16), (17, 16, 16)]
)
def test_a_doubled_convolution_is_the_double_and_then_a_convolution(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int, small: int
) -> None:
    """Values and gradients, at the border too, in double precision."""
    monkeypatch.setattr(resampling, "MIN_SIDE", small)
    torch.manual_seed(0)
    doubled, conv = DoubledConv(3, 5).double(), nn.Conv2d(3, 5, 3, padding=1).double()
    conv.load_state_dict(doubled.state_dict())
    start = torch.randn(2, 3, height, width, dtype=torch.float64)
    pull = torch.randn(2, 5, 2 * height, 2 * width, dtype=torch.float64)
    double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    results = []
    for layer, before in ((doubled, nn.Identity()), (conv, double)):
        x = start.clone().requires_grad_()
        out = layer(before(x))
        (out * pull).sum().backward()
        results.append((out, x.grad, layer.weight.grad, layer.bias.grad))  # type: ignore[union-attr]
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=1e-12)


def test_gradients_are_the_same_where_autocast_is_still_on() -> None:
    torch.manual_seed(0)
    layer, result = DoubledConv(8, 8), []
    for inside in (False, True):
        x = torch.randn(2, 8, 20, 20, generator=torch.Generator().manual_seed(0)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = layer(x).square().mean()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        result.append(x.grad)
    torch.testing.assert_close(result[0], result[1])


def test_a_doubled_convolution_is_exported_as_plain_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a function of autograd, and with the same numbers."""
    torch.manual_seed(0)
    layer, x = DoubledConv(3, 5), torch.randn(2, 3, 20, 16)
    expected = layer(x)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    monkeypatch.setattr(resampling._Doubled, "forward", lambda *_: pytest.fail("not to be exported"))
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_a_doubled_convolution_in_half_precision() -> None:
    """Under autocast it gives bfloat16, as a convolution does, near to what float32 gives."""
    torch.manual_seed(0)
    layer, x = DoubledConv(8, 4), torch.randn(2, 8, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x)
    assert result.dtype == torch.bfloat16
    assert (result.float() - layer(x)).abs().max() < 0.02
    result.float().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


def test_what_a_doubled_convolution_keeps_is_small() -> None:
    """The image as it came, its weights and the blur, nothing of twice the size."""
    kept = []
    layer, x = DoubledConv(8, 4), torch.randn(2, 8, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda none: none):
        layer(x)
    assert sum(kept) == x.numel() + layer.weight.numel() + 4 * 16


def test_the_names_of_the_weights_are_those_of_a_convolution() -> None:
    assert (
        DoubledConv(3, 5).state_dict().keys()
        == HalvedConv(3, 5).state_dict().keys()
        == nn.Conv2d(3, 5, 3).state_dict().keys()
    )
