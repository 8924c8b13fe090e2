"""Files of torch.save read without running anything from them: tensors, containers, and stand-ins for modules."""

import io
import math
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.safe_pickle import Refused, Unpickler

MODULES = ("torch.nn.modules.", "torchvision.models.", "torchvision.transforms.", "models.", "utils.")
"""Where the classes of pickled modules live: torch's, torchvision's and the released code's."""
STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
PARTS = 10_000  # modules in a module; the released one has about 200
BYTES = 2**32  # of a file; the released one has some hundred million
TREE = 2**26  # bytes of the pickle in a file of torch.save, beside which the numbers lie
OLD = (0x1950A86A20F9469CFC6C, 1001)  # the first words of a file of torch.save before 1.6
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


class _Kind(NamedTuple):
    """In the place of a class of torch's storages, which a file could otherwise change."""

    dtype: torch.dtype


class _Tensor:
    """In the place of the function that puts tensors together."""

    __slots__ = ()

    def __call__(self, numbers: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Tensor:
        if math.prod(size) > numbers.numel():
            raise Refused(f"it holds a tensor of shape {tuple(size)} with {numbers.numel()} numbers")
        return numbers.as_strided(size, stride, offset)


class _Parameter:
    """In the place of the function that makes parameters of tensors."""

    __slots__ = ()

    def __call__(self, tensor: Tensor, *_: Any) -> Tensor:
        return tensor


# What a state dict or a module is built of. None of it looks anything up by name, or can be changed by a file.
BUILDERS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor(),
    ("torch._utils", "_rebuild_parameter"): _Parameter(),
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # as protocol 2 writes it
    ("builtins", "slice"): slice,
    ("argparse", "Namespace"): SimpleNamespace,
}


class _Reader(Unpickler):
    """Builds tensors and containers, stands in for module classes, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """What the file may call by this name; raises Refused otherwise."""
        if (builder := BUILDERS.get((module, name))) is not None:
            return builder
        if module == "torch" and name in STORAGES:
            return _Kind(STORAGES[name])
        if module == "torch" and isinstance(kind := getattr(torch, name, None), torch.dtype):
            return kind
        if f"{module}.".startswith(MODULES) and "." not in name:
            return Stand
        raise Refused(f"it names {module}.{name}")


def read_state(path: Path) -> Stored:
    """The state dict in a file of torch.save, which may also hold the whole module, as the authors' do.

    Nothing in the file is executed: classes of modules are replaced by stand-ins, and a file that names anything but
    tensors, containers and modules is refused with that name. Raises PplkitError naming the file.
    """
    check_file(path, "give the file of a released state dict or module")
    try:
        if path.stat().st_size > BYTES:
            raise Refused(f"it is longer than {BYTES:,} bytes")
        content = _zipped(path) if zipfile.is_zipfile(path) else _old(path)
        state = _state(content) if isinstance(content, Stand) else content
    except Refused as error:
        raise PplkitError(f"{path} is refused, nothing was run: {error}, which no model needs; {WANTED}") from None
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise PplkitError(f"{path} holds no state dict ({reason(error)}): {WANTED}") from None
    if isinstance(state, Mapping) and isinstance(inner := state.get("state_dict"), Mapping):
        state = inner
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise PplkitError(f"{path} holds {type(content).__name__}, no state dict: {WANTED}")
    kept = vars(content) if isinstance(content, Stand) else {}
    numbers = {name: value for name, value in kept.items() if type(value) in (int, float)}
    return Stored({str(name): value.detach() for name, value in state.items()}, numbers)


def _zipped(path: Path) -> Any:
    """What is in a file of torch.save since 1.6: an archive of a pickle, data.pkl, and of the numbers of each tensor.

    What is compressed in it, or listed twice, could be any number of times as large as the file.
    """
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: part for part in archive.infolist()}
        (tree,) = (name for name in parts if name.rpartition("/")[2] == "data.pkl")
        folder = tree.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in parts:
            raise Refused("it holds TorchScript code")
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts.values()):
            raise Refused("it holds compressed parts")
        if sum(part.file_size for part in parts.values()) > path.stat().st_size or parts[tree].file_size > TREE:
            raise Refused("its parts are longer than the file, or its pickle than that of any model")
        if f"{folder}byteorder" in parts and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are in big-endian order")
        read: dict[str, Tensor] = {}

        def numbers(saved: Any) -> Tensor:
            what, kind, key, _, count = saved
            if what != "storage" or not isinstance(kind, _Kind):
                raise Refused(f"it refers to {what!r}")
            if key not in read:
                read[key] = _flat(archive.read(f"{folder}data/{key}"), kind.dtype, count)
            return read[key]

        pickled = io.BytesIO(archive.read(tree))
        return _Reader(pickled, parts[tree].file_size, numbers).load()


def _old(path: Path) -> Any:
    """What is in a file of torch.save before 1.6: pickles one after the other, then the numbers of each tensor."""
    size = path.stat().st_size
    made: dict[str, Tensor] = {}
    left = size

    def numbers(saved: Any) -> Any:
        nonlocal left
        if saved[0] == "module":
            return saved[1]  # a class, with its source
        what, kind, key, _, count, view = saved
        if what != "storage" or not isinstance(kind, _Kind):
            raise Refused(f"it refers to {what!r}")
        if key not in made:
            left -= count * kind.dtype.itemsize
            if left < 0 or count < 0:
                raise Refused("it holds more numbers than it has bytes")
            made[key] = torch.empty(count, dtype=kind.dtype)
        return made[key] if view is None else made[key][view[1] : view[1] + view[2]]

    with path.open("rb") as file:
        if (_Reader(file, size).load(), _Reader(file, size).load()) != OLD:
            raise ValueError("it does not begin as files of torch.save do")
        if not _Reader(file, size).load().get("little_endian"):
            raise ValueError("its numbers are in big-endian order")
        content = _Reader(file, size, numbers).load()
        for key in _Reader(file, size).load():
            count = int.from_bytes(file.read(8), "little", signed=True)
            if count != made[key].numel():
                raise ValueError(f"it has {count} numbers of {made[key].numel()}")
            made[key].copy_(_flat(file.read(made[key].nbytes), made[key].dtype, count))
        if file.read(1):
            raise ValueError("it goes on after its numbers")
    return content


def _flat(content: bytes, dtype: torch.dtype, count: int) -> Tensor:
    """Bytes as `count` numbers; raises ValueError for another length."""
    if len(content) != count * dtype.itemsize:
        raise ValueError(f"it has {len(content)} bytes for {count} numbers of {dtype}")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _state(module: Stand) -> dict[str, Tensor]:
    """Parameters and buffers of a module and of all modules in it, by the names that torch gives them."""
    found: dict[str, Tensor] = {}
    waiting, seen = [("", module)], 0
    while waiting:
        prefix, part = waiting.pop()
        if (seen := seen + 1) > PARTS:
            raise Refused(f"it holds more than {PARTS:,} modules, or one in itself")
        content = vars(part)
        transient = content.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            for name, value in (content.get(kind) or {}).items():
                if isinstance(value, Tensor) and name not in transient:
                    found[prefix + name] = value
        inside = [(f"{prefix}{name}.", one) for name, one in (content.get("_modules") or {}).items()]
        waiting += [(name, one) for name, one in reversed(inside) if isinstance(one, Stand)]
    return found
