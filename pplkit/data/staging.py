"""The hidden folder `.<name>.partial-<hex>` in which a data set grows, and what killed writers left of theirs.

NEW in it becomes the data set, OLD is the one that makes room, LOCK is locked while the writer lives: the system frees
it when a process ends, however it ends.
"""

import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

NEW, OLD, REPLACED, LOCK = "new", "old", "replaced", "lock"


def begin(out: Path) -> tuple[Path, FileLock]:
    """A folder for a writer of `out`, with an empty NEW, and its LOCK, which `settle` releases. Raises OSError."""
    while True:
        folder = out.with_name(f".{out.name}.partial-{uuid.uuid4().hex[:8]}")
        folder.mkdir(parents=True)
        with suppress(FileNotFoundError):  # another writer may clear the folder up before it is locked
            lock = FileLock(folder / LOCK, thread_local=False)
            lock.acquire()
            (folder / NEW).mkdir()
            return folder, lock


def settle(folder: Path, out: Path, lock: FileLock) -> None:
    """Remove a writer's folder; a data set that it had moved away is put back unless another one replaced it."""
    try:
        with suppress(OSError):  # what cannot be put back stays where it is
            if os.path.lexists(folder / OLD):  # it is moved in one step, so that what is called OLD is whole
                replaced = (out / "dataset.json").exists()
                (folder / OLD).rename(folder / REPLACED if replaced else out)
            for name in (NEW, REPLACED):  # LOCK comes last: a folder without one is taken to be empty
                shutil.rmtree(folder / name, ignore_errors=True)
    finally:
        lock.release(force=True)
    if not os.path.lexists(folder / OLD):
        shutil.rmtree(folder, ignore_errors=True)


def clear_up(out: Path) -> None:
    """Settle the folders of killed writers of `out`; those of running ones are left alone."""
    try:
        entries = list(out.parent.iterdir())
    except OSError:  # where nothing can be listed, writing will say what is wrong
        return
    name = re.compile(re.escape(f".{out.name}.partial-") + "[0-9a-f]{8}")
    for folder in (entry for entry in entries if name.fullmatch(entry.name)):
        with suppress(OSError):
            if not (folder / LOCK).exists():
                folder.rmdir()  # killed before it was locked, so it is empty
                continue
            lock = FileLock(folder / LOCK, thread_local=False)
            lock.acquire(timeout=0)  # raises Timeout, an OSError, while its writer lives
            settle(folder, out, lock)
