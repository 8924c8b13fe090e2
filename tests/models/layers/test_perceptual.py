"""The perceptual features: the same in every run, frozen, tapped where documented, and clear without weights."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models import vgg

from pplkit.core.errors import PplkitError
from pplkit.models.layers.perceptual import PerceptualFeatures, perceptual_features
from pplkit.models.prior.losses import reconstruction_loss

# What each block's last layer is called in the paper's notation, and its channels and resolution for 32-pixel images.
RELUS = {
    "vgg16": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"],
    "vgg19": ["relu1_2", "relu2_2", "relu3_4", "relu4_4"],
}
SHAPES = [(64, 32), (128, 16), (256, 8), (512, 4)]


def images(count: int = 2, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def random(size: int = 32) -> PerceptualFeatures:
    result = perceptual_features("random", size)
    assert result is not None
    return result


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG with random weights in the place of the trained one: no download, no classifier."""
    layouts = {"vgg16": vgg.cfgs["D"], "vgg19": vgg.cfgs["E"]}

    def get_model(name: str, weights: None) -> SimpleNamespace:
        with torch.device("cpu"):
            layers = vgg.make_layers(layouts[name])
        return SimpleNamespace(features=layers, load_state_dict=lambda *_, **__: None)

    monkeypatch.setattr(models, "get_model", get_model)
    monkeypatch.setattr("pplkit.models.layers.perceptual._vgg_weights", lambda url: {})


def layer_names(layers: nn.Sequential) -> list[str]:
    """relu<stage>_<number> after each pooling-delimited stage, in order; "" for other layers."""
    names, stage, number = [], 1, 0
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            stage, number = stage + 1, 0
        number += isinstance(layer, nn.Conv2d)
        names.append(f"relu{stage}_{number}" if isinstance(layer, nn.ReLU) else "")
    return names


def test_random_features_are_the_same_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = random()(images())
    torch.manual_seed(2)
    second = random()(images())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("mode", [True, False])
def test_features_are_frozen(mode: bool) -> None:
    features = random().train(mode)
    assert not any(module.training for module in features.modules())
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_the_gradient_reaches_the_painted_image_alone() -> None:
    reconstruction, target = images().requires_grad_(), images(2).flip(0).requires_grad_()
    reconstruction_loss(random(), target, reconstruction).backward()
    assert reconstruction.grad is not None and reconstruction.grad.abs().max() > 0 and target.grad is None


def test_images_are_resized_and_normalised_first() -> None:
    """A single block that hands through what it is given."""
    mean, std = [0.5, 0.25, 0.0], [0.5, 0.25, 1.0]
    (seen,) = PerceptualFeatures([nn.Sequential(nn.Identity())], 32, mean, std)(torch.zeros(1, 3, 8, 8))
    assert seen.shape == (1, 3, 32, 32)  # 0 in [-1, 1] is 0.5 in [0, 1]
    torch.testing.assert_close(seen.amin((2, 3)), torch.tensor([[0.0, 1.0, 0.5]]))
    torch.testing.assert_close(seen.amax((2, 3)), torch.tensor([[0.0, 1.0, 0.5]]))
    x = images()
    (seen,) = PerceptualFeatures([nn.Sequential(nn.Identity())], 20, [0.0] * 3, [1.0] * 3)(x)
    expected = F.interpolate((x + 1) / 2, size=(20, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("name", sorted(RELUS))
def test_vgg_is_tapped_after_the_documented_relus(name: str, untrained: None) -> None:
    features = perceptual_features(name, 32)
    assert features is not None
    names = layer_names(nn.Sequential(*(layer for block in features.blocks for layer in block)))  # type: ignore[union-attr]
    ends = torch.tensor([len(block) for block in features.blocks]).cumsum(0) - 1  # type: ignore[arg-type]
    assert [names[end] for end in ends] == RELUS[name]
    maps = features(images())
    assert [tuple(m.shape[1:]) for m in maps] == [(channels, side, side) for channels, side in SHAPES]
    assert all((m >= 0).all() and (m > 0).any() for m in maps)  # a later layer has not written into an earlier map
    torch.testing.assert_close(features.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(features.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_vgg_maps_are_those_of_running_layer_after_layer(untrained: None) -> None:
    features = perceptual_features("vgg16", 32)
    assert features is not None
    x = ((images() + 1) / 2 - features.mean) / features.std
    for block, result in zip(features.blocks, features(images()), strict=True):
        for layer in block:  # type: ignore[union-attr]
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
        torch.testing.assert_close(result, x)


URLS = {"vgg16": "models/vgg16-397923af.pth", "vgg19": "models/vgg19-dcbb9e9d.pth"}


@pytest.mark.parametrize("name", sorted(URLS))
def test_without_weights_the_message_says_what_to_put_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    monkeypatch.setattr(vgg.VGG, "__init__", lambda self, *_, **__: nn.Module.__init__(self))
    with pytest.raises(PplkitError, match="no network") as caught:
        perceptual_features(name, 32)
    assert URLS[name] in str(caught.value) and str(tmp_path / "hub" / "checkpoints") in str(caught.value)
    assert name in str(caught.value) and "perceptual='random'" in str(caught.value)


def test_weights_are_read_from_the_cache_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A VGG16 of which only the first layers are there: what is read arrives in them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with torch.device("meta"):
        whole = models.get_model("vgg16", weights=None)
    state = {name: torch.zeros(1).expand(value.shape) for name, value in whole.state_dict().items()}
    state["features.0.weight"] = torch.randn(64, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    file = tmp_path / "hub" / URLS["vgg16"].replace("models", "checkpoints")
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    features = perceptual_features("vgg16", 32)
    assert features is not None and torch.equal(features.blocks[0][0].weight, state["features.0.weight"])  # type: ignore[index]


@pytest.mark.parametrize("torn", [b"", b"no weights at all", b"PK\x03\x04 cut short"])
def test_torn_weights_are_named(torn: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(vgg.VGG, "__init__", lambda self, *_, **__: nn.Module.__init__(self))
    file = tmp_path / "hub" / URLS["vgg16"].replace("models", "checkpoints")
    file.parent.mkdir(parents=True)
    file.write_bytes(torn)
    with pytest.raises(PplkitError, match="the weights of vgg16 cannot be loaded") as caught:
        perceptual_features("vgg16", 32)
    assert str(file.parent) in str(caught.value)
