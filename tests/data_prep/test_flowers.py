"""Flowers-102: which split trains, classes, faults of the MATLAB files, and the download without a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import FLOWERS, make_flowers, write_sets

from data_prep.flowers import PAGE, SUMS, main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_flowers(tmp_path / "raw")


def test_the_official_test_split_trains(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=8))
    for split, key in (("train", "tstid"), ("val", "valid"), ("test", "trnid")):
        assert data[split].sources == [f"image_{number:05d}.jpg" for number in FLOWERS[key]]
        grey = np.asarray(data[split].images)[:, 4, 4, 0].astype(int)
        assert np.abs(grey - 20 * np.array(FLOWERS[key])).max() <= 1
    classes = {name: None if split.classes is None else split.classes.tolist() for name, split in data.splits.items()}
    assert classes == {"train": [2, 0, 1], "val": [1], "test": [0, 2]}
    assert len(data.class_names) == 3 and data.protocol == "pictures"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: (s / "setid.mat").unlink(), r"setid\.mat is missing; download it again"),
        (lambda s: (s / "imagelabels.mat").write_bytes(b"text"), r"imagelabels\.mat cannot be read"),
        (lambda s: write_sets(s, trnid=[1], valid=[2]), r"setid\.mat has no variable 'tstid'"),
        (lambda s: write_sets(s, trnid=[1], valid=[2], tstid=[7]), r"imagelabels\.mat has no label of image 7"),
        (
            lambda s: write_sets(s, trnid=[1], valid=[2], tstid=[0]),
            r"setid\.mat holds no whole numbers from 1",
        ),
        (lambda s: (s / "jpg/image_00003.jpg").unlink(), r"image_00003\.jpg is missing"),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(source)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(source, tmp_path / "out", size=8, strict=True)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_what_is_missing_is_fetched_with_its_sum(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[tuple[str, str, str]] = []
    fetch = "torchvision.datasets.utils.download_url"
    monkeypatch.setattr(fetch, lambda url, root, md5: fetched.append((url, root, md5)))
    assert main([str(source), str(tmp_path / "out"), "--size", "8", "--download"]) == 0
    assert fetched == [(PAGE + name, str(source), SUMS[name]) for name in ("setid.mat", "imagelabels.mat")]

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("File not found or corrupted.")

    (source / "jpg").rename(source / "old")
    monkeypatch.setattr(fetch, fail)
    assert main([str(source), str(tmp_path / "out2"), "--size", "8", "--download"]) == 2
    assert "could not be filled from https://www.robots.ox.ac.uk" in capsys.readouterr().err
