"""Files that are written whole or not at all, and text and JSON that is read within limits."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError, reason

PARTIAL = ".partial"  # ends the name of a file that is being written
MAX_TEXT_BYTES = 2**26  # of a text or JSON file, unless its reader allows more
MAX_TABLE_BYTES = 2**28  # of poses and of labels: those of COCO have 240 million
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)), "make room there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give the right to write there"),
}


class WriteError(PplkitError):
    """A file cannot be written; `detail` is the message without its full stop."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.detail = f"{path} cannot be written ({reason(error)}): {remedy(error)}"
        super().__init__(f"{self.detail}.")

    def __reduce__(self) -> Any:
        return PplkitError, (str(self),)


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    return REMEDIES.get(error.errno or 0, "see that its folder and drive are there")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` for a new file or folder, which replaces `path` when the block ends.

    If the block raises, the new file is removed and `path` stays as it was. The folder of `path` must exist; a folder
    replaces only an empty one. Raises WriteError for an OSError inside.
    """
    partial = path.with_name(path.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)  # a folder that a killed process left
    try:
        with _write_errors(path):
            yield partial
            _sync(partial)
            os.replace(partial, path)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            os.unlink(partial)
        raise


def write_bytes(path: Path, content: bytes | bytearray, check: Callable[[Path], object] | None = None) -> None:
    """Write a file atomically. `check` may inspect it before it takes its name, and raise. Raises WriteError."""
    with atomic_path(path) as partial:
        with open(partial, "wb") as file:
            file.write(content)
        if check is not None:
            check(partial)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8. Raises WriteError."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically. Raises WriteError."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file. Raises WriteError; part of the line may then be in the file."""
    with _write_errors(path), open(path, "ab") as file:
        file.write(f"{line}\n".encode())


def sync(path: Path) -> None:
    """Bring a file to the disk, if it exists. Raises WriteError."""
    with _write_errors(path):
        if path.exists():
            _sync(path)


def check_writable(path: Path) -> None:
    """Raise WriteError unless a file of this name can be made."""
    partial = path.with_name(path.name + PARTIAL)
    with _write_errors(path):
        if not partial.exists():
            partial.touch()
            partial.unlink()


def remove(*paths: Path) -> None:
    """Remove those of the files that exist, for good. Raises WriteError."""
    for path in paths:
        with _write_errors(path), suppress(FileNotFoundError):
            os.unlink(path)
    for folder in {path.parent for path in paths}:
        with _write_errors(folder):
            _sync(folder)


def same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same existing file."""
    with suppress(OSError):
        return path.samefile(other)
    return False


def check_file(path: Path, remedy: str) -> None:
    """Raise PplkitError, with `remedy`, unless there is a regular file: a pipe would keep its reader waiting."""
    if not os.path.exists(path):
        raise PplkitError(f"{path} does not exist: {remedy}.")
    if not os.path.isfile(path):
        raise PplkitError(f"{path} is not a file: {remedy}.")


def read_text(path: Path, remedy: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """A text file in UTF-8; the byte order mark that spreadsheets write is left out.

    Raises PplkitError, with `remedy`, if the file is missing, longer than `max_bytes`, or not UTF-8.
    """
    check_file(path, remedy)
    try:
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise PplkitError(f"{path} is longer than {max_bytes:,} bytes: {remedy}.")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise PplkitError(f"{path} cannot be read ({reason(error)}): {remedy}.") from None
    except UnicodeDecodeError as error:
        raise PplkitError(f"{path} is not text in UTF-8 ({error}): {remedy}.") from None


def read_json(path: Path, remedy: str, max_bytes: int = MAX_TEXT_BYTES) -> dict[str, Any]:
    """The JSON object in a file. Raises PplkitError as `read_text` does, and for any other content."""
    text = read_text(path, remedy, max_bytes)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise PplkitError(f"{path} is not valid JSON ({error}): {remedy}.") from None
    if not isinstance(content, dict):
        raise PplkitError(f"{path} does not hold a JSON object: {remedy}.")
    return content


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError for any other text, and for one nested too deeply for the reader."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from None


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder where the system can, to the disk."""
    folder = os.path.isdir(path)
    if folder and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some cannot sync folders
            raise
    finally:
        os.close(handle)
