"""Weights of the released code into the `paper` model; the released code keeps coordinates as (row, column)."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.released_reader import read_state

# Released name, as a pattern, and the kit's name for it. \1 and \2 are kept.
NAMES = (
    (r"skeleton_scalar", "links"),
    (r"alpha", "alpha"),
    (r"memory\.codebook", "memory.codebook"),
    (r"memory\.ema_cluster_size", "memory.counts"),
    (r"memory\.ema_w", "memory.sums"),
    (r"memory\.encoder_start\.(\w+)", r"memory.embed.\1"),
    (r"memory\.encoder_layer_norm\.(\w+)", r"memory.encoder.4.\1"),
    (r"memory\.(encoder|decoder)\.(\d)\.layernorm1\.(\w+)", r"memory.\1.\2.token_norm.\3"),
    (r"memory\.(encoder|decoder)\.(\d)\.layernorm2\.(\w+)", r"memory.\1.\2.channel_norm.\3"),
    (r"memory\.(encoder|decoder)\.(\d)\.MLP_(token|channel)\.ff\.0\.(\w+)", r"memory.\1.\2.\3_mlp.0.\4"),
    (r"memory\.(encoder|decoder)\.(\d)\.MLP_(token|channel)\.ff\.3\.(\w+)", r"memory.\1.\2.\3_mlp.2.\4"),
    (r"memory\.token_mlp\.(\w+)", r"memory.to_tokens.\1"),
    (r"memory\.feature_embed\.(\w+)", r"memory.token_embed.\1"),
    (r"memory\.decoder_token_mlp\.(\w+)", r"memory.from_tokens.\1"),
    (r"memory\.decoder_start\.(\w+)", r"memory.reduce.\1"),
    (r"memory\.decoder_layer_norm\.(\w+)", r"memory.decoder.1.\1"),
    (r"memory\.recover_embed\.(\w+)", r"memory.to_points.\1"),
    (r"regressor\.conv\.([0-3])\.conv_res\.0\.(\w+)", r"regressor.down.\1.shortcut.0.\2"),
    (r"regressor\.conv\.([0-3])\.conv_res\.2\.(\w+)", r"regressor.down.\1.shortcut.1.\2"),
    (r"regressor\.conv\.([0-3])\.net\.0\.(\w+)", r"regressor.down.\1.body.0.\2"),
    (r"regressor\.conv\.([0-3])\.net\.([245])\.(\w+)", r"regressor.down.\1.body.<\2>.\3"),
    (r"regressor\.conv\.4\.net\.(\d)\.(\w+)", r"regressor.up.\1.\2"),
    (r"regressor\.conv\.5\.net\.1\.(\w+)", r"regressor.up.5.\1"),
    (r"regressor\.conv\.5\.net\.2\.(\w+)", r"regressor.up.6.\1"),
    (r"regressor\.pred_prob\.(\w+)", r"regressor.attention.\1"),
    (r"regressor\.emb\.(\w+)", r"regressor.embed.\1"),
    (r"regressor\.predict\.(\d)\.(\w+)", r"regressor.predict.\1.\2"),
    (r"translator\.down0\.0\.(\w+)", r"decoder.stem.0.\1"),
    (r"translator\.down([1-4])\.net\.(\d)\.(\w+)", r"decoder.down.<\1>.\2.\3"),
    (r"translator\.up([1-4])\.net\.(\d)\.(\w+)", r"decoder.up.<\1>.\2.\3"),
    (r"translator\.conv\.(\w+)", r"decoder.paint.\1"),
)
RELEASED = {"thickness": 1e-3, "mask_grid": 16, "mask_ratio": 0.8}  # what the released code takes unless told otherwise
KEPT = {"thickness": "thick", "mask_grid": "block", "mask_ratio": "missing"}  # under these names its modules keep them
CONSTANT = r"regressor\.coord|vgg_loss\..*"  # the grid, and VGG16, which torchvision provides


def translate(name: str) -> str | None:
    """The kit's name of a released tensor, None for constants; raises PplkitError for a name the code never had."""
    if re.fullmatch(CONSTANT, name):
        return None
    for pattern, ours in NAMES:
        if match := re.fullmatch(pattern, name):
            return re.sub(r"<(\d)>", lambda number: str(int(number[1]) - 1), match.expand(ours))
    raise PplkitError(f"{name!r} is no tensor of the released code: give its state dict unchanged.")


def load_official(
    source: str | os.PathLike[str] | Mapping[str, Tensor], config: Config | None = None
) -> PosePriorLearner:
    """A model in eval mode with the weights of a released state dict, given itself or as a file of torch.save.

    The file may also hold the pickled module, as the authors' checkpoints do; nothing in it is executed. `config`
    defaults to the preset `paper` with the state's number of keypoints, and link width and blocks as the module says
    or, where there is a state dict only, as the released code has them. Every tensor is used, apart from constants.
    Where a tensor's axis is a coordinate it is turned from (row, column) to (x, y). Raises PplkitError for a file
    without a state dict, and for missing, unknown or ill-shaped tensors.

    >>> pplkit.load_official("released.pt").config.keypoints
    16
    """
    state, numbers = (source, {}) if isinstance(source, Mapping) else read_state(Path(source))
    label = "the state dict" if isinstance(source, Mapping) else str(source)
    try:
        config = config or _config(state, numbers)
        ours = {key: value for name, value in state.items() if (key := translate(name))}
    except PplkitError as error:
        raise PplkitError(f"{label}: {error}") from None
    model = PosePriorLearner(config)
    try:
        for name in ("memory.embed.weight", "regressor.embed.weight"):
            ours[name] = ours[name].flip(1)
        for name in ("memory.to_points.weight", "memory.to_points.bias"):
            ours[name] = ours[name].flip(0)
        for name in ("regressor.predict.2.weight", "regressor.predict.2.bias"):
            rows = ours[name].unflatten(0, (2, 3))  # Θ: rows are the new, columns the old coordinates and a constant
            ours[name] = rows[[1, 0]][:, [1, 0, 2]].flatten(0, 1)
        model.load_state_dict(ours)
    except (KeyError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise PplkitError(f"{label} does not fit the model ({reason}): give the released one unchanged.") from None
    return model.eval()


def _config(state: Mapping[str, Tensor], numbers: Mapping[str, int | float]) -> Config:
    """The settings of a released model, as far as its file says them; raises PplkitError where no model has such."""
    links = state.get("skeleton_scalar", torch.zeros(16, 16))
    if links.ndim != 2 or links.shape[0] != links.shape[1]:
        raise PplkitError(f"'skeleton_scalar' has the shape {tuple(links.shape)}: give the released state unchanged.")
    said = {name: numbers.get(kept, RELEASED[name]) for name, kept in KEPT.items()}
    return Config.preset("paper").replace(keypoints=len(links), **said)
