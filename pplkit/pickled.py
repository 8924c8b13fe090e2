"""Files of torch.save read without running anything from them: tensors, containers, and stand-ins for modules."""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from pplkit.errors import PplkitError

# What a state dict or a module is built of. All of them build data from data; none looks anything up by name.
BUILDERS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,  # type: ignore[attr-defined]
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # as protocol 2 writes it
    ("builtins", "slice"): slice,
    ("argparse", "Namespace"): SimpleNamespace,
}
MODULES = ("torch.nn.modules.", "torchvision.models.", "torchvision.transforms.", "models.", "utils.")
"""Where the classes of pickled modules live: torch's, torchvision's and the released code's."""
ZIP = b"PK\x03\x04"  # how torch.load tells its newer format
WANTED = "save model.state_dict() with torch.save and give that file."


class Stand:
    """Takes the place of a pickled module: keeps what was stored in it and can do nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class Stored(NamedTuple):
    """What is in a file of torch.save: its state dict, and the numbers that a pickled module kept beside it."""

    state: dict[str, Tensor]
    numbers: dict[str, int | float]  # settings by their attribute's name; empty for a bare state dict


class Refused(pickle.UnpicklingError):
    """The file names something that is neither data nor a module."""


class Unpickler(pickle.Unpickler):
    """Builds tensors and containers, stands in for module classes, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """What the file may call by this name; raises Refused otherwise."""
        if builder := BUILDERS.get((module, name)):
            return builder
        if module == "torch" and name.endswith("Storage") and isinstance(kind := getattr(torch, name, None), type):
            return kind
        if module == "torch" and isinstance(kind := getattr(torch, name, None), torch.dtype):
            return kind
        if f"{module}.".startswith(MODULES) and "." not in name:
            return type(name, (Stand,), {})
        raise Refused(f"it names {module}.{name}")


def _load(file: IO[bytes], **options: Any) -> Any:
    return Unpickler(file, **options).load()


class _Pickle:
    """What torch.load wants of a pickle module."""

    Unpickler = Unpickler
    load = staticmethod(_load)
    UnpicklingError = pickle.UnpicklingError
    __name__ = "pickle"


def read_state(path: Path) -> Stored:
    """The state dict in a file of torch.save, which may also hold the whole module, as the authors' do.

    Nothing in the file is executed: classes of modules are replaced by stand-ins, and a file that names anything but
    tensors, containers and modules is refused with that name. Raises PplkitError naming the file.
    """
    try:
        _refuse_scripts(path)
        content = torch.load(path, map_location="cpu", pickle_module=_Pickle, weights_only=False)
    except FileNotFoundError:
        raise PplkitError(f"{path} does not exist: give the file of a released state dict or module.") from None
    except Refused as error:
        raise PplkitError(f"{path} is refused, nothing was run: {error}, which no model needs; {WANTED}") from None
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is empty"
        raise PplkitError(f"{path} holds no state dict ({reason}): {WANTED}") from None
    state = _state(content) if isinstance(content, Stand) else content
    if isinstance(state, Mapping) and isinstance(inner := state.get("state_dict"), Mapping):
        state = inner
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise PplkitError(f"{path} holds {type(content).__name__}, no state dict: {WANTED}")
    kept = vars(content) if isinstance(content, Stand) else {}
    numbers = {name: value for name, value in kept.items() if type(value) in (int, float)}
    return Stored({str(name): value.detach() for name, value in state.items()}, numbers)


def _refuse_scripts(path: Path) -> None:
    """Raise Refused for TorchScript, which torch.load hands to an interpreter before any unpickler sees the file.

    The archive is listed by torch's own reader, so that no file is one thing here and another there.
    """
    with path.open("rb") as file:
        zipped = file.read(len(ZIP)) == ZIP
    if zipped and "constants.pkl" in torch._C.PyTorchFileReader(str(path)).get_all_records():
        raise Refused("it holds TorchScript code")


def _state(module: Stand, prefix: str = "") -> dict[str, Tensor]:
    """Parameters and buffers of a module and of all modules in it, by the names that torch gives them."""
    content = vars(module)
    found = {}
    transient = content.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, value in (content.get(kind) or {}).items():
            if isinstance(value, Tensor) and name not in transient:
                found[prefix + name] = value
    for name, part in (content.get("_modules") or {}).items():
        if isinstance(part, Stand):
            found |= _state(part, f"{prefix}{name}.")
    return found
