"""Arrays in several .npy files: written in batches with little memory, read as one array."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file


class Shards:
    """Arrays (n_i, ...) of one type, read as one array (n, ...) along the first axis.

    The index is an integer, a slice, or an array of integers or booleans; the last three return a copy in memory.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *map(len, parts)])
        self.shape: tuple[int, ...] = (int(self.starts[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> np.ndarray:
        if isinstance(index, tuple):
            raise TypeError("shards are indexed along the first axis only")
        rows = np.arange(*index.indices(len(self))) if isinstance(index, slice) else np.asarray(index)
        if rows.dtype == np.bool_:
            if rows.shape != (len(self),):
                raise IndexError(f"a boolean index must have shape ({len(self)},), not {rows.shape}")
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64) if rows.size == 0 else rows
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"index out of range for {len(self)} rows")
        rows = np.where(rows < 0, rows + len(self), rows)
        selected = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        shard = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(shard):
            here = shard == number
            selected[here] = self.parts[number][rows[here] - self.starts[number]]
        return selected

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("shards become one array only by copying")
        return np.concatenate(self.parts).astype(dtype or self.dtype, copy=False)


class NpyWriter:
    """Append rows to <folder>/<name>.npy or, if `rows_per_shard` is given, to <name>-00000.npy and so on."""

    def __init__(
        self, folder: Path, name: str, dtype: np.dtype, tail: tuple[int, ...], rows_per_shard: int | None
    ) -> None:
        self.folder, self.name, self.dtype, self.tail = folder, name, dtype, tail
        self.rows_per_shard = rows_per_shard
        self.files: list[Path] = []
        self._stream: BinaryIO | None = None
        self._rows = 0

    def append(self, array: np.ndarray) -> None:
        """Write the rows of array (b, *tail), which has the writer's type, opening a new shard where one is full."""
        while len(array):
            if self._stream is None:
                number = "" if self.rows_per_shard is None else f"-{len(self.files):05d}"
                self.files.append(self.folder / f"{self.name}{number}.npy")
                self._stream = self.files[-1].open("wb")
                self._rows = 0
                self._write_header()
            room = len(array) if self.rows_per_shard is None else self.rows_per_shard - self._rows
            chunk, array = array[:room], array[room:]
            self._stream.write(np.ascontiguousarray(chunk).tobytes())
            self._rows += len(chunk)
            if self._rows == self.rows_per_shard:
                self._finish()

    def close(self) -> list[Path]:
        """Finish the last file and return all."""
        self._finish()
        return self.files

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis may grow in place: the final count is written over the first 0.
        assert self._stream is not None
        self._stream.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._stream, {**header, "shape": (self._rows, *self.tail)})

    def _finish(self) -> None:
        if self._stream is not None:
            with self._stream:
                self._write_header()
            self._stream = None


def load_array(file: Path, remedy: str, *, mapped: bool) -> np.ndarray:
    """One .npy file, memory-mapped or in memory; raises PplkitError, with `remedy`, if it is missing or damaged.

    Whatever shape a file claims, it takes no more memory than it has bytes; arrays of objects, which are pickles, are
    refused.
    """
    if not file.exists():
        raise PplkitError(f"{file} is missing; {remedy}")
    check_file(file, remedy)
    try:
        with np.errstate(all="ignore"):  # a shape beyond all numbers
            array = np.lib.format.open_memmap(file, mode="r")
        if not array.flags.c_contiguous or array.offset + array.nbytes != file.stat().st_size:
            raise ValueError("its length does not match its shape")
        return array if mapped else np.array(array)
    except Exception as error:  # a foreign header can fail anywhere inside NumPy
        raise PplkitError(f"{file} is damaged ({reason(error)}); {remedy}") from error


def file_hash(file: Path) -> str:
    """The sha256 of a file, as sha256sum prints it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
