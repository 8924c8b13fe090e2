"""Files of MATLAB 5 to 7, read without scipy, whose reader a damaged one can take down with all of Python.

What is here follows "MAT-File Format" of MathWorks, as far as tables of numbers, text, cells and structures go. An
element is its kind, its length and so many bytes; a matrix holds others: flags, shape, name, and then its content.
"""

import math
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.texts import check_file

BYTES = 2**28  # of a file, and of what is compressed in it
ELEMENTS = 2_000_000  # the lists of CUB have 300,000; each takes a hundred bytes, and eight in the file
LONG = f"it is longer than {BYTES:,} bytes, which it never should be"
DEPTH = 8  # of structures in structures
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
LETTERS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, STRUCTURE, TEXT = 1, 2, 4
ARRAYS = range(6, 16)  # kinds of matrices: doubles to integers of 64 bits
COMPLEX = 0x800


def read_mat(path: Path, name: str, remedy: str) -> Any:
    """The variable `name`: an array, text, a list of what is in cells, or a list of dictionaries for structures.

    Raises PplkitError, naming the file and `remedy`, if it is damaged, too large, or lacks the variable.
    """
    check_file(path, remedy)
    try:
        if path.stat().st_size > BYTES:
            raise ValueError(LONG)
        found = _Reader(path.read_bytes()).variables(name)
    except Exception as error:  # whatever a torn file makes of its lengths
        raise PplkitError(f"{path} cannot be read as a MATLAB file ({reason(error)}): {remedy}.") from error
    if name not in found:
        raise PplkitError(f"{path} has no {name}: {remedy}.")
    return found[name]


def read_numbers(path: Path, name: str, remedy: str) -> np.ndarray:
    """The same for an array of numbers, without those that are complex; raises PplkitError for anything else."""
    found = read_mat(path, name, remedy)
    if not isinstance(found, np.ndarray):
        raise PplkitError(f"{path} has text, cells or structures called {name}, not numbers: {remedy}.")
    return found


class _Element(NamedTuple):
    kind: int
    content: bytes


class _Reader:
    """The elements of a file; raises ValueError where they are not what they should be."""

    def __init__(self, content: bytes) -> None:
        if len(content) < 128 or content[126:128] not in (b"IM", b"MI") or b"\1" not in content[124:126]:
            raise ValueError("it does not begin as files of MATLAB 5 to 7 do")
        self.order = "<" if content[126:128] == b"IM" else ">"
        self.content, self.left, self.elements = content, BYTES - len(content), 0

    def variables(self, wanted: str) -> dict[str, Any]:
        """The variable of that name, if it is there."""
        for element in self._elements(self.content[128:]):
            kind, content = element
            if kind == COMPRESSED:
                inflate = zlib.decompressobj()
                content = inflate.decompress(content, max_length=max(1, self.left + 1))
                self.left -= len(content)
                kind, content = self._elements(content)[0]
            if self.left < 0:
                raise ValueError(LONG)
            if kind == MATRIX and (found := self._named(content))[0] == wanted:
                return dict([found])
        return {}

    def _elements(self, content: bytes) -> list[_Element]:
        """The elements that follow one after the other; each begins at a multiple of eight."""
        found, place = [], 0
        while place + 8 <= len(content):
            kind, length = struct.unpack_from(f"{self.order}II", content, place)
            short = kind >> 16  # four bytes at most lie beside their kind
            if short:
                kind, length = kind & 0xFFFF, short
            start = place + (4 if short else 8)
            self.elements += 1
            if short > 4 or start + length > len(content) or self.elements > ELEMENTS:
                raise ValueError(f"it is cut short, or has more than {ELEMENTS:,} parts")
            found.append(_Element(kind, content[start : start + length]))
            place = start + length
            place += 0 if kind == COMPRESSED else -place % 8
        return found

    def _named(self, content: bytes, depth: int = 0) -> tuple[str, Any]:
        """Name and value of a matrix."""
        if depth > DEPTH:
            raise ValueError(f"it is more than {DEPTH} structures deep")
        if not content:
            return "", np.empty((0, 0))  # what was never set
        flags, shape, name, *rest = self._elements(content)
        kind = int(self._array(flags)[0])
        sides = [int(side) for side in self._array(shape)]
        if any(side < 0 for side in sides) or len(sides) < 2:
            raise ValueError(f"a matrix has the shape {sides}")
        return name.content.decode("latin1"), self._value(kind, sides, rest, depth)

    def _value(self, kind: int, sides: list[int], rest: list[_Element], depth: int) -> Any:
        count = math.prod(sides)
        if kind & 0xFF == CELL:
            return [self._named(part.content, depth + 1)[1] for part in self._parts(rest, count)]
        if kind & 0xFF == STRUCTURE:
            width = int(self._array(rest[0])[0])
            names = [
                rest[1].content[place : place + width].split(b"\0")[0].decode("latin1")
                for place in range(0, len(rest[1].content), max(1, width))
            ]
            values = [self._named(part.content, depth + 1)[1] for part in self._parts(rest[2:], count * len(names))]
            starts = range(0, len(values), max(1, len(names)))
            return [dict(zip(names, values[start : start + len(names)], strict=True)) for start in starts]
        if kind & 0xFF == TEXT:
            return self._text(rest[0]) if rest else ""
        if kind & 0xFF not in ARRAYS or kind & COMPLEX:
            raise ValueError(f"it holds a matrix of kind {kind & 0xFF}, which is neither numbers, text nor structures")
        return self._array(rest[0], count).reshape(sides, order="F")

    def _parts(self, elements: list[_Element], count: int) -> list[_Element]:
        if len(elements) != count or any(part.kind != MATRIX for part in elements):
            raise ValueError(f"it has {len(elements)} parts, not {count} matrices")
        return elements

    def _array(self, element: _Element, count: int | None = None) -> np.ndarray:
        """The numbers of an element, which are `count`."""
        if element.kind not in NUMBERS:
            raise ValueError(f"it has an element of kind {element.kind} for numbers")
        found = np.frombuffer(element.content, f"{self.order}{NUMBERS[element.kind]}")
        if count is not None and len(found) != count:
            raise ValueError(f"it has {len(found)} numbers for {count}")
        return found

    def _text(self, element: _Element) -> str:
        if element.kind not in LETTERS:
            raise ValueError(f"it has an element of kind {element.kind} for text")
        wide = LETTERS[element.kind] not in ("latin1", "utf-8")
        coding = LETTERS[element.kind] + (("-le" if self.order == "<" else "-be") if wide else "")
        return element.content.decode(coding)
