"""Pretrained networks: the maps of those who made them, batch norms made part of convolutions, standardised rows."""

import itertools
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers.backbone import LITE_BLOCKS, Backbone, TimmStages, fuse_batch_norms, lite_weights

LITE = "efficientnet-lite0"
SIDE = 64


def images(count: int, seed: int = 0, side: int = SIDE) -> Tensor:
    """Patches of random colours and random pixels, in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    patches = F.interpolate(torch.rand(count, 3, 8, 8, generator=generator), size=side)
    return 1.4 * patches + 0.6 * torch.rand(count, 3, side, side, generator=generator) - 1


@pytest.fixture(scope="module")
def lite() -> Backbone:
    """EfficientNet-Lite0 with its weights, standardised over 12 images in parts of 5 and 7."""
    backbone = Backbone(LITE, SIDE)
    backbone.standardize(images(12).split([5, 7]))
    return backbone


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    """The same network as timm builds it, with batch norms."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(lite_weights(LITE, list(network.state_dict())))
    return network.eval()


def assert_close_to_scale(actual: Tensor, expected: Tensor) -> None:
    """Equal up to rounding, beside the spread of what was expected."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() < 2e-5 * expected.abs().max()


def test_the_maps_are_those_of_the_network_with_batch_norms(lite: Backbone, plain: nn.Module) -> None:
    seen: list[Tensor] = []
    hooks = [
        row.register_forward_hook(lambda module, given, actual: seen.append(actual))
        for number, row in enumerate(plain.blocks)  # type: ignore[arg-type]
        if number in LITE_BLOCKS
    ]
    with torch.no_grad():
        plain(images(3))
        actual = lite.raw(images(3))
    for hook in hooks:
        hook.remove()
    for one, expected in zip(actual, seen, strict=True):
        assert_close_to_scale(one, expected)
        assert expected.std() > 0.1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in lite.modules())


def test_shapes_of_photographs() -> None:
    backbone = Backbone(LITE, 256, pretrained=False)
    assert backbone.shapes == [(40, 32, 32), (112, 16, 16), (192, 8, 8)]
    assert (backbone.channels, backbone.side, backbone.middle) == (344, 32, 16)
    assert backbone.size == 40 * 32 * 32 + 112 * 16 * 16 + 192 * 8 * 8


def test_rows_taken_apart_are_the_standardised_maps(lite: Backbone) -> None:
    with torch.no_grad():
        rows, raw = lite(images(3, seed=1)), lite.raw(images(3, seed=1))
    assert rows.shape == (3, lite.size) and rows.dtype == torch.float32
    starts = [0, *itertools.accumulate(shape[0] for shape in lite.shapes)]
    for (begin, end), result, one in zip(itertools.pairwise(starts), lite.maps(rows), raw, strict=True):
        shift, scale = (part[begin:end, None, None] for part in (lite.shift, lite.scale))
        torch.testing.assert_close(result, (one - shift) * scale, atol=1e-5, rtol=1e-5)
    assert lite.shift.abs().max() > 0.1 and (lite.scale - 1).abs().min() > 0.01


def test_over_the_images_each_channel_has_mean_0_and_deviation_1(lite: Backbone) -> None:
    with torch.no_grad():
        for one in lite.maps(lite(images(12))):
            flat = one.transpose(0, 1).flatten(1)
            torch.testing.assert_close(flat.mean(1), torch.zeros(len(flat)), atol=1e-4, rtol=0)
            torch.testing.assert_close(flat.std(1, correction=0), torch.ones(len(flat)), atol=1e-4, rtol=0)


def test_neither_autocast_nor_memory_format_nor_training_mode_matters(lite: Backbone) -> None:
    with torch.no_grad():
        rows = lite.eval()(images(2))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(lite(images(2)), rows)
        assert torch.equal(lite(images(2).contiguous(memory_format=torch.channels_last)), rows)
        assert torch.equal(lite.train()(images(2)), rows)
    assert not any(module.training for module in lite.modules())


@pytest.mark.parametrize("side", [8, 4, 2, 16])
def test_projected_rows_are_the_stacked_ones_times_the_weight(lite: Backbone, side: int) -> None:
    weight = torch.randn(lite.channels, 5, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        rows = lite(images(3))
        stacked = lite.stacked(rows, side)
        expected = torch.einsum("bchw,ck->bkhw", stacked, weight)
        assert stacked.shape == (3, lite.channels, side, side)
        torch.testing.assert_close(lite.projected(rows, weight, side), expected, atol=1e-3, rtol=1e-4)


def opened(backbone: Backbone) -> set[str]:
    return {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("name", "count", "prefixes"),
    [
        (LITE, 0, ()),
        (LITE, 1, ("stages.blocks.5.",)),
        (LITE, 2, ("stages.blocks.4.", "stages.blocks.5.")),
        (LITE, 1000, ("stages.",)),
        ("random", 1, ("stages.blocks.3.",)),
        ("test_vit", 1, ("stages.network.model.blocks.5.",)),
    ],
)
def test_the_last_stages_are_opened_and_no_others(name: str, count: int, prefixes: tuple[str, ...]) -> None:
    backbone = Backbone(name, SIDE, trainable=count, pretrained=False)
    expected = {own for own, _ in backbone.named_parameters() if own.startswith(prefixes)} if prefixes else set()
    assert opened(backbone) == expected and bool(expected) == bool(count)
    rows = backbone(images(2))
    assert rows.requires_grad == bool(count)
    if count == 1:
        rows.square().mean().backward()
        grown = {own for own, value in backbone.named_parameters() if value.grad is not None and value.grad.any()}
        assert grown == expected


def test_random_is_the_same_at_each_construction() -> None:
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(Backbone("random", SIDE).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert Backbone("random", SIDE).shapes == [(64, 8, 8), (64, 4, 4)]


def test_a_vision_transformer_gives_its_last_two_maps() -> None:
    backbone = Backbone("vit_tiny_patch16_224", SIDE, pretrained=False)
    assert backbone.shapes == [(192, 4, 4), (192, 4, 4)] and backbone.side == backbone.middle == 4
    with torch.no_grad():
        first, second = backbone.maps(backbone(images(2)))
    assert (first - second).abs().mean() > 0.01 and first.isfinite().all()


class Fake(nn.Module):
    """As a network of timm's whose feature maps have these strides; says what it was shown."""

    def __init__(self, strides: list[int]) -> None:
        super().__init__()
        self.strides, self.shown = strides, torch.Size()

    @property
    def feature_info(self) -> Any:
        return type("Info", (), {"reduction": lambda _: self.strides})()

    def forward(self, x: Tensor) -> list[Tensor]:
        self.shown = x.shape
        return [torch.full((1,), float(number)) for number in range(len(self.strides))]


@pytest.mark.parametrize(
    ("strides", "chosen", "side"),
    [
        ([2, 4, 8, 16, 32], [2, 3, 4], 64),
        ([4, 8, 16], [1, 2], 64),
        ([2, 4], [0, 1], 64),
        ([16] * 12, [10, 11], 64),
        ([14] * 12, [10, 11], 56),  # four patches of 14 pixels in the place of four cells of 16
    ],
)
def test_maps_of_strides_8_to_32_or_the_last_two_are_taken(strides: list[int], chosen: list[int], side: int) -> None:
    network = Fake(strides)
    assert [int(one) for one in TimmStages(network)(images(1))] == chosen
    assert network.shown == (1, 3, side, side)


def test_fusing_leaves_other_layers_alone() -> None:
    """A batch norm before its convolution, or after a layer that is none, stays."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    network = nn.Sequential(inner, nn.BatchNorm2d(4)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    with torch.no_grad():
        before = network(images(2))
        torch.testing.assert_close(fuse_batch_norms(network)(images(2)), before)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 3
