"""Ablations of lifting as settings of one config."""

from typing import Any, NamedTuple

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.models.lifting.config import LiftingConfig


class LiftingVariant(NamedTuple):
    """Settings that differ from the preset."""

    means: str
    changes: dict[str, Any]


# fmt: off
LIFTING_VARIANTS: dict[str, LiftingVariant] = {
    "preset": LiftingVariant("the preset as it is", {}),
    "one frame": LiftingVariant("windows of one frame", {"frames": 1, "frames_per_token": 1, "weight_velocity": 0.0}),
    "short": LiftingVariant("windows of 9 frames, three times as many", {"frames": 9, "batch_size": 192}),
    "frame tokens": LiftingVariant("a token for each frame", {"frames_per_token": 1}),
    "frequencies": LiftingVariant("9 frequency tokens", {"frequency_tokens": 9}),
    "causal": LiftingVariant(
        "a token for each frame, which sees only the past",
        {"frames_per_token": 1, "causal": True}
    ),
    "no velocity": LiftingVariant("no loss of velocities", {"weight_velocity": 0.0}),
    "bones": LiftingVariant("losses of bone lengths and symmetry", {"weight_bone_length": 0.5, "weight_symmetry": 0.1}),
    "nothing hidden": LiftingVariant("no joint is hidden in training", {"hidden_joints": 0.0}),
    "no mirror": LiftingVariant("no mirrored examples", {"flip": False, "flip_test": False}),
    "AdamW": LiftingVariant("AdamW in place of Muon", {"matrix_learning_rate": 0.0}),
    "uncertainty": LiftingVariant("expected errors are learned as well", {"uncertainty": True}),
}
# fmt: on


def lifting_variant(config: LiftingConfig, name: str) -> LiftingConfig:
    """`config` with the settings of a variant; raises PplkitError naming the known ones."""
    if name not in LIFTING_VARIANTS:
        raise PplkitError(f"lifting variant {name!r} is unknown: {choice(name, sorted(LIFTING_VARIANTS))}.")
    return config.replace(**LIFTING_VARIANTS[name].changes)
