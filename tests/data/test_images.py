"""Picture files of every kind to upright RGB, trees of them, and files that are none."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.images import MAX_PIXELS, list_images, read_cutout, read_image


def test_colours_rows_and_columns_of_a_file(tmp_path: Path) -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[1, 6] = 255, 128, 3
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), pixels)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),  # what cannot be seen is white
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("LA", (9, 255), (9, 9, 9)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I", 257 * 50, (50, 50, 50)),
    ],
)
def test_every_mode_becomes_rgb(mode: str, pixel: object, expected: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode == "I" else "a.png")
    Image.new(mode, (3, 2), pixel).save(path)  # type: ignore[arg-type]
    actual = np.asarray(read_image(path))
    assert actual.shape == (2, 3, 3) and (actual == expected).all()


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"), [("RGBA", (9, 8, 7, 64), 64), ("LA", (9, 255), 255), ("RGB", (1, 2, 3), None)]
)
def test_how_opaque_a_picture_is(mode: str, pixel: tuple[int, ...], expected: int | None, tmp_path: Path) -> None:
    Image.new(mode, (3, 2), pixel).save(tmp_path / "a.png")
    image, opaque = read_cutout(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), np.asarray(read_image(tmp_path / "a.png")))
    if expected is None:
        assert opaque is None
    else:
        assert opaque is not None and opaque.mode == "L" and opaque.size == (3, 2)
        assert (np.asarray(opaque) == expected).all()


def test_what_is_opaque_turns_with_the_picture(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 1, 3] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    _, opaque = read_cutout(tmp_path / "a.png")
    assert np.asarray(opaque).tolist() == [[0], [255]]


def test_a_picture_of_too_many_pixels_is_not_opened(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "big.png")
    with pytest.raises(PplkitError, match=r"big\.png has 10001 x 10001 pixels, more than 100,000,000; make it smaller"):
        read_image(tmp_path / "big.png")
    header = (tmp_path / "big.png").read_bytes()
    (tmp_path / "bomb.png").write_bytes(header[:16] + (30_000).to_bytes(4, "big") * 2 + header[24:])
    with pytest.raises(PplkitError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_a_photo_lies_as_its_camera_was_held(tmp_path: Path) -> None:
    """Orientation 6 of a JPEG: what is stored has to be turned by 90 degrees clockwise to stand upright."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255  # left half white: upright, the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    result = np.asarray(read_image(tmp_path / "a.jpg"))
    assert result.shape == (32, 16, 3) and result[:12].mean() > 240 and result[20:].mean() < 15


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name in ("text.png", "empty.jpg", "cut.png"):
        with pytest.raises(PplkitError, match=f"{name} cannot be read as an image .*: get it again or leave it out"):
            read_image(tmp_path / name)
    with pytest.raises(PplkitError, match="none.png is missing: correct the path"):
        read_image(tmp_path / "none.png")


def test_a_tree_is_listed_once_even_in_a_circle(tmp_path: Path) -> None:
    deep = tmp_path / "a b" / "ü"
    deep.mkdir(parents=True)
    for path in (tmp_path / "2.JPG", deep / "1.png", tmp_path / "notes.txt", tmp_path / ".hidden.png"):
        path.touch()
    os.symlink(tmp_path, deep / "again")
    assert list_images(tmp_path) == [tmp_path / "2.JPG", deep / "1.png"]
    with pytest.raises(PplkitError, match="holds no image of a format"):
        list_images(empty(tmp_path))
    with pytest.raises(PplkitError, match="there is no folder .*gone; correct the path"):
        list_images(tmp_path / "gone")


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
