"""A model on its own, as it is handed on: all its weights in one file, beside a config.json with the sha256 of each.

`inference.export.model_card` writes such a folder, `load` reads it. A completer's weights are among the model's, under
`completer.`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import MAX_TEXT_BYTES, WriteError, check_file, write_json
from pplkit.core.version import __version__
from pplkit.data.images import path_inside
from pplkit.data.npy_shards import file_hash
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.released_weights import load_official
from pplkit.training import checkpoint as checkpoints
from pplkit.training.checkpoint import check_length, restore
from pplkit.training.run_folder import MODEL, RunFolder, crop_of

SCHEMA = "pplkit-model-1"
COMPLETER = "completer.safetensors"


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
            path = path_inside(folder, name)
            check_file(path, again)
            if name == MODEL:
                check_length(path)
            elif path.stat().st_size > MAX_TEXT_BYTES:
                raise ValueError(f"it is longer than {MAX_TEXT_BYTES:,} bytes")
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
        tensor = tensors.get(prefix + name)
        if tensor is None or tensor.shape != value.shape:
            shape = (
                "is not there" if tensor is None else f"has the shape {tuple(tensor.shape)}, not {tuple(value.shape)}"
            )
            raise PplkitError(f"{path} does not fit the config beside it ({name} {shape}): train again.")


def load(run: str | os.PathLike[str], device: str = "cpu") -> PosePriorLearner:
    """The trained model of a run folder, or of one that was handed on (see `cards`), in eval mode on `device`.

    "auto" is the best device present.
    Raises PplkitError if the folder holds no finished checkpoint, or one of another version, or was changed since it
    was handed on.

    >>> model = pplkit.load("runs/puppets")
    >>> model.estimate("bird.jpg").keypoints.shape
    torch.Size([4, 2])
    """
    folder = RunFolder(Path(run))
    content = folder.read("config.json", "config", "made_by")
    config = read_config(folder)
    if (folder.path / MODEL).exists():
        model = read_model(config, folder.path, content.get("sha256", {}))
        model.made_by = content["made_by"]
    else:
        checkpoint = folder.latest()
        check_shapes(config, checkpoint.path, checkpoint.tensors, "model.")
        model = PosePriorLearner(config)
        step = restore(checkpoint, model, None)
        restore_completer(folder, model)
        model.made_by = {**content["made_by"], "run": folder.path.name, "step": step}
    model.crop = crop_of(folder)
    return to_device(model, device)


def to_device(model: PosePriorLearner, device: str) -> PosePriorLearner:
    """The model in eval mode on a device, the best present for "auto"; raises PplkitError if it is missing."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]
    except (RuntimeError, AssertionError) as error:
        message = str(error).splitlines()[0]
        raise PplkitError(f"device={device!r} is not available here ({message}): choose cpu, cuda or mps.") from None


def read_config(folder: RunFolder) -> Config:
    """The settings of a run; raises PplkitError naming config.json if they are missing or not usable."""
    content = folder.read("config.json", "config")
    if "joint_names" in content["config"]:
        raise PplkitError(f"{folder.path} is a run of lifting: load it with pplkit.training.load_lifter.")
    if "landmark_names" in content["config"]:
        raise PplkitError(f"{folder.path} is a run of mesh pose: load it with pplkit.training.load_mesh_run.")
    return folder.settings(Config)


def write_run(folder: RunFolder, model: PosePriorLearner, made_by: dict[str, Any]) -> None:
    """A folder for a model that was trained elsewhere: its config, its weights as step 0 and its prior.

    Raises PplkitError if it cannot be written.
    """
    try:
        (folder.path / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(folder.path, error) from None
    folder.save(0, model, None, made_by)
    model.made_by = {**made_by, "run": folder.path.name, "step": 0}
    model.prior().save(folder.path / "prior.json")
    write_json(folder.path / "config.json", {"config": model.config.to_dict(), "made_by": made_by})


def save_completer(folder: RunFolder, model: PosePriorLearner, steps: int) -> None:
    """Write the model's completer, with the steps it learned for and the fingerprint of the weights it learned from.

    Raises PplkitError if it cannot be written.
    """
    assert model.completer is not None
    about = {"schema": checkpoints.COMPLETER[0], "steps": str(steps), "of": fingerprint(model)}
    checkpoints.write(folder.path / COMPLETER, model.completer.state_dict(), about)


def restore_completer(folder: RunFolder, model: PosePriorLearner) -> int:
    """Give the model its completer, if there is one made from its weights; the steps it learned for, else 0.

    Raises PplkitError if the file is torn, altered or of another version.
    """
    path = folder.path / COMPLETER
    if not path.exists():
        return 0
    remedy = "delete it, and run `pplkit complete` again"
    tensors, about = checkpoints.read(path, checkpoints.COMPLETER, remedy)
    if not belongs(about.get("of"), model):  # the run was continued, or made anew
        return 0
    try:
        completer = Completer(model.regressor)
        completer.load_state_dict(tensors)
        steps = int(about["steps"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise PplkitError(f"{path} cannot be read ({str(error).splitlines()[-1].strip()}): {remedy}.") from None
    model.completer = completer
    return steps


def fingerprint(model: PosePriorLearner) -> str:
    """The sha256 of the weights of regressor and prior, from which a completer learns; the same on all processors."""
    prior = [model.template] if model.config.prior_keypoints != "memory" else list(model.memory.state_dict().values())
    return "weights-" + _sha256([*model.regressor.state_dict().values(), *prior])


def belongs(value: str | None, model: PosePriorLearner) -> bool:
    """Whether a stored fingerprint is that of the model; also one of earlier versions, from the same processor.

    Those were taken of the prior as it is computed, whose last digits differ from processor to processor.
    """
    earlier = _sha256([model.keypoint_prior(), *model.regressor.state_dict().values()])
    return value in (fingerprint(model), earlier)


def _sha256(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for value in tensors:
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def convert_official(source: str | os.PathLike[str], out: str | os.PathLike[str], preset: str | None = None) -> Config:
    """Turn a released checkpoint into a run folder `out`, safetensors and JSON only, that `pplkit.load` reads.

    `preset` names the settings it was trained with; without it those of `load_official` are taken. They are returned.
    Raises PplkitError for a file that `load_official` refuses, and for an `out` that is in use.
    """
    folder = RunFolder(Path(out))
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise PplkitError(f"{folder.path} is in use: name a folder that does not exist yet.")
    model = load_official(source, Config.preset(preset) if preset else None)
    made_by = {"version": __version__, "converted_from": Path(source).name}
    write_run(folder, model, made_by)
    return model.config
