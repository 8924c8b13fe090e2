"""Horses: splits, the square in the middle, what is left out and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.horses import main, prepare
from pplkit.dataset import open_dataset
from pplkit.errors import PplkitError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three horses to train on, 12 x 8 with a red middle, two to test on, and a zebra."""
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[:, 2:10, 0] = 255
    for name in (
        "trainA/n1_1.jpg",
        "trainA/n1_2.jpg",
        "trainA/n1_3.jpg",
        "testA/n2_1.jpg",
        "testA/n2_2.jpg",
        "trainB/z.jpg",
    ):
        path = tmp_path / "horse2zebra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=100, subsampling=0)
    return tmp_path / "horse2zebra"


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
    with pytest.raises(PplkitError, match=r"n1_2\.jpg cannot be read as a picture"):
        prepare(source, tmp_path / "out2", size=8, strict=True)
    (source / "testA").rename(source / "other")
    with pytest.raises(PplkitError, match=r"there is no folder .*testA"):
        prepare(source, tmp_path / "out2", size=8)
    assert not (tmp_path / "out2").exists()
