"""Settings of pretrained networks: what is refused, how older runs go on, and what batches and precision follow."""

import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from trainings import trained

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, Split
from pplkit.models.prior.batches import Batches
from pplkit.models.prior.config import Config
from pplkit.models.prior.presets import PRESETS
from pplkit.training.distributed import usable_precision
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import read_config

CPU = torch.device("cpu")
WEIGHTS = ("weight_parts", "weight_contrast", "weight_concentration", "weight_presence", "weight_background")
NEW = {"brightness", "paint_size", "background", "equivariance", *WEIGHTS}
NEW |= {"backbone", "backbone_trainable", "backbone_learning_rate", "backbone_views"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(({name: 0.5}, f"{name}=0.5 needs a backbone: choose one, or set it to 0") for name in WEIGHTS),
        ({"brightness": 0.1}, "brightness=0.1 needs a backbone"),
        ({"backbone_trainable": 1}, "backbone_trainable=1 needs a backbone"),
        ({"background": False}, "background=False needs a backbone, which finds the object"),
        ({"backbone": "random", "background": False, "reference": "frame"}, "background=False is for reference='mas"),
        ({"backbone_views": 1}, "backbone_views=1 is too small: give at least 2"),
        ({"backbone_views": 10_001}, "backbone_views=10001 is too large: give at most 10,000"),
        ({"backbone": "random", "backbone_trainable": -1}, "backbone_trainable=-1 is too small"),
        ({"backbone": "random", "backbone_trainable": 1001}, "backbone_trainable=1001 is too large: give at most"),
        ({"backbone": "random", "backbone_learning_rate": -1e-4}, "backbone_learning_rate=-0.0001 must be"),
        ({"backbone": "random", "weight_parts": -1.0}, r"weight_parts=-1.0 must be 0 \(switched off\) or more"),
        ({"backbone": "random", "brightness": math.inf}, "brightness=inf must be a finite number"),
        ({"backbone": 3}, "setting backbone=3 must be of type str"),
        ({"paint_size": 48}, "paint_size=48 does not fit: use a divisor of image_size=128 that is a multiple of 16"),
        ({"paint_size": 16}, "paint_size=16 does not fit: .* from 32 upwards, or 0"),
        ({"paint_size": -32}, "paint_size=-32 is too small"),
        ({"image_size": 192, "paint_size": 48, "coarse_fraction": 0.5}, "image_size=48 cannot start at half the"),
        ({"paint_size": 32, "mask_grid": 64}, "mask_grid=64 does not divide image_size=32"),
        ({"equivariance": "both"}, "equivariance='both' is unknown: choose one of relative, absolute"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message) as caught:
        Config().replace(**change)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_run_of_before_these_settings_is_read_and_goes_on(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    trained(tiny.replace(steps=2), puppets, tmp_path / "one")
    file = tmp_path / "one" / "config.json"
    content = json.loads(file.read_text(encoding="utf8"))
    assert content["config"].keys() > NEW
    content["config"] = {name: value for name, value in content["config"].items() if name not in NEW}
    file.write_text(json.dumps(content), encoding="utf8")
    run = RunFolder(tmp_path / "one")
    assert read_config(run) == tiny.replace(steps=2) and run.changed(tiny.replace(steps=2)) == {}
    assert trained(tiny.replace(steps=3), puppets, tmp_path / "one").steps == 3
    with pytest.raises(PplkitError, match=r"other settings \(equivariance\)"):
        trained(tiny.replace(steps=4, equivariance="absolute"), puppets, tmp_path / "one")


@pytest.mark.parametrize("name", sorted(name for name, changes in PRESETS.items() if "backbone" in changes))
def test_smoke_keeps_the_method(name: str) -> None:
    config, smoke = Config.preset(name), Config.preset(name).smoke()
    kept = (*WEIGHTS, "equivariance", "brightness", "reference", "background", "keypoints", "affine_init")
    assert smoke.backbone == "random"
    assert [getattr(smoke, name) for name in kept] == [getattr(config, name) for name in kept]
    assert (smoke.image_size, smoke.reconstruction_size, smoke.backbone_views) == (32, 32, 2)
    assert config.reconstruction_size == config.paint_size < config.image_size


def split(side: int) -> Split:
    """Five images without videos."""
    images = np.random.default_rng(3).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    return Split("train", images, None, None, None, None, None, [""] * 5)


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    own = {"max_rotation": 0.5, "max_shift": 0.2, "brightness": 0.4, "weight_equivariance": 1.0, "reference": "masked"}
    return tiny.replace(backbone="random", **own)


def test_a_backbone_that_learns_sees_whole_images(config: Config) -> None:
    """As they are shown; what is painted is as much smaller as it is to be."""
    settings = config.replace(image_size=64, paint_size=32, backbone_trainable=1, brightness=0.0)
    draw = Batches(split(64), settings, CPU)
    batch = draw(0)
    assert batch.features is not None and batch.features.shape == (4, 3, 64, 64) and batch.inputs is batch.features
    torch.testing.assert_close(batch.images, F.avg_pool2d(batch.features, 2))
    assert batch.target is batch.images and batch.reference.shape == (4, 3, 32, 32)
    assert batch.second_view is not None and batch.second_view.shape == (4, 3, 64, 64) and draw.cache is None


def test_a_backbone_that_learns_sees_them_lit(config: Config) -> None:
    """White images, of which some are made darker."""
    white = split(32)
    white.images[:] = 255
    batch = Batches(white, config.replace(backbone_trainable=1, batch_size=32), CPU)(0)
    assert batch.features is not None and batch.second_view is not None
    for images in (batch.features, batch.second_view, batch.target):
        assert images.amax((1, 2, 3)).std() > 0.05


def test_without_a_backbone_the_regressor_sees_what_it_will_see_later(tiny: Config) -> None:
    """Images at their own size, though less is painted."""
    settings = tiny.replace(image_size=64, paint_size=32, reference="masked", weight_equivariance=1.0)
    batch = Batches(split(64), settings, CPU)(0)
    assert batch.second_view is not None and batch.inputs.shape == batch.second_view.shape == (4, 3, 64, 64)


@pytest.mark.parametrize(
    ("wanted", "device", "machine", "supported", "gpu", "result"),
    [
        ("bf16-mixed", "cpu", "x86_64", False, False, "32-true"),
        ("bf16-mixed", "cpu", "AMD64", False, True, "32-true"),
        ("bf16-mixed", "auto", "x86_64", False, False, "32-true"),
        ("bf16-mixed", "auto", "x86_64", False, True, "bf16-mixed"),
        ("bf16-mixed", "cuda", "x86_64", False, True, "bf16-mixed"),
        ("bf16-mixed", "cpu", "x86_64", True, False, "bf16-mixed"),
        ("bf16-mixed", "cpu", "arm64", False, False, "bf16-mixed"),
        ("16-mixed", "cpu", "x86_64", False, False, "16-mixed"),
        ("32-true", "cpu", "x86_64", True, False, "32-true"),
    ],
)
def test_bfloat16_is_for_what_can_calculate_with_it(
    wanted: str, device: str, machine: str, supported: bool, gpu: bool, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    assert usable_precision(wanted, device) == result


def test_a_run_says_in_which_precision_it_was_trained(
    tiny: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    result = trained(tiny.replace(steps=1, precision="bf16-mixed"), puppets, tmp_path / "one")
    assert result.precision == "32-true"
