"""Settings of lifting: the published ones, what is refused, and that every preset makes a model."""

from typing import Any

import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.models.lifting import Lifter, LiftingConfig, PoseFormer, build_model
from pplkit.models.lifting.config import PRESETS
from pplkit.models.lifting.frame_mlp import FrameMLP


def test_published_presets() -> None:
    for name, frames, rate in (("poseformer-27", 27, 4e-5), ("poseformer-81", 81, 4e-4)):
        config = LiftingConfig.preset(name)
        assert (config.frames, config.learning_rate, config.learning_rate_decay) == (frames, rate, 0.99)
        assert (config.batch_size, config.weight_decay, config.drop_path) == (512, 0.1, 0.1)
        assert config.steps == 200 * 6093
        assert config.warmup_steps == config.weight_velocity == config.hidden_joints == 0


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_makes_a_model(name: str) -> None:
    config = LiftingConfig.preset(name)
    assert config.name == name
    assert LiftingConfig.from_dict(config.to_dict()) == config
    with torch.device("meta"):
        model = build_model(config)
    expected = {"poseformer": PoseFormer, "frames": Lifter, "mlp": FrameMLP}
    assert isinstance(model, expected[config.network])
    assert model.frames == config.frames


def test_size_of_the_small_preset() -> None:
    """3 times 54 inputs; blocks of 4 w² + 4 w² weights, 4 w + 2 w + w biases, 4 w of norms; norm, 153 outputs."""
    width, depth = 192, 3
    count = 162 * width + width + 51 * width + depth * (8 * width**2 + 11 * width - 2 * width + 2 * width)
    count += 2 * width + 153 * width + 153
    model = build_model(LiftingConfig.preset("lift-small"))
    assert sum(parameter.numel() for parameter in model.parameters()) == count == 962_073


def test_every_setting_is_explained() -> None:
    assert [name for _, name, text in LiftingConfig.explanations() if not text] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "mixste"}, "network='mixste' is unknown: choose one of frames, poseformer, mlp"),
        ({"frames": 0}, "frames=0 must be a whole number from 1"),
        ({"width": 100}, "width=100 does not fit: use an even multiple of heads=8"),
        ({"width": 9, "heads": 3}, "use an even multiple"),
        ({"parents": (0, *range(16))}, "needs 17 parents, exactly one of them -1"),
        ({"frames_per_token": 2}, "frames_per_token=2 does not divide frames=81"),
        ({"frames_per_token": 3, "causal": True}, "which causal=True forbids: set frames_per_token=1"),
        ({"network": "mlp"}, "frames=81 is not for network='mlp'"),
        ({"causal": True, "frequency_tokens": 3}, "which causal=True forbids"),
        ({"hidden_joints": 1.0}, "hidden_joints=1.0 must be a fraction"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be positive"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be 0 or more"),
        ({"weight_velocity": float("nan")}, "0 or more, and finite"),
        ({"network": "poseformer", "frames": 8, "width": 32}, "frames=8 has no center frame"),
        ({"network": "poseformer", "width": 32}, "hidden_joints=0.1 is not for network='poseformer'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message.replace("(", r"\(")):
        LiftingConfig(**settings)


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PplkitError, match="preset 'lift-smal' is unknown.*lift-small"):
        LiftingConfig.preset("lift-smal")
