"""NumPy archives whose arrays hold Python objects, as many publish them; nothing in them is executed."""

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.safe_pickle import Refused, SafeUnpickler


def _empty_array(*_: Any) -> np.ndarray:
    return np.empty(0, np.int8)  # which the pickle then fills


def _scalar(dtype: np.dtype, content: bytes = b"") -> Any:
    if dtype.hasobject:
        raise Refused("it holds a scalar of Python objects")
    return np.frombuffer(content, dtype, 1)[0]


def _latin(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")


def _from_buffer(content: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    return np.frombuffer(content, dtype).reshape(shape, order=order)


class _Unpickler(SafeUnpickler):
    ALLOWED = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("_codecs", "encode"): _latin,
        **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    }


def read_objects(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, Any]:
    """The named entries of an .npz file: arrays, or the dicts, lists, texts, numbers and arrays that are pickled there.

    Entries that the file lacks are left out. Raises PplkitError, naming the file, if it is missing, damaged, or names
    anything else.
    """
    check_file(path, remedy)
    content = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                if f"{name}.npy" in archive.namelist():
                    with archive.open(f"{name}.npy") as file:
                        content[name] = _read(file)
    except Refused as error:
        raise PplkitError(f"{path} is refused, nothing was run: {error}, which no poses need; {remedy}.") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise PplkitError(f"{path} cannot be read ({reason(error)}); {remedy}.") from None
    return content


def _read(file: Any) -> Any:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        value = _Unpickler(file, encoding="latin1").load()
        return value.item() if isinstance(value, np.ndarray) and shape == () else value
    values = np.frombuffer(file.read(), dtype, int(np.prod(shape)))
    return values.reshape(shape, order="F" if fortran else "C")
