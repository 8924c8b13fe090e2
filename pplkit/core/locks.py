"""Folders in which one process at a time works. The system frees them however a process ends."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pplkit.core.errors import PplkitError
from pplkit.core.files import WriteError


@contextmanager
def locked(folder: Path, refusal: str, name: str = ".lock") -> Iterator[None]:
    """Hold `folder`, created if needed, by a lock on the file `name` in it.

    Raises PplkitError while another process, or another thread of this one, holds it: `refusal`, who holds it since
    when, and to wait. Raises WriteError if the file cannot be written.
    """
    lock, note = FileLock(folder / name, timeout=0, thread_local=False), folder / f"{name}.holder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError, ValueError):
            holder = note.read_text()[:200] or holder
        raise PplkitError(f"{refusal} ({holder}): wait for it, or stop it.") from None
    except OSError as error:
        raise WriteError(folder / name, error) from None
    try:
        with suppress(OSError):  # on a full disk the work goes on without the note
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M}")
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()
