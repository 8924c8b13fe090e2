"""The crop that a preparation chooses by itself, and what it does with images of small objects."""

from pathlib import Path

import numpy as np
import pytest
from moving import HEIGHT, WIDTH, BrightFinder, ground, photograph, standing, walk, with_squares
from PIL import Image
from sources import film

from data_prep import folder, video
from data_prep.common.object_crops import SHEET, evenly_chosen
from data_prep.registry import prepared
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.validation import faults
from pplkit.data.video_writer import write_video
from pplkit.models.layers import saliency
from pplkit.training.run_folder import RunFolder, crop_of
from pplkit.viz.images import object_crops


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliency, "Finder", BrightFinder)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    pytest.importorskip("av")
    frames, _ = standing(40)
    return write_video(tmp_path / "a.mp4", frames.repeat(2, axis=1).repeat(2, axis=2), 10)


def test_auto_takes_the_object_where_it_is_small_and_says_so(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    out = prepared("video-a", str(clip), 32)
    said = capsys.readouterr().err
    assert "crop=object: the object takes up 1." in said and "% of the frame, less than a quarter." in said
    data = open_dataset(out)
    assert data.options["crop"] == "object" and not faults(out) and (out / SHEET).exists()
    assert Image.open(out / SHEET).width > 300 and object_crops(data) is not None
    for options in ({}, {"crop": "auto"}, {"crop": "object"}, None):
        assert prepared("video-a", str(clip), 32, options) == out
    with pytest.raises(PplkitError, match="crop='object', not 'center'"):
        prepared("video-a", str(clip), 32, {"crop": "center"})


def test_auto_takes_the_center_where_the_object_fills_the_frame_or_frames_are_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    corners = walk(30, WIDTH, HEIGHT, 90)
    large = with_squares([ground(HEIGHT, WIDTH, contrast=20)] * 30, corners, 90).repeat(2, axis=1).repeat(2, axis=2)
    path = write_video(tmp_path / "large.mp4", large, 10)
    data = open_dataset(video.prepare(path, tmp_path / "one", 32))
    said = capsys.readouterr().err
    assert data.options["crop"] == "center" and "crop=center: the object takes up" in said and "at least" in said
    assert object_crops(data) is None and not (tmp_path / "one" / SHEET).exists()
    data = open_dataset(video.prepare(film(tmp_path / "small.mp4", 8), tmp_path / "two", 32))
    assert data.options["crop"] == "center"
    assert "crop=center: frames have fewer than 160 pixels a side." in capsys.readouterr().err


def test_photographs_are_cut_around_the_object_in_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lower right corner of the patch is labeled; one photograph has no patch."""
    rows = ["file,name,x,y,visible"]
    for k in range(20):
        photograph(tmp_path / "in" / f"{k:02}.png", k, bright=k != 7)
        x, y = np.random.default_rng(k).integers(0, (150, 118))
        rows.append(f"{k:02}.png,corner,{x + 47.5},{y + 39.5},1")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    labels, options = tmp_path / "labels.csv", {"duplicates": "ignore", "test_share": 0}
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 64, labels, **options))
    assert "crop=object: the object takes up 7.1% of the frame" in capsys.readouterr().err
    assert [name for name, _ in data.dropped] == ["07.png"] and (tmp_path / "out" / SHEET).exists()
    keypoints = data["train"].keypoints
    assert keypoints is not None and len(keypoints) == 19
    for image, (point,) in zip(np.asarray(data["train"].images), keypoints, strict=True):
        y, x = np.nonzero(image.mean(axis=-1) > 215)
        np.testing.assert_allclose((point + 1) / 2 * 63, [x.max() + 0.5, y.max() + 0.5], atol=1.0)
    with pytest.raises(PplkitError, match=r"more than 0 of 20 .*07\.png shows no object"):
        folder.prepare(tmp_path / "in", tmp_path / "none", 32, crop="object", duplicates="ignore", limit=0)


def test_the_crop_of_a_run_is_that_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        options: dict[str, object] = {}

    monkeypatch.setattr("pplkit.training.run_folder.data_of", lambda folder: Data)
    for given, expected in ((None, "center"), ("object", "object"), ("pad", "pad"), ("labels", "center")):
        Data.options = {} if given is None else {"crop": given}
        assert crop_of(RunFolder(tmp_path)) == expected
    Data.options = {"crop": [0, 0, 9, 9]}
    assert crop_of(RunFolder(tmp_path)) == "center"
    monkeypatch.undo()
    assert crop_of(RunFolder(tmp_path / "gone")) == "center"


def test_evenly_spread_items() -> None:
    assert (
        evenly_chosen([], 3) == []
        and evenly_chosen([1, 2], 3) == [1, 2]
        and evenly_chosen(list(range(9)), 3) == [0, 4, 8]
    )
