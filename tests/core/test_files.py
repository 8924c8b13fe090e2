"""A file that is replaced is the new one or, whatever fails on the way, the old one, to the last byte."""

import errno
from pathlib import Path

import pytest
from faults import faulty

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_bytes, write_text


def test_a_file_is_whole_or_as_it_was_before(tmp_path: Path) -> None:
    path, called = tmp_path / "a.json", []
    for at in range(1, 100):
        path.write_bytes(b"old")
        with faulty(at, errno.ENOSPC) as fault:
            try:
                write_text(path, "new and longer")
                break
            except PplkitError as error:
                assert "a.json cannot be written" in str(error) and "make room there" in str(error)
        called.append(fault.called)
        renamed = "replace" in called[:-1]
        assert path.read_bytes() == (b"new and longer" if renamed else b"old")
        assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
    assert called[:4] == ["open", "write", "fsync", "replace"] and path.read_bytes() == b"new and longer"


def test_a_file_that_is_found_wrong_does_not_take_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def check(written: Path) -> None:
        assert written.read_bytes() == b"new" and path.read_bytes() == b"old"
        raise OSError(errno.EIO, "it is not what was written")

    with pytest.raises(PplkitError, match="a.bin cannot be written .it is not what was written"):
        write_bytes(path, b"new", check)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
