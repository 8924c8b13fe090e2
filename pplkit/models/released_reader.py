"""Files of torch.save read by an allow-list: tensors and containers, with stand-ins for modules; no code is run."""

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.safe_pickle import Refused, SafeUnpickler

MODULES = ("torch.nn.modules.", "torchvision.models.", "torchvision.transforms.", "models.", "utils.", "argparse.")
IN_CHECKPOINTS = (
    "numpy.",
    "_codecs.encode.",
)  # states of random generators and NumPy's numbers, in released checkpoints
REMEDY = "save model.state_dict() with torch.save and give that file."


class Released(NamedTuple):
    """A state dict, and the numbers that a pickled module kept as attributes (none for a bare state dict)."""

    state: dict[str, Tensor]
    numbers: dict[str, int | float]


class _StandIn:
    """In place of an object of a pickled class: has its attributes and none of its code."""

    dump_patches = False  # which torch.load asks about

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _tensor(*parts: Any) -> Tensor:
    rebuild: Any = torch._utils._rebuild_tensor_v2
    return cast(Tensor, rebuild(*parts[:4], False, OrderedDict()))


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


class _Unpickler(SafeUnpickler):
    ALLOWED = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "Size"): torch.Size,
        ("builtins", "set"): set,
        ("torch", "device"): _StandIn,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }

    def find_class(self, module: str, name: str) -> Any:
        """What the file may use under this name: also types of numbers, and stand-ins for modules."""
        if module == "torch" and isinstance(dtype := getattr(torch, name, None), torch.dtype):
            return dtype
        inert = f"{module}.".startswith(MODULES) or f"{module}.{name}.".startswith(IN_CHECKPOINTS)
        return _StandIn if inert and "." not in name else super().find_class(module, name)


_PICKLE = SimpleNamespace(
    __name__="pickle", Unpickler=_Unpickler, load=lambda file, **options: _Unpickler(file, **options).load()
)


def read_state(path: Path) -> Released:
    """The state dict in a file of torch.save, which may also hold a whole module, or a dict with one state dict in it.

    Nothing in the file is executed: objects of module classes are replaced by stand-ins, and a file that names anything
    but tensors, containers and modules is refused. Raises PplkitError naming the file.
    """
    check_file(path, "give the file of a released state dict or module")
    try:
        if zipfile.is_zipfile(path) and any(n.endswith("constants.pkl") for n in zipfile.ZipFile(path).namelist()):
            raise Refused("it holds TorchScript code")
        with warnings.catch_warnings(action="ignore"):  # that classes of modules have other source code
            content = torch.load(path, "cpu", pickle_module=_PICKLE, weights_only=False)
        state = _state(content) if isinstance(content, _StandIn) else content
    except Refused as error:
        raise PplkitError(f"{path} is refused, nothing was run: {error}, which no model needs; {REMEDY}") from None
    except Exception as error:  # a torn or foreign file can fail anywhere inside torch
        raise PplkitError(f"{path} holds no state dict ({reason(error)}): {REMEDY}") from None
    if isinstance(state, Mapping) and isinstance(inner := state.get("state_dict"), Mapping):
        state = inner
    elif isinstance(state, Mapping) and len(states := [value for value in state.values() if _is_state(value)]) == 1:
        state = states[0]
    if not _is_state(state):
        raise PplkitError(f"{path} holds {type(content).__name__}, no state dict: {REMEDY}")
    attributes = vars(content) if isinstance(content, _StandIn) else {}
    numbers = {name: value for name, value in attributes.items() if type(value) in (int, float)}
    return Released({str(name): value.detach() for name, value in state.items()}, numbers)


def load_released(model: nn.Module, state: Mapping[str, Tensor], label: str, method: str) -> None:
    """Load a state dict whose names are the model's. Raises PplkitError that lists the tensors that do not fit."""
    wanted = model.state_dict()
    faults = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unknown": sorted(state.keys() - wanted.keys()),
        "of another shape": sorted(n for n in wanted.keys() & state.keys() if wanted[n].shape != state[n].shape),
    }
    if any(faults.values()):
        lists = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
        raise PplkitError(f"{label} does not fit {method} ({lists}): give its state dict unchanged.")
    model.load_state_dict(state)


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and len(value) > 0 and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _state(module: _StandIn, prefix: str = "") -> dict[str, Tensor]:
    """Parameters and buffers of a module and of all modules in it, by their names in torch."""
    content = vars(module)
    tensors = {**content.get("_parameters", {}), **content.get("_buffers", {})}
    transient = content.get("_non_persistent_buffers_set", ())
    state = {prefix + name: value for name, value in tensors.items() if value is not None and name not in transient}
    for name, child in content.get("_modules", {}).items():
        state |= _state(child, f"{prefix}{name}.") if isinstance(child, _StandIn) else {}
    return state
