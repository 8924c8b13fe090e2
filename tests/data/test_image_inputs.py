"""Images in every form that people have them in: the same square of them is seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sources import film

from pplkit.core.errors import PplkitError
from pplkit.data.crops import Box
from pplkit.data.image_inputs import batch_frames, frames_of, is_batch, is_single


def pixels(seed: int = 0, height: int = 30, width: int = 44) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_float(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(image, -1, 0).astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("crop", ["center", "pad"])
def test_files_pil_images_and_arrays_give_the_same_square(crop: str, tmp_path: Path) -> None:
    image, file = pixels(), tmp_path / "a.png"
    Image.fromarray(image).save(file)
    forms: list[Any] = [file, str(file), Image.open(file), image, torch.from_numpy(image), as_float(image), image[None]]
    (expected,) = frames_of(file, 16, crop)
    for form in [*forms, [image], tmp_path]:
        (frame,) = frames_of(form, 16, crop)
        assert frame.size == (44, 30) and frame.box == expected.box
        np.testing.assert_array_equal(frame.square, expected.square)


def test_lists_keep_their_order_and_names(tmp_path: Path) -> None:
    Image.fromarray(pixels(1)).save(tmp_path / "a.png")
    film(tmp_path / "b.mp4", count=3)
    items = [pixels(2), tmp_path / "a.png", tmp_path / "b.mp4", Image.open(tmp_path / "a.png")]
    frames = list(frames_of(items, 16, "center"))
    assert [frame.file.name for frame in frames] == ["image-00000", "a.png", *["b.mp4"] * 3, "a.png"]
    assert [frame.number for frame in frames] == [None, None, 0, 1, 2, None]
    np.testing.assert_array_equal(frames[1].square, frames[-1].square)


def test_what_finds_objects_is_shown_the_pixels() -> None:
    class Corner:
        def video(self, path: Path) -> Any:
            raise AssertionError

        def pictures(self, files: Any, say: Any) -> Any:
            def box(file: Path) -> Box:
                np.testing.assert_array_equal(np.asarray(Image.open(file)), pixels())
                return (2, 3, 18, 19)

            return box

    (frame,) = frames_of(pixels(), 16, Corner())
    np.testing.assert_array_equal(frame.square, pixels()[3:19, 2:18])


def test_a_rotated_pil_image_is_turned_as_its_file_would_be(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels()).save(tmp_path / "a.png", exif=exif)
    (file,), (image,) = (
        frames_of(tmp_path / "a.png", 16, "center"),
        frames_of(Image.open(tmp_path / "a.png"), 16, "center"),
    )
    assert file.size == image.size == (30, 44)
    np.testing.assert_array_equal(file.square, image.square)


def test_which_inputs_are_one_image_and_which_a_batch(tmp_path: Path) -> None:
    film(tmp_path / "b.mp4", count=2)
    assert all(map(is_single, ["a.png", Image.new("L", (4, 4)), pixels(), torch.zeros(3, 4, 4)]))
    assert not any(map(is_single, [tmp_path, tmp_path / "b.mp4", [pixels()], pixels()[None]]))
    assert is_batch(pixels()[None]) and not is_batch(pixels()) and not is_batch([pixels()])


def test_a_batch_is_seen_whole() -> None:
    for batch in (pixels()[None], torch.from_numpy(as_float(pixels())[None])):
        (frame,) = batch_frames(batch)
        assert frame.size == (44, 30) and frame.box == (0, 0, 44, 30) and not frame.square.size


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels()[..., :2], r"shape \(30, 44, 2\)"),
        ((as_float(pixels()) + 1) / 2, "float images from 0 to"),
        ([7], "an image of type int cannot be read"),
        ("nowhere.png", "nowhere.png is missing"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        list(frames_of(images, 16, "center"))
