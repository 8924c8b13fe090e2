"""Archives that cannot be unpacked leave the folder as it was; `test_hostile` has the ways out of the folder."""

import tarfile
from pathlib import Path

import pytest

from data_prep.common.archives import unpack
from pplkit.core.errors import PplkitError


def test_a_torn_archive_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(bytes(range(256)) * 100)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "new", "images/new")
    (tmp_path / "a.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:-200])
    (tmp_path / "out/images").mkdir(parents=True)
    (tmp_path / "out/images/old").touch()
    with pytest.raises(PplkitError, match=r"a.tgz cannot be unpacked \(.*\): download it again, or make room"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["images", "old"]
