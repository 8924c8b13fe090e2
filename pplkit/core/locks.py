"""Folders that one process at a time works in, and who it is. The system frees them, however a process ends.

Where a platform or a file system has no locks (Windows; some network drives) a folder is free unless a living process
of this machine has put its name there.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import reason, remedy

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HELD = (errno.EWOULDBLOCK, errno.EAGAIN)


def lock(file: IO[Any], *, wait: bool = False) -> bool | None:
    """Whether an open file is now locked for whoever opened it; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return False if error.errno in HELD else None
    return True


@contextmanager
def locked(folder: Path, refusal: str, name: str = ".lock") -> Iterator[None]:
    """Holds `folder`, made if needed, by the file `name` in it, which says by whom and since when.

    Raises PplkitError while another process, or another thread of this one, holds it: `refusal`, who, and to wait;
    also where the file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("ab+", buffering=0)
    except OSError as error:
        raise PplkitError(f"{folder / name} cannot be written ({reason(error)}): {remedy(error)}.") from None
    with file:
        taken = lock(file)
        if taken is False or (taken is None and _lives(_holder(file))):
            raise PplkitError(f"{refusal} ({_named(_holder(file))}): wait for it, or stop it.")
        me = {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        _note(file, json.dumps(me).encode() + b"\n")
        try:
            yield
        finally:
            _note(file, b"")


def _note(file: IO[bytes], text: bytes) -> None:
    """Who it is counts for less than the work: a full disk does not stop it here."""
    with suppress(OSError):
        file.truncate(0)
        file.write(text)


def _holder(file: IO[bytes]) -> dict[str, Any]:
    try:
        file.seek(0)
        found = json.loads(file.read(10_000))
        return {"host": str(found["host"]), "pid": int(found["pid"]), "since": str(found["since"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _named(holder: dict[str, Any]) -> str:
    return "process {pid} on {host}, since {since}".format(**holder) if holder else "it has not said which"


def _lives(holder: dict[str, Any]) -> bool:
    """Whether a process of this machine is there; where it cannot be asked, or of another machine, it is not."""
    if os.name != "posix" or holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except (OverflowError, OSError):
        return True
    return True
