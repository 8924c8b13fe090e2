"""The largest sizes that settings may have: a config may come from anywhere, and a model takes what memory it says."""

import math
from collections.abc import Mapping
from typing import Any

from pplkit.core.errors import PplkitError

MOST = {
    "image_size": 8192, "perceptual_size": 8192, "mask_grid": 8192, "keypoints": 1000, "tta_views": 10_000,
    "banks": 4096, "vectors": 65_536, "dimension": 8192, "encoder_layers": 64, "token_hidden": 8192,
    "decoder_dimension": 8192, "regressor_channels": 8192, "regressor_features": 8192, "decoder_channels": 8192,
    "steps": 10**9, "batch_size": 10**6, "seed": 2**62, "paint_size": 8192, "backbone_trainable": 1000,
    "backbone_views": 10_000,
}  # fmt: skip
NONE = ("perceptual_size", "encoder_layers", "seed", "paint_size", "backbone_trainable")  # may be 0
CHANNELS = {"regressor_channels": 4, "decoder_channels": 5}  # resolutions


def check_sizes(settings: Mapping[str, Any]) -> None:
    """Raise PplkitError for a number that is not finite, a size that is none or too large, or channels that lack."""
    for name, value in settings.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if name in MOST and not all(type(number) is int for number in numbers):
            raise PplkitError(f"{name}={value!r} must be made of whole numbers.")
        if len(numbers) != CHANNELS.get(name, 1):
            raise PplkitError(f"{name}={value!r} must have {CHANNELS.get(name, 1)} numbers, one for each resolution.")
        for number in numbers:
            if isinstance(number, float) and not math.isfinite(number):
                raise PplkitError(f"{name}={value!r} must be a finite number.")
            if name in MOST and number < (name not in NONE):
                raise PplkitError(f"{name}={value!r} is too small: give a larger whole number.")
            if name in MOST and number > MOST[name]:
                raise PplkitError(f"{name}={value!r} is too large: give at most {MOST[name]:,}.")
