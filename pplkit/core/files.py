"""Files that are whole or as they were before: written beside, brought to the disk, renamed."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from pplkit.core.errors import PplkitError

PARTIAL = ".partial"  # ends the name of a file that is being written
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)), "make room there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give the right to write there"),
}


class Unwritable(PplkitError):
    """A file that cannot be written; `said` is what the system says, and what to do."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.said = f"{path} cannot be written ({reason(error)}): {remedy(error)}"
        super().__init__(f"{self.said}.")

    def __reduce__(self) -> Any:
        return PplkitError, (str(self),)


def is_same(path: Path, other: Path) -> bool:
    """Whether both are there and one file, whatever they are called."""
    with suppress(OSError):
        return path.samefile(other)
    return False


def write_bytes(path: Path, content: bytes | bytearray, check: Callable[[Path], object] | None = None) -> None:
    """Write a file atomically: it is complete and on the disk, or as it was before. Raises Unwritable.

    Before it takes its name `check` may look at it where it lies, and raise.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with _named(path):
            _write(partial, content, os.O_TRUNC, sync=True)
            if check is not None:
                check(partial)
            os.replace(partial, path)
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: it is complete, or as it was before. Raises Unwritable."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically: the file is complete, or as it was before. Raises Unwritable."""
    write_text(path, json.dumps(content, indent=1) + "\n")


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file to write into, piece by piece: afterwards it is complete, and on an error it is as it was before.

    Raises Unwritable.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with _named(path):
            with partial.open("w", encoding="utf8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file; all of it, or nothing where the file can still be cut. Raises Unwritable."""
    with _named(path):
        _write(path, f"{line}\n".encode(), os.O_APPEND, sync=False)


def sync(path: Path) -> None:
    """Bring a file to the disk, if there is one; raises Unwritable."""
    with _named(path):
        if path.exists():
            _write(path, b"", os.O_APPEND, sync=True)


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    return REMEDIES.get(error.errno or 0, "see that its folder and drive are there")


def reason(error: OSError) -> str:
    """What the system says, without the name of the file."""
    return error.strerror or str(error)


def remove(*paths: Path) -> None:
    """Remove files, those that are there, for good; raises Unwritable."""
    for path in paths:
        with _named(path), suppress(FileNotFoundError):
            os.unlink(path)
    for folder in {path.parent for path in paths}:
        with _named(folder):
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # this file system has no such thing
            raise
    finally:
        os.close(handle)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(path, error) from None


def _write(path: Path, content: bytes | bytearray, how: int, *, sync: bool) -> None:
    """Write all of `content`; what a failure leaves of it is cut off where possible."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | how | getattr(os, "O_BINARY", 0), 0o666)
    try:
        before = os.lseek(handle, 0, os.SEEK_END)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest[: 2**30]) :]  # no system writes more than 2 GiB at once
            if sync:
                os.fsync(handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)
