"""A model on its own, as it is handed on: all its weights in one file, beside a config.json with the sha256 of each.

`cards` writes such a folder, `runs.load` reads it. A completer's weights are among the model's, under `completer.`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.core.texts import BYTES, check_file
from pplkit.data.images import inside
from pplkit.data.npy_shards import file_hash
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.training.checkpoint import check_length

MODEL = "model.safetensors"
SCHEMA = "pplkit-model-1"


def to_tell(made_by: Mapping[str, Any]) -> dict[str, Any]:
    """What made a model, without where things lay on the machine it was made on: that is nobody else's business."""
    return {name: value for name, value in made_by.items() if name != "data_path"}


def write_model(model: PosePriorLearner, folder: Path, made_by: Mapping[str, Any]) -> None:
    """Write weights and buffers under their own names, and what made them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # As bytes: `save_file` writes for the owner's eyes only.
    (folder / MODEL).write_bytes(save(tensors, {"schema": SCHEMA, "made_by": json.dumps(made_by)}))


def read_model(config: Config, folder: Path, hashes: Mapping[str, str]) -> PosePriorLearner:
    """The model, with its completer if there is one, of a folder whose files have the sha256 `hashes` (name -> hash).

    Raises PplkitError naming the file that is missing, was changed, is of another version or does not fit.
    """
    again = "get the folder again from where it came"
    if not isinstance(hashes, Mapping) or MODEL not in hashes:
        raise PplkitError(f"{folder / 'config.json'} has no sha256 by file: {again}.")
    path = folder / MODEL
    try:
        for name, wanted in hashes.items():
            path = inside(folder, name)
            check_file(path, again)
            if name == MODEL:
                check_length(path)
            elif path.stat().st_size > BYTES:
                raise ValueError(f"it is longer than {BYTES:,} bytes")
            if file_hash(path) != wanted:
                raise PplkitError(f"{path} is not the file that was handed on (its sha256 is another): {again}.")
        path = folder / MODEL
        with safe_open(path, framework="pt") as file:
            schema = (file.metadata() or {}).get("schema")
            if schema != SCHEMA:
                raise PplkitError(f"{path} is of another version ({schema!r}, not {SCHEMA!r}): {again}.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        check_shapes(config, path, tensors)
        model = PosePriorLearner(config)
        if any(name.startswith("completer.") for name in tensors):
            model.completer = Completer(model.regressor)
        model.load_state_dict(tensors)
        return model
    except PplkitError:
        raise
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise PplkitError(f"{path} cannot be read ({reason(error)}): {again}.") from None


def check_shapes(config: Config, path: Path, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Raise PplkitError where a model of `config` has other tensors than `path`, before memory is taken for one."""
    with torch.device("meta"):
        model = PosePriorLearner(config)
    for name, value in model.state_dict().items():
        found = tensors.get(prefix + name)
        if found is None or found.shape != value.shape:
            shape = "is not there" if found is None else f"has the shape {tuple(found.shape)}, not {tuple(value.shape)}"
            raise PplkitError(f"{path} does not fit the config beside it ({name} {shape}): train again.")
