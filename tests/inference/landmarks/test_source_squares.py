"""Images to click on are as sharp as the files they came from, and never another part of these."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import film

import data_prep
from pplkit.data.crops import center, resized
from pplkit.data.dataset import open_dataset
from pplkit.inference.landmarks.source_squares import source_squares


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(("crop", "side"), [("center", 240), ("pad", 320)])
def test_squares_of_photographs_have_the_pixels_of_the_file(crop: str, side: int, photos: Path) -> None:
    data = open_dataset(data_prep.prepared("folder-a", str(photos), 32, {"crop": crop}))
    split = data["train"]
    squares = source_squares(data, split, range(len(split)))
    assert [square.shape for square in squares] == [(side, side, 3)] * len(split)
    if crop == "center":
        image = Image.open(photos / split.sources[0])
        np.testing.assert_array_equal(squares[0], resized(image, 240, center(320, 240)))
    for square, prepared in zip(squares, split.images, strict=True):
        assert np.abs(resized(Image.fromarray(square), 32).astype(int) - prepared).mean() < 4


def test_other_or_missing_files_give_the_prepared_image(photos: Path) -> None:
    data = open_dataset(data_prep.prepared("folder-a", str(photos), 32, {"crop": "center"}))
    split = data["train"]
    Image.new("RGB", (320, 240), "red").save(photos / split.sources[0])
    (photos / split.sources[1]).unlink()
    for square, prepared in zip(source_squares(data, split, [0, 1]), split.images, strict=False):
        np.testing.assert_array_equal(square, prepared)


def test_frames_of_videos_are_read_again(tmp_path: Path) -> None:
    film(tmp_path / "clips" / "a.mp4", 12)
    data = open_dataset(
        data_prep.prepared("video-a", str(tmp_path / "clips"), 16, {"crop": "center", "test_share": 0.5})
    )
    split = data["train"]
    squares = source_squares(data, split, [0, len(split) - 1])
    assert all(len(square) > 16 for square in squares)
    follows = replace(data, options={"crop": "object"})
    assert len(source_squares(follows, split, [0])[0]) == 16


def test_a_data_set_without_files_gives_its_images(puppets: object) -> None:
    from pplkit.data.dataset import Dataset

    assert isinstance(puppets, Dataset)
    np.testing.assert_array_equal(source_squares(puppets, puppets["train"], [3])[0], puppets["train"].images[3])
