"""Pickles read as data: whoever subclasses the reader says what each name stands for, and nothing of it can act."""

import pickle
from collections.abc import Callable, Sequence
from typing import IO, Any

LONG = (str, bytes, list, tuple, dict, set)
WRITTEN: Any = pickle._Unpickler  # in Python


class Refused(pickle.UnpicklingError):
    """The file names something that is neither data nor a module, or is made to take what a machine has."""


class Unpickler(WRITTEN):  # type: ignore[misc]
    """Reads a pickle of `size` bytes; what names stand for is up to the subclass, which gives nothing that acts.

    `stored` gives what the file refers to. The reader written in C would take an array as long as the highest number
    that the file notes something down under. What calls are given counts, as a few bytes may hand over the same long
    text again and again.
    """

    def __init__(
        self, file: IO[bytes], size: int, stored: Callable[[Any], Any] | None = None, encoding: str = "utf-8"
    ) -> None:
        super().__init__(_Bounded(file, size), encoding=encoding)
        self.stored = stored
        self.left = 10 * size + 1000

    def find_class(self, module: str, name: str) -> Any:
        """What the file may call by this name; raises Refused otherwise."""
        raise Refused(f"it names {module}.{name}")

    def persistent_load(self, saved: Any) -> Any:
        """What the file refers to and does not hold itself; raises Refused unless there is a reader of it."""
        if self.stored is None:
            raise Refused(f"it refers to {saved!r}")
        return self.stored(saved)

    def load_reduce(self) -> None:
        """A call, with what is on the stack."""
        self._spend(self.stack[-1])
        super().load_reduce()

    def load_newobj(self) -> None:
        """A new object of a class, with what is on the stack."""
        self._spend(self.stack[-1])
        super().load_newobj()

    def load_bytearray8(self) -> None:
        """Bytes that may be changed; memory is taken for those that are there, not for those that are promised."""
        length = int.from_bytes(self.read(8), "little")
        content = bytearray(self.read(length))
        if len(content) != length:
            raise pickle.UnpicklingError("it is cut short")
        self.append(content)

    def _instantiate(self, klass: Any, args: Any) -> None:
        self._spend(args)
        super()._instantiate(klass, args)

    def _spend(self, arguments: Sequence[Any]) -> None:
        self.left -= sum(len(one) for one in arguments if isinstance(one, LONG))
        if self.left < 0:
            raise Refused("it uses the same text or list so often that it would take all memory")

    dispatch = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


class _Bounded:
    """A file that gives no more than its size at once, whatever is asked for."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size, self.readline = file, size, file.readline

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        return self.file.read(min(count, self.size))
