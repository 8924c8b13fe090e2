"""Checkpoints, and other files of tensors that notice each altered byte.

They are safetensors whose header holds a checksum of the whole file.
"""

import errno
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file, parse_json, write_bytes

EMPTY = "0" * 64  # stands for the checksum while it is computed
LONGEST = 2**24  # bytes of a header; those of the largest model have less than one
TRAINING = ("pplkit-checkpoint-2", "pplkit-checkpoint-1")  # schemas that are read, the first of them written
COMPLETER = ("pplkit-completer-2", "pplkit-completer-1")  # those that end in 1 have no checksum


class Damaged(PplkitError):
    """A file that is not what was written: torn, altered, or of no such kind."""


class Content(NamedTuple):
    """What a file of tensors holds."""

    tensors: dict[str, Tensor]  # on the CPU
    about: dict[str, str]


class Checkpoint(NamedTuple):
    """What a training goes on from."""

    path: Path
    step: int  # steps done
    tensors: dict[str, Tensor]  # "model.<name>" and "optimiser.<part>.<name>", on the CPU
    state: dict[str, Any]  # JSON: what else the training needs to go on; see `training`
    made_by: dict[str, Any]
    method: str = "prior"  # of the task; the first versions knew one method


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors and what is to be said of them, with its schema, atomically; what was written is verified.

    Raises WriteError, also if something else is on the disk then.
    """
    whole = {name: value.contiguous() for name, value in tensors.items()}
    content = bytearray(safetensors.torch.save(whole, {**about, "checksum": EMPTY}))
    place = _place(content, EMPTY)
    content[place : place + len(EMPTY)] = hashlib.sha256(content).hexdigest().encode()
    write_bytes(path, content, _check)


def read(path: Path, schemas: tuple[str, ...], remedy: str) -> Content:
    """The content of a file of one of the schemas.

    Raises Damaged, with `remedy`, if it cannot be read or a byte of it was altered, and PplkitError if it is of
    another schema.
    """
    try:
        check_file(path, remedy)
    except PplkitError as error:
        raise Damaged(str(error)) from None
    try:
        check_length(path)
        content = path.read_bytes()
        about = verify(io.BytesIO(content))
        schema = about.get("schema", "")
        if not schema.startswith("pplkit-"):
            raise ValueError("it does not say what it is")
        if schema not in schemas:
            raise PplkitError(
                f"{path} is of another version ({schema!r}, this one reads {schemas[0]!r}): {remedy}, or use the "
                "version that wrote it."
            )
        return Content(safetensors.torch.load(content), about)
    except PplkitError:
        raise
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise Damaged(f"{path} cannot be read ({reason(error)}): {remedy}.") from None


def check_length(path: Path) -> None:
    """Raise ValueError if the file is not as long as its tensors say, before all of it is read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST:
            raise ValueError("its header is longer than any is")
        entries = parse_json(file.read(length).decode())
    ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    if path.stat().st_size != 8 + length + max(ends, default=0):
        raise ValueError("it is not as long as its tensors say")


def verify(file: BinaryIO) -> dict[str, str]:
    """What the header says beside the tensors; raises ValueError if it is none, or the checksum differs."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    header = file.read(min(length, LONGEST))
    if length < 2 or len(header) < length:
        raise ValueError("it is cut short, or no file of tensors")
    entries = parse_json(header.decode())
    about = entries.get("__metadata__", {}) if isinstance(entries, dict) else None
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise ValueError("its header is none of this program")
    checksum = about.get("checksum", "")
    if not checksum and about.get("schema") not in (TRAINING[0], COMPLETER[0]):
        return about
    if not re.fullmatch("[0-9a-f]{64}", checksum):
        raise ValueError("it has no checksum")
    place = _place(header, checksum)
    digest = hashlib.sha256(start + header[:place] + EMPTY.encode() + header[place + len(EMPTY) :])
    while part := file.read(2**20):
        digest.update(part)
    if digest.hexdigest() != checksum:
        raise ValueError("its content is not what was written, says its checksum")
    return about


def _check(path: Path) -> None:
    with path.open("rb") as file:
        try:
            verify(file)
        except ValueError as error:
            raise OSError(errno.EIO, f"read again, it is not what was written: {error}") from None


def _place(header: bytes | bytearray, checksum: str) -> int:
    """Where the checksum begins; raises ValueError if it is nowhere."""
    before = b'"checksum":"'
    return header.index(before + checksum.encode()) + len(before)


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint; raises Damaged naming the file if it is torn or altered, PplkitError if of another version."""
    again = "delete it, the one before it will be taken"
    tensors, about = read(path, TRAINING, again)
    try:
        state, made_by = (dict(parse_json(about.get(name, "{}"))) for name in ("state", "made_by"))
        return Checkpoint(path, int(about["step"]), tensors, state, made_by, about.get("method", "prior"))
    except (KeyError, ValueError, TypeError) as error:
        raise Damaged(f"{path} cannot be read ({error!r}): {again}.") from None


def weights(model: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """All tensors of a checkpoint, by name."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for part, value in optimizer.state[parameter].items() if optimizer else ():
            tensors[f"optimiser.{part}.{name}"] = value
    return tensors


def restore(checkpoint: Checkpoint | None, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Load a checkpoint into model and optimizer (parameters on their device); its step, else 0."""
    if checkpoint is None:
        return 0
    state = {
        name.removeprefix("model."): value for name, value in checkpoint.tensors.items() if name.startswith("model.")
    }
    try:
        model.load_state_dict(state)
        if optimizer is not None:
            _restore_optimizer(model, optimizer, checkpoint.tensors)
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        raise PplkitError(f"{checkpoint.path} does not fit the config beside it ({said}): train again.") from None
    return checkpoint.step


def _restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        for key, value in tensors.items():
            if key.startswith("optimiser.") and key.endswith(f".{name}") and key.count(".") == name.count(".") + 2:
                part = key.split(".")[1]
                if value.shape != (torch.Size() if part == "step" else parameter.shape):
                    raise RuntimeError(f"{key} has the shape {tuple(value.shape)}")
                if part == "step":
                    value = value.to(parameter.device)  # where fused Adam counts
                else:  # fused Adam goes through memory: its state must lie as the parameter does
                    value = torch.empty_like(parameter, requires_grad=False).copy_(value)
                optimizer.state[parameter][part] = value
