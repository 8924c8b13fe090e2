"""Archives that would take memory or time without end; `test_hostile` has the ways out of the folder."""

import tarfile
from pathlib import Path

import pytest
from malformed_binary import head

from data_prep.common import archives
from data_prep.common.archives import unpack
from pplkit.core.errors import PplkitError


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_attributes_are_short(kind: bytes, tmp_path: Path) -> None:
    """They are read at once, and a few bytes of a compressed archive may say that there are gigabytes of them."""
    (tmp_path / "a.tar").write_bytes(head("a", archives.NAMES + 1, type=kind) + bytes(archives.NAMES + 2048))
    with pytest.raises(PplkitError, match="a.tar is refused, nothing was unpacked .it holds attributes of 1,048,577 b"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_holes_are_refused(tmp_path: Path) -> None:
    """Python's reader follows the list of them to its end, wherever that is: as GNU had it first, and in attributes."""
    attributes = b"".join(f"{len(line) + 4} {line}\n".encode() for line in ("GNU.sparse.major=1", "GNU.sparse.minor=0"))
    later = head("x", len(attributes), type=tarfile.XHDTYPE) + attributes.ljust(512, b"\0") + head("a", 2**20)
    for content in (head("a", 512, type=tarfile.GNUTYPE_SPARSE), later):
        (tmp_path / "a.tar").write_bytes(content + b"1" * 2**20)
        with pytest.raises(PplkitError, match="a.tar is refused, nothing was unpacked .it holds a file with holes"):
            unpack(tmp_path / "a.tar", tmp_path / "out")


def test_an_archive_is_no_longer_than_its_files_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "BYTES", 10_000)
    (tmp_path / "a.tar").write_bytes(head("a", 0) + bytes(20_000))
    with pytest.raises(PplkitError, match="a.tar is longer than 10,000 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
