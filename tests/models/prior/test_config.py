"""Settings: what may be changed, what is refused, and that every preset makes a model."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.models.prior.config import CHOICES, OLD_SETTINGS, Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.presets import PRESETS
from pplkit.training.run_folder import RunFolder


def test_the_paper_preset_has_the_published_numbers() -> None:
    """Section numbers of the paper's table of settings; the sizes are those of the released model."""
    config = Config.preset("paper")
    assert (config.keypoints, config.banks, config.vectors, config.dimension) == (16, 34, 16, 512)
    assert (config.thickness, config.mask_ratio, config.mask_grid, config.decay) == (5e-4, 0.8, 16, 0.9)
    assert (config.batch_size, config.learning_rate, config.perceptual) == (64, 1e-3, "vgg19")
    assert (
        config.thickness_start == 0
        and config.coarse_fraction == 0
        and config.affine_init == "random"
        and config.distance == "l1"
    )


PUBLISHED = sorted(name for name in PRESETS if name.startswith(("paper", "released")))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_presets_have_the_released_number_of_parameters(name: str) -> None:
    """The shapes of the released state dict give the number for 16 keypoints; what it changes by is counted by hand."""
    shapes = json.loads((Path(__file__).parents[2] / "parity" / "official_keys.json").read_text())
    kept = r"skeleton_scalar|alpha|(memory|regressor|translator)\..*(weight|bias)"
    released = sum(math.prod(shape) for key, shape in shapes.items() if re.fullmatch(kept, key))
    # A keypoint less: 34 + 35 at the tokens, 64 + 64 + 1 in each of 5 token MLPs, a map of 128 x 3 x 3 + 1, and links.
    config = Config.preset(name)
    fewer = 16 - config.keypoints
    expected = released - fewer * (34 + 35 + 5 * 129 + 1153) - (16**2 - config.keypoints**2)
    assert sum(parameter.numel() for parameter in PosePriorLearner(config).parameters()) == expected


def lite0() -> int:
    """Parameters of EfficientNet-Lite0 up to its 192 channels, batch norms part of the convolutions.

    Rows of blocks: expansion, kernel, channels, how often.
    """
    total, inputs = 3 * 32 * 9 + 32, 32
    rows = ((1, 3, 16, 1), (6, 3, 24, 2), (6, 5, 40, 2), (6, 3, 80, 3), (6, 5, 112, 3), (6, 5, 192, 4))
    for expansion, kernel, channels, count in rows:
        for _ in range(count):
            wide = expansion * inputs
            total += (inputs * wide + wide) * (expansion > 1) + wide * kernel**2 + wide + wide * channels + channels
            inputs = channels
    return total


LITE0 = lite0()


def counted(config: Config) -> int:
    """Parameters by the published layers, of the sizes that the config has."""
    n, d, e, f = config.keypoints, config.dimension, config.decoder_dimension, config.regressor_features

    def linear(inputs: int, outputs: int, kernel: int = 1) -> int:
        return inputs * outputs * kernel + outputs

    def conv(inputs: int, outputs: int) -> int:  # with the scale and shift of its batch norm
        return linear(inputs, outputs, 9) + 2 * outputs

    def mixer(channels: int, hidden: int) -> int:
        between = linear(n, config.token_hidden) + linear(config.token_hidden, n)
        return 4 * channels + between + linear(channels, hidden) + linear(hidden, channels)

    memory = linear(2, d) + config.encoder_layers * mixer(d, d) + 2 * d + linear(n, config.banks) + linear(d, d)
    memory += linear(config.banks, n) + linear(d, e) + mixer(e, 2 * e) + 2 * e + linear(e, 2)
    widths = (3, *config.regressor_channels)
    regressor = sum(2 * conv(a, b) + conv(b, b) for a, b in zip(widths, widths[1:], strict=False))
    regressor += conv(widths[4], widths[3]) + conv(widths[3], f) + linear(f, n, 9) + linear(2, f)
    if config.backbone == "efficientnet-lite0":  # maps of 40, 112 and 192 channels, joined, and parts from them
        regressor = (40 + 112 + 192) * f + f + linear(f, n + 1) + linear(2, f)
        regressor += LITE0
    regressor += linear(3 * f, f) + linear(f, 6)
    c = config.decoder_channels
    decoder = linear(4, c[0], 9) + sum(conv(a, b) + conv(b, b) for a, b in zip(c, c[1:], strict=False))
    decoder += conv(c[4], c[3]) + sum(conv(2 * c[i + 1], c[i]) for i in range(3)) + sum(conv(a, a) for a in c[:4])
    return memory + regressor + decoder + linear(2 * c[0], 3, 9) + n**2 + 1  # links and α


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_the_parameters_that_its_sizes_give(name: str) -> None:
    config = Config.preset(name)
    assert sum(parameter.numel() for parameter in PosePriorLearner(config).parameters()) == counted(config)


def test_published_presets_differ_where_paper_and_code_differ() -> None:
    paper, released = (Config.preset(f"{source}-h36m-128") for source in ("paper", "released"))
    assert (paper.thickness, paper.perceptual, paper.reference, paper.weight_links) == (5e-4, "vgg19", "frame", 1)
    assert (released.thickness, released.perceptual, released.reference) == (7.5e-5, "vgg16", "masked")
    assert (released.weight_links, released.weight_pose, released.learning_rate) == (0, 100, 1e-4)
    hands = Config.preset("released-hands")
    assert (hands.mask_grid, hands.mask_ratio, hands.steps, hands.thickness) == (8, 0.9, 5000, 1e-4)
    assert [Config.preset(f"paper-{name}").keypoints for name in ("taichi", "dogs", "cub-aligned")] == [10, 10, 10]
    assert not Config.preset("paper-cub-three").flip and Config.preset("paper-horses").flip
    assert not Config.preset("released-horses").flip
    assert [Config.preset(f"released-{name}").thickness for name in ("taichi", "horses", "cub-all")] == [1e-3] * 3


def test_every_choice_of_a_preset_can_be_changed() -> None:
    config = Config.preset("puppets")
    for name, allowed in CHOICES.items():
        for value in allowed:
            assert getattr(config.replace(**{name: value}, predefined="prior.json"), name) == value


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PplkitError, match=r"'papers' is unknown: perhaps 'paper' is meant"):
        Config.preset("papers")


def test_whole_numbers_become_fractions_and_lists_tuples() -> None:
    config = Config().replace(weight_links=2, decoder_channels=[8, 8, 8, 8, 8])
    assert type(config.weight_links) is float and config.weight_links == 2
    assert config.decoder_channels == (8, 8, 8, 8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 3}, "setting 'step' is unknown: perhaps 'steps' is meant"),
        ({"steps": "many"}, "setting steps='many' must be of type int"),
        ({"steps": 1.5}, "setting steps=1.5 must be of type int"),
        ({"flip": 1}, "setting flip=1 must be of type bool"),
        ({"seed": True}, "setting seed=True must be of type int"),
        ({"weight_links": True}, "setting weight_links=True must be of type float"),
        ({"decoder_channels": 8}, "setting decoder_channels=8 must be of type tuple"),
        ({"image_size": 100}, "image_size=100 .*use a multiple of 16"),
        ({"image_size": 16}, "image_size=16 is too small: give at least 32"),
        ({"reference": "masked", "mask_grid": 24}, "mask_grid=24 does not divide image_size=128: choose a divisor"),
        ({"reference": "mirror"}, "reference='mirror' is unknown: choose one of masked, .*frame"),
        (
            {"image_size": 48, "coarse_fraction": 0.5},
            "image_size=48 cannot start at half the resolution: use a multiple of 32",
        ),
        ({"weight_pose": -1.0}, r"weight_pose=-1.0 must be 0 \(switched off\) or more"),
        ({"weight_links": float("nan")}, "weight_links=nan must be a finite number"),
        ({"perceptual": "vgg"}, "perceptual='vgg' is unknown: .*choose one of vgg19, vgg16, random, none"),
        ({"prior_links": "predefined"}, "predefined='' names no file: give the prior.json"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be 0"),
        ({"keypoints": 1}, "keypoints=1 is too small"),
        ({"batch_size": 1}, "batch_size=1 is too small"),
        ({"banks": 0}, "banks=0 is too small"),
        ({"tta_views": 0}, "tta_views=0 is too small"),
        ({"steps": 0}, "steps=0 is too small"),
        ({"thickness": 0.0}, "thickness=0.0 must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be a finite number"),
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 must be a fraction"),
        ({"mask_ratio": -0.1}, "mask_ratio=-0.1 must be a fraction"),
        ({"max_shift": 1.0}, "max_shift=1.0 must be a fraction"),
        ({"separation_radius": 0.0}, "separation_radius=0.0 must be positive"),
        ({"coarse_fraction": 1.5}, "coarse_fraction=1.5 must be a fraction of the steps, from 0 to 1"),
        ({"mask_grid": 0}, "mask_grid=0 is too small"),
        ({"keypoints": 1001}, "keypoints=1001 is too large: give at most 1,000"),
        ({"encoder_layers": 10**9}, "encoder_layers=1000000000 is too large"),
        ({"seed": -1}, "seed=-1 is too small"),
        ({"token_hidden": 0}, "token_hidden=0 is too small"),
        ({"max_rotation": float("inf")}, "max_rotation=inf must be a finite number"),
        ({"connectivity_scale": 10**400}, "connectivity_scale=inf must be a finite number"),
        ({"regressor_channels": ["a"] * 4}, "must be made of whole numbers"),
        ({"decoder_channels": [8, 8]}, r"decoder_channels=\(8, 8\) must have 5 numbers, one for each resolution"),
        ({"separation_share": -1.0}, "separation_share=-1.0 must be a fraction of the steps"),
        ({"lr_hold": 1.1}, "lr_hold=1.1 must be a fraction of the steps"),
    ],
)
def test_settings_that_no_model_can_have_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message) as caught:
        Config().replace(**change)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_blocks_matter_for_the_masked_reference_alone() -> None:
    assert Config().replace(reference="frame", mask_grid=24).mask_grid == 24


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_plain_values_and_back(name: str) -> None:
    config = Config.preset(name).replace(seed=3, name="mine")
    assert Config.from_dict(config.to_dict()) == config
    assert Config.from_dict(json.loads(config.to_json())) == config  # JSON makes lists of the tuples


def test_values_of_another_version_are_refused() -> None:
    with pytest.raises(PplkitError, match="'wings' is unknown"):
        Config.from_dict({**Config().to_dict(), "wings": 2})


@pytest.mark.parametrize(("old", "new"), OLD_SETTINGS.items())
def test_old_names_of_settings_are_read(old: str, new: str, tmp_path: Path) -> None:
    default = getattr(Config(), new)
    value = (
        not default if isinstance(default, bool) else {"all": "used", "random": "place", 16: 8, 1: 3}.get(default, 0.25)
    )
    config = Config().replace(**{new: value})
    assert Config().replace(**{old: value}) == config != Config()
    settings = {old if name == new else name: kept for name, kept in json.loads(config.to_json()).items()}
    assert Config.from_dict(settings) == config
    write_json(tmp_path / "config.json", {"config": settings})
    run = RunFolder(tmp_path)
    assert run.changed(config) == {} and list(run.changed(Config())) == [new]
    wrong = "x" if not isinstance(value, str) else 1
    with pytest.raises(PplkitError, match=f"setting {new}="):
        Config().replace(**{old: wrong})


def test_smoke_keeps_the_method() -> None:
    config = Config.preset("puppets").smoke()
    kept = ("reference", "keypoints", "thickness", "prior_from", "affine_init", "weight_links", "learning_rate", "seed")
    assert [getattr(config, name) for name in kept] == [getattr(Config.preset("puppets"), name) for name in kept]
    assert config.image_size == 32 and config.steps == 40
