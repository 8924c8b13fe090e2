"""A disk that fails, or a process that dies, at the k-th thing that is done to a file."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pplkit.core import files

CHANGES = ("open", "write", "fsync", "replace", "ftruncate", "unlink")
DIES = 0
CODE = 9  # exit code of a process that dies


class Faulty:
    """Stands in for the module `os` in `pplkit.core.files`: the call `at`, from 1, fails with `error`, or DIES."""

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.count = at, error, 0
        self.called = ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CHANGES:
            return real

        def call(*given: Any) -> Any:
            self.count += 1
            if self.count != self.at:
                return real(*given)
            self.called = name
            if name == "write":  # half of it is there
                real(given[0], given[1][: len(given[1]) // 2])
            if self.error == DIES:
                os._exit(CODE)
            raise OSError(self.error, os.strerror(self.error))

        return call


@contextmanager
def faulty(at: int, error: int = errno.ENOSPC) -> Iterator[Faulty]:
    """Inside, the k-th change of a file fails; later ones succeed."""
    fault = Faulty(at, error)
    files.os = fault  # type: ignore[assignment]
    try:
        yield fault
    finally:
        files.os = os
