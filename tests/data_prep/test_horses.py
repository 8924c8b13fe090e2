"""Horses: splits, the square in the middle, what is left out and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from sources import make_horses

from data_prep.horses import main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_horses(tmp_path / "horse2zebra")


def test_horses_alone_are_written(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=8))
    assert data["train"].sources == ["trainA/n1_1.jpg", "trainA/n1_2.jpg", "trainA/n1_3.jpg"]
    assert data["test"].sources == ["testA/n2_1.jpg", "testA/n2_2.jpg"]
    assert (data.protocol, data["train"].keypoints, data.name) == ("pictures", None, "horses")
    images = np.asarray(data["train"].images)
    assert images[..., 0].min() > 240 and images[..., 1].max() < 15  # the black sides are cut away


def test_torn_pictures_are_left_out_and_missing_folders_named(source: Path, tmp_path: Path) -> None:
    (source / "trainA/n1_2.jpg").write_bytes(b"text")
    assert main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    data = open_dataset(tmp_path / "out")
    assert len(data["train"]) == 2 and [name for name, _ in data.dropped] == ["trainA/n1_2.jpg"]
    with pytest.raises(PplkitError, match=r"n1_2\.jpg cannot be read as an image"):
        prepare(source, tmp_path / "out2", size=8, strict=True)
    (source / "testA").rename(source / "other")
    with pytest.raises(PplkitError, match=r"there is no folder .*testA"):
        prepare(source, tmp_path / "out2", size=8)
    assert not (tmp_path / "out2").exists()
