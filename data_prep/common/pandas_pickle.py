"""Tables in pickles of pandas, read without running anything from them and without pandas.

Every name in the pickle is looked up in one table, and all that the table gives are stand-ins that keep what was
stored. The arrays are then built here from plain bytes and lists. So neither pandas nor NumPy sees what a stranger
wrote, a name outside the table is refused, and files of old versions that today's pandas no longer reads are fine.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.safe_pickle import Refused, Unpickler
from pplkit.core.texts import check_file

KINDS = "biufOU"  # bool, integers, floats, objects, text: what labels are made of
MANAGER = "0.14.1"  # the key of a frame's parts in pandas 0.14 to 1.2; later ones give them as arguments


class Stand:
    """Takes the place of anything of pandas: keeps the arguments and the state, and can do nothing."""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> Self:
        """Keep the arguments; some pickles call the class, some its __new__ alone."""
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Dtype(Stand):
    """An array's type; its state is (version, byte order, ...)."""

    def made(self) -> np.dtype:
        """The type of NumPy, of the allowed kinds only."""
        name = str(self.arguments[0])
        if name[:1] not in KINDS or not name[1:].isdigit():
            raise Refused(f"it holds an array of type {name!r}")
        swapped = bool(self.state) and self.state[1] == ">"
        return np.dtype(name).newbyteorder(">" if swapped else "<")


class Plain:
    """Stored values with their stand-ins replaced: arrays, numbers, text, and lists and tuples of them.

    Raises Refused where that would be more than `left` values or letters: a list that holds another one twice, and so
    on, or a text that is taken again and again, is short in the file.
    """

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, value: Any) -> Any:
        """The value as it is to be used; raises ValueError for what is none."""
        if isinstance(value, Array):
            return value.made(self)
        if isinstance(value, Scalar):
            return value.made()
        if isinstance(value, list | tuple):
            self.spend(len(value))
            return type(value)(self(part) for part in value)
        if isinstance(value, Stand):
            raise ValueError("a value is neither text, a number nor an array")
        return value

    def spend(self, count: int) -> None:
        """Count what is about to be copied."""
        self.left -= count
        if self.left < 0:
            raise Refused("it holds the same lists or text without end")


class Array(Stand):
    """An array, as `_reconstruct` and a state, or, with pickle protocol 5, as the arguments of `_frombuffer`."""

    def made(self, plain: Plain) -> np.ndarray:
        """The array, built here from the stored bytes or list."""
        if self.state is not None:
            _, shape, dtype, fortran, content = self.state
            order = "F" if fortran else "C"
        else:
            content, dtype, shape, order = self.arguments[:4]
        kind = dtype.made()
        count = math.prod(shape)
        if kind.kind == "O":
            if not isinstance(content, list) or len(content) != count:
                raise Refused(f"it holds an array of {count} objects without them")
            values = np.empty(count, object)
            values[:] = plain(content)
        else:
            plain.spend(len(content))
            raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
            if len(raw) != count * kind.itemsize:
                raise Refused(f"it holds an array of {count * kind.itemsize} bytes with {len(raw)}")
            values = np.frombuffer(raw, kind)
        return values.reshape(shape, order="F" if order == "F" else "C")


class Scalar(Stand):
    """A single number of NumPy."""

    def made(self) -> Any:
        """The number, or what else a single value is."""
        dtype, *content = self.arguments
        return np.frombuffer(content[0], dtype.made())[0] if content and dtype.made().kind != "O" else None


def _latin1(text: str, coding: str = "latin1") -> bytes:
    """Bytes as pickle protocol 2 writes them."""
    if coding != "latin1":
        raise Refused(f"it encodes text as {coding}")
    return text.encode("latin1")


_CORES = ("numpy.core", "numpy._core")  # before and since NumPy 2
_CLASSES = {
    "DataFrame": ("pandas", "pandas.core.frame"),
    "Series": ("pandas", "pandas.core.series"),
    "BlockManager": ("pandas.core.internals", "pandas.core.internals.managers"),
    "SingleBlockManager": ("pandas.core.internals", "pandas.core.internals.managers"),
    "_unpickle_block": ("pandas._libs.internals",),
    "_new_Index": ("pandas.core.indexes.base", "pandas.indexes.base", "pandas.core.index"),
    "Index": ("pandas", "pandas.core.indexes.base", "pandas.indexes.base", "pandas.core.index"),
    "RangeIndex": ("pandas", "pandas.core.indexes.range", "pandas.indexes.range"),
    "Int64Index": ("pandas", "pandas.core.indexes.numeric", "pandas.indexes.numeric", "pandas.core.index"),
    "Float64Index": ("pandas", "pandas.core.indexes.numeric", "pandas.indexes.numeric", "pandas.core.index"),
    "StringArray": ("pandas.arrays", "pandas.core.arrays.string_"),
    "StringArrayNumpySemantics": ("pandas.arrays", "pandas.core.arrays.string_"),
    "StringDtype": ("pandas", "pandas.core.arrays.string_"),
    "__pyx_unpickle_NDArrayBacked": ("pandas._libs.arrays",),
}
TABLE: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"{core}.multiarray", "_reconstruct"): Array for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): Array for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): Scalar for core in _CORES},
    ("numpy", "ndarray"): Stand,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _latin1,
    ("builtins", "slice"): slice,
    ("__builtin__", "slice"): slice,  # as protocol 2 writes it
    **{(module, name): Stand for name, modules in _CLASSES.items() for module in modules},
}
"""All that a pickle may name, in the spellings of pandas 0.18 to 3 and NumPy 1 and 2."""


class _Reader(Unpickler):
    """Puts stand-ins for the names of TABLE and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """What the file may call by this name; raises Refused otherwise."""
        if found := TABLE.get((module, name)):
            return found
        raise Refused(f"it names {module}.{name}")


def read_frame(path: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """The values of some columns of a pickled pandas.DataFrame, row by row: text, numbers, lists and NumPy arrays.

    Nothing in the file is executed. Raises PplkitError naming the file if it is missing, damaged or no table, lacks a
    column, or names anything but arrays and tables.
    """
    if not path.exists():
        raise PplkitError(f"{path} is missing; download the data set again")
    check_file(path, "download the data set again")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            found = _table(_Reader(file, size, encoding="latin1").load(), Plain(10 * size))
    except Refused as error:
        raise PplkitError(
            f"{path} is refused, nothing was run: {error}, which no table of labels needs; download it again"
        ) from None
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise PplkitError(f"{path} cannot be read as a table of pandas ({reason(error)}); download it again") from None
    for column in columns:
        if column not in found:
            raise PplkitError(f"{path} has no column {column!r} among {', '.join(found)}; download it again")
    return {column: found[column] for column in columns}


def _table(frame: Any, plain: Plain) -> dict[str, list[Any]]:
    """Column name -> values of an unpickled frame of any version."""
    state = frame.state if isinstance(frame, Stand) else None
    manager = state.get("_mgr", state.get("_data")) if isinstance(state, dict) else None
    if not isinstance(manager, Stand):
        raise ValueError("it holds no DataFrame")
    if manager.arguments:  # pandas 1.3 and later
        blocks, axes = manager.arguments
        parts = [block.arguments[:2] for block in blocks]
    else:
        content = manager.state[3][MANAGER]
        axes, parts = content["axes"], [(block["values"], block["mgr_locs"]) for block in content["blocks"]]
    names = [str(name) for name in _values(axes[0].arguments[1]["data"], plain)]
    found: dict[str, list[Any]] = {}
    for values, places in parts:
        where = np.arange(len(names))[places if isinstance(places, slice) else plain(places)]
        rows = _values(values, plain)
        for column, row in zip(where, rows if rows.ndim == 2 else rows[None], strict=True):
            found[names[column]] = list(row)
    return {name: found[name] for name in names}


def _values(stored: Any, plain: Plain) -> np.ndarray:
    """The array of a block or an index; pandas 3 keeps text in an array class of its own, whose state holds it."""
    if isinstance(stored, Stand) and not isinstance(stored, Array):
        return next(part for part in stored.state if isinstance(part, Array)).made(plain)
    return np.asarray(plain(stored))
