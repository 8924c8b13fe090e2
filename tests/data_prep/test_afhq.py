"""AFHQ: classes and splits of both versions, one category, and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from sources import GREY, make_afhq

from data_prep.afhq import main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture(params=["val", "test"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_afhq(tmp_path / "afhq", request.param)


def test_each_image_has_the_class_of_its_folder(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=8))
    assert data.class_names == ["cat", "dog", "wild"] and (len(data["train"]), len(data["test"])) == (6, 3)
    for split in data.splits.values():
        assert split.classes is not None
        grey = [GREY[data.class_names[index]] for index in split.classes]
        assert np.asarray(split.images)[:, 4, 4, 1].tolist() == grey


def test_one_category(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), str(tmp_path / "out"), "--size", "8", "--category", "dog"]) == 0
    assert "2 train, 1 test images of 8 pixels" in capsys.readouterr().out
    data = open_dataset(tmp_path / "out")
    assert data.class_names == ["dog"] and data.options == {"category": "dog"}
    assert data["train"].sources == ["train/dog/0.png", "train/dog/1.png"]


def test_faults_are_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="category is 'fox'; choose one of cat, dog, wild"):
        prepare(source, tmp_path / "out", category="fox")
    (source / "train/wild").rename(source / "train/fox")
    with pytest.raises(PplkitError, match=r"there is no folder .*wild"):
        prepare(source, tmp_path / "out")
    (source / "train/dog/0.png").write_bytes(b"text")
    with pytest.raises(PplkitError, match=r"0\.png cannot be read as an image"):
        prepare(source, tmp_path / "out", category="dog", strict=True)
    assert not (tmp_path / "out").exists()
