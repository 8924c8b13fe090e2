"""A file that is replaced is the new one or, whatever fails on the way, the old one; text and JSON have limits."""

import errno
import json
import os
from pathlib import Path

import pytest
from faults import faulty

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import append_line, atomic_path, read_json, read_text, remove, same_file, write_bytes, write_text


def test_a_file_is_whole_or_as_it_was_before(tmp_path: Path) -> None:
    path, called = tmp_path / "a.json", []
    for at in range(1, 100):
        path.write_bytes(b"old")
        with faulty(at, errno.ENOSPC) as fault:
            try:
                write_text(path, "new and longer")
                break
            except PplkitError as error:
                assert "a.json cannot be written (No space left on device): make room there" in str(error)
        called.append(fault.called)
        renamed = "replace" in called[:-1]
        assert path.read_bytes() == (b"new and longer" if renamed else b"old")
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert called[:5] == ["open", "write", "open", "fsync", "replace"] and path.read_bytes() == b"new and longer"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EROFS, "give the right to write there"),
        (errno.ESTALE, "see that its folder and drive are there"),
    ],
)
def test_an_error_of_the_system_comes_with_a_remedy(error: int, remedy: str, tmp_path: Path) -> None:
    with faulty(1, error), pytest.raises(PplkitError) as caught:
        append_line(tmp_path / "log", "a")
    assert str(caught.value) == f"{tmp_path}/log cannot be written ({os.strerror(error)}): {remedy}."


def test_a_file_that_fails_its_check_does_not_take_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def check(written: Path) -> None:
        assert written.read_bytes() == b"new" and path.read_bytes() == b"old"
        raise OSError(errno.EIO, "it is not what was written")

    with pytest.raises(PplkitError, match="a.bin cannot be written .it is not what was written"):
        write_bytes(path, b"new", check)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def write(fail: bool) -> None:
        with atomic_path(tmp_path / "a") as partial:
            partial.mkdir()
            (partial / "b").write_text("b")
            if fail:
                raise KeyboardInterrupt

    (tmp_path / "a.partial").mkdir()  # left by a killed process
    with pytest.raises(KeyboardInterrupt):
        write(True)
    assert list(tmp_path.iterdir()) == []
    write(False)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["a", "a/b"]


def test_lines_are_added_and_files_removed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, "ä")
    append_line(path, "b")
    assert path.read_text(encoding="utf8") == "ä\nb\n"
    (tmp_path / "link").symlink_to(path)
    assert same_file(path, tmp_path / "link") and not same_file(path, tmp_path / "none")
    remove(path, tmp_path / "none")
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.json is not valid JSON .Expecting value.*: mend it"),
        (b'{"a": [1', "a.json is not valid JSON"),
        (b"[" * 100_000, "a.json is not valid JSON .it is nested too deeply"),
        (b"[1]", "a.json does not hold a JSON object: mend it"),
        (b"\xff\xfe{", "a.json is not text in UTF-8 .*: mend it"),
        (b" " * 100_001, "a.json is longer than 100,000 bytes: mend it"),
    ],
)
def test_what_is_not_json_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(PplkitError, match=said):
        read_json(tmp_path / "a.json", "mend it", 100_000)


def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa,\xc3\xa4")
    assert read_text(tmp_path / "a.txt", "mend it", 7) == "a,ä"
    (tmp_path / "a.json").write_text(json.dumps({"a": [1, "b"]}))
    assert read_json(tmp_path / "a.json", "mend it") == {"a": [1, "b"]}


def test_what_is_not_a_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # which would keep a reader waiting
    for path, said in (
        (tmp_path, "is not a file"),
        (tmp_path / "pipe", "is not a file"),
        (tmp_path / "b", "not exist"),
    ):
        with pytest.raises(PplkitError, match=f"{path} .*{said}: mend it"):
            read_text(path, "mend it")


def test_the_reason_of_an_error_is_one_line() -> None:
    assert reason(OSError(errno.ENOENT, "No such file", "a.txt")) == "No such file"
    assert reason(ValueError("\n  first\nsecond")) == "first" and reason(ValueError()) == "ValueError"
