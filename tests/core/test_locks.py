"""Folders that one at a time works in: who holds one is said, a dead holder counts for nothing."""

import errno
import json
import multiprocessing
import os
import re
import signal
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from pplkit.core import locks
from pplkit.core.errors import PplkitError
from pplkit.core.locks import locked


def hold(folder: Path, ours: Connection) -> None:
    with locked(folder, "in use"):
        ours.send("held")
        ours.recv()


class Holder:
    """Another process that holds a folder until it is told to let go, or killed."""

    def __init__(self, folder: Path) -> None:
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe()
        self.process = fork.Process(target=hold, args=(folder, theirs))
        self.process.start()
        assert self.pipe.recv() == "held"

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    holder = Holder(tmp_path / "run")
    here = re.escape(socket.gethostname())
    said = rf"busy \(process {holder.process.pid} on {here}, since 2\d\d\d-.*\): wait for it, or stop"
    with pytest.raises(PplkitError, match=said), locked(tmp_path / "run", "busy"):
        pass
    holder.pipe.send("let go")
    holder.process.join()
    with locked(tmp_path / "run", "busy"):
        assert json.loads((tmp_path / "run/.lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / "run/.lock").read_bytes() == b""


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    holder.kill()
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == holder.process.pid
    with locked(tmp_path, "busy"):
        pass


def test_another_thread_is_refused_as_well(tmp_path: Path) -> None:
    said: list[str] = []

    def other() -> None:
        try:
            with locked(tmp_path, "busy"):
                said.append("held")
        except PplkitError as error:
            said.append(str(error))

    with locked(tmp_path, "busy"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said[0].startswith(f"busy (process {os.getpid()} on ")


def test_two_names_are_two_locks(tmp_path: Path) -> None:
    """A batch's worker holds a run while the notebook that it runs trains there."""
    with locked(tmp_path, "busy"), locked(tmp_path, "busy", ".training.lock"):
        pass


@pytest.mark.parametrize("why", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EIO, None])
def test_without_locks_the_work_goes_on_unless_its_holder_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int | None
) -> None:
    """Some network drives, and Windows, where there is no fcntl."""

    class None_:
        LOCK_EX, LOCK_NB = 2, 4

        @staticmethod
        def flock(*given: Any) -> None:
            raise OSError(why, "no locks available")

    holder = Holder(tmp_path / "held")
    monkeypatch.setattr(locks, "fcntl", None if why is None else None_)
    with locked(tmp_path / "free", "busy"):
        pass
    with pytest.raises(PplkitError, match=f"busy .process {holder.process.pid} "), locked(tmp_path / "held", "busy"):
        pass
    holder.kill()
    with locked(tmp_path / "held", "busy"):
        pass
    (tmp_path / "held/.lock").write_text(json.dumps({"host": "elsewhere", "pid": os.getpid(), "since": "today"}))
    with locked(tmp_path / "held", "busy"):  # who can tell
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"host": "a", "pid": "x", "since": 3}', "\0" * 20])
def test_a_holder_who_has_not_said_who_it_is(tmp_path: Path, text: str) -> None:
    holder = Holder(tmp_path)
    (tmp_path / ".lock").write_text(text)
    with pytest.raises(PplkitError, match="busy .it has not said which.: wait"), locked(tmp_path, "busy"):
        pass
    holder.kill()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = r"file/run/.lock cannot be written \(Not a directory\): see that"
    with pytest.raises(PplkitError, match=said), locked(tmp_path / "file" / "run", "busy"):
        pass


def test_a_full_disk_does_not_keep_a_lock_from_being_taken(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / ".lock").symlink_to("/dev/full")
    with locked(tmp_path, "busy"):
        pass
