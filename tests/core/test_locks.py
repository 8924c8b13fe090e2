"""One process at a time works in a folder: who holds it is said, a killed holder counts for nothing."""

import multiprocessing
import os
import re
import signal
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pplkit.core.errors import PplkitError
from pplkit.core.locks import locked


def hold(folder: Path, ours: Connection) -> None:
    with locked(folder, "in use"):
        ours.send("held")
        ours.recv()


@pytest.mark.parametrize("kill", [True, False])
def test_the_second_is_refused_and_told_who_holds_it(kill: bool, tmp_path: Path) -> None:
    pipe, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path / "run", theirs))
    holder.start()
    assert pipe.recv() == "held" and holder.pid is not None
    here = re.escape(socket.gethostname())
    said = rf"busy \(process {holder.pid} on {here}, since 2\d\d\d-.*\): wait for it, or stop"
    with pytest.raises(PplkitError, match=said), locked(tmp_path / "run", "busy"):
        pass
    os.kill(holder.pid, signal.SIGKILL) if kill else pipe.send("let go")
    holder.join()
    with locked(tmp_path / "run", "busy"):
        assert f"process {os.getpid()} on" in (tmp_path / "run/.lock.holder").read_text()
    assert not (tmp_path / "run/.lock.holder").exists()


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
        other()
    assert len(said) == 2 and all(text.startswith(f"busy (process {os.getpid()} on ") for text in said)


def test_two_names_are_two_locks(tmp_path: Path) -> None:
    """A batch's worker holds a run while the notebook that it runs trains there."""
    with locked(tmp_path, "busy"), locked(tmp_path, "busy", ".training.lock"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = r"file/run/.lock cannot be written \(Not a directory\): see that"
    with pytest.raises(PplkitError, match=said), locked(tmp_path / "file" / "run", "busy"):
        pass
