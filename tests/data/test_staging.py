"""Writers that are killed: what they leave is removed by the next, what they were replacing is put back."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.writer import DatasetWriter

WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from pplkit.data.writer import DatasetWriter

kill_after, rename = int(sys.argv[2]), Path.rename
def renamed(self, target):
    global kill_after
    rename(self, target)
    kill_after -= 1
    if kill_after == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = renamed
with DatasetWriter(sys.argv[1], overwrite=True, name="toy", size=4) as writer:
    writer.add("train", np.full((3, 4, 4, 3), 9, np.uint8))
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(out: Path, kill_after: int = -1) -> Iterator[subprocess.Popen[str]]:
    """A process that has added rows; it ends its data set when told to, or dies after so many renames."""
    command = [sys.executable, "-c", WRITER, str(out), str(kill_after)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def write(out: Path, value: int, overwrite: bool = False) -> None:
    with DatasetWriter(out, overwrite=overwrite, name="toy", size=4) as writer:
        writer.add("train", np.full((2, 4, 4, 3), value, np.uint8))


def value(out: Path) -> int:
    return int(np.asarray(open_dataset(out)["train"].images).max())


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_a_killed_writer_left_is_removed_by_the_next_of_the_same_set(tmp_path: Path) -> None:
    for name in ("toy", "toy2"):
        with another_process(tmp_path / name) as process:
            process.kill()
            process.wait()
    assert len(names(tmp_path)) == 2
    write(tmp_path / "toy", 1)
    toy2, toy = names(tmp_path)
    assert toy == "toy" and toy2.startswith(".toy2.partial-") and value(tmp_path / "toy") == 1


def test_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    with another_process(out) as process:
        write(out, 1)
        assert value(out) == 1 and len(names(tmp_path)) == 2
        _, _ = process.communicate("end\n")
        assert process.returncode == 0
    assert value(out) == 9 and names(tmp_path) == ["toy"]


def test_a_data_set_is_put_back_if_its_replacement_was_killed(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    write(out, 1)
    with another_process(out, kill_after=1) as process:  # the old one is away, the new one not yet there
        process.communicate("end\n")
    assert not out.exists() and len(names(tmp_path)) == 1
    with pytest.raises(PplkitError, match="already holds a data set"):
        DatasetWriter(out, name="toy", size=4)
    assert value(out) == 1 and names(tmp_path) == ["toy"]


def test_a_replaced_data_set_is_not_put_back(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    write(out, 1)
    with another_process(out, kill_after=2) as process:  # both are in place, the old one is not yet removed
        process.communicate("end\n")
    assert value(out) == 9 and len(names(tmp_path)) == 2
    write(out, 3, overwrite=True)
    assert value(out) == 3 and names(tmp_path) == ["toy"]


def test_a_data_set_without_a_place_to_go_back_to_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    write(out, 1)
    with another_process(out, kill_after=1) as process:
        process.communicate("end\n")
    out.mkdir()
    (out / "notes.txt").write_text("in the way")
    with pytest.raises(PplkitError, match="is not a data set"):
        DatasetWriter(out, overwrite=True, name="toy", size=4)
    (out / "notes.txt").unlink()
    with pytest.raises(PplkitError, match="already holds"):
        DatasetWriter(out, name="toy", size=4)
    assert value(out) == 1 and names(tmp_path) == ["toy"]


def test_an_interrupt_between_both_moves_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "toy", 1)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> None:
        if self.name == "new":
            raise KeyboardInterrupt
        rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "toy", 2, overwrite=True)
    assert value(tmp_path / "toy") == 1 and names(tmp_path) == ["toy"]


def test_an_empty_folder_of_a_writer_killed_at_once_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".toy.partial-0123abcd").mkdir()
    (tmp_path / ".toy.partial-mine").mkdir()  # not called so by a writer
    write(tmp_path / "toy", 1)
    assert names(tmp_path) == [".toy.partial-mine", "toy"]
