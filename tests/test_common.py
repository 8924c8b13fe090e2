"""Pictures of every kind to RGB squares: modes, EXIF, crops beyond the border, trees of files; all by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.common import PIXELS, around, centre, pictures, read_image, resized, to_crop, whole
from pplkit.errors import PplkitError


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
    found = np.asarray(read_image(path))
    assert found.shape == (2, 3, 3) and (found == expected).all()


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_exif_turns_the_picture(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), "black")
    image.putpixel((1, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: a quarter turn clockwise
    image.save(tmp_path / "a.png", exif=exif)
    found = np.asarray(read_image(tmp_path / "a.png"))
    assert found.shape == (2, 1, 3) and found[:, 0, 0].tolist() == [0, 255]


def test_a_picture_of_too_many_pixels_is_not_opened(tmp_path: Path) -> None:
    side = int(PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "big.png")
    with pytest.raises(PplkitError, match=r"big\.png has 10001 x 10001 pixels, more than 100,000,000; make it smaller"):
        read_image(tmp_path / "big.png")
    header = (tmp_path / "big.png").read_bytes()
    (tmp_path / "bomb.png").write_bytes(header[:16] + (30_000).to_bytes(4, "big") * 2 + header[24:])
    with pytest.raises(PplkitError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_a_box_beyond_the_border_repeats_the_outermost_pixels() -> None:
    picture = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(2, 4, 3)
    square = resized(Image.fromarray(picture), 4, whole(4, 2))
    np.testing.assert_array_equal(square, picture[[0, 0, 1, 1]])
    turned = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 0, 2)))
    np.testing.assert_array_equal(resized(turned, 4, whole(2, 4)), square.transpose(1, 0, 2))
    beyond = resized(Image.fromarray(picture), 2, (3, -1, 5, 1))  # the last column twice, the first row twice
    np.testing.assert_array_equal(beyond, picture[[0, 0]][:, [3, 3]])


def test_squares_by_hand() -> None:
    assert centre(7, 4) == (1, 0, 5, 4) and centre(3, 6) == (0, 1, 3, 4)
    assert whole(7, 4) == (0, -1, 7, 6) and whole(3, 6) == (-1, 0, 5, 6)
    # Pixel centres 2 and 6: the middle is 4, in pixel edges 4.5; half of the extent is 2, a margin of 0.25 adds 1.
    assert around(np.array([[2.0, 6], [6, 6], [np.nan, 0]]), 0.25) == (1.5, 3.5, 7.5, 9.5)


def test_points_go_with_the_crop() -> None:
    """The first and last pixel of a crop from 2 to 10 at half its size: their centres lie between two old ones."""
    found = to_crop(np.array([[2.5, 8.5], [np.nan, 0]]), (2, 2, 10, 10), 4)
    np.testing.assert_allclose(found[0], [-1, 1])
    assert np.isnan(found[1, 0])


def test_a_tree_is_listed_once_even_in_a_circle(tmp_path: Path) -> None:
    deep = tmp_path / "a b" / "ü"
    deep.mkdir(parents=True)
    for path in (tmp_path / "2.JPG", deep / "1.png", tmp_path / "notes.txt", tmp_path / ".hidden.png"):
        path.touch()
    os.symlink(tmp_path, deep / "again")
    assert pictures(tmp_path) == [tmp_path / "2.JPG", deep / "1.png"]
    with pytest.raises(PplkitError, match="holds no picture of a format"):
        pictures(empty(tmp_path))
    with pytest.raises(PplkitError, match="there is no folder .*gone; correct the path"):
        pictures(tmp_path / "gone")


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
