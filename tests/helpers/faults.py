"""A disk that fails, or a process that dies, at the k-th change of a file."""

import builtins
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pplkit.core import files

CHANGES = ("open", "write", "fsync", "replace", "unlink")
DIES = 0
CODE = 9  # exit code of a process that dies


class Faulty:
    """Stands in for `os` and `open` in `pplkit.core.files`: the call `at`, from 1, fails with `error`, or DIES."""

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.count = at, error, 0
        self.called = ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *given: self.call(name, real, *given)) if name in CHANGES else real

    def call(self, name: str, real: Any, *given: Any) -> Any:
        """Do it, or fail."""
        self.count += 1
        if self.count != self.at:
            return real(*given)
        self.called = name
        if name == "write":
            real(given[0][: len(given[0]) // 2])
        if self.error == DIES:
            os._exit(CODE)
        raise OSError(self.error, os.strerror(self.error))

    def open(self, *given: Any) -> Any:
        """As `os.open` or, with a mode in words, as the built-in one, for a file whose writes can fail."""
        if not isinstance(given[1], str):
            return self.call("open", os.open, *given)
        return _File(self, self.call("open", lambda: builtins.open(*given, buffering=0)))


class _File:
    def __init__(self, fault: Faulty, file: Any) -> None:
        self.fault, self.file = fault, file

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, count: int) -> bytes:
        """Up to so many bytes."""
        return bytes(self.file.read(count))

    def write(self, content: bytes) -> Any:
        """All of it, or half and an error."""
        return self.fault.call("write", self.file.write, content)


@contextmanager
def faulty(at: int, error: int = errno.ENOSPC) -> Iterator[Faulty]:
    """Inside, the k-th change of a file fails; later ones succeed."""
    fault = Faulty(at, error)
    files.os, files.open = fault, fault.open  # type: ignore[assignment, attr-defined]
    try:
        yield fault
    finally:
        files.os = os
        del files.open  # type: ignore[attr-defined]
