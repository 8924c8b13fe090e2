"""Crops of pictures and of their points, by hand."""

import numpy as np
import pytest
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data import crops
from pplkit.data.crops import around, center, from_crop, resized, to_crop, whole


def test_a_box_beyond_the_border_repeats_the_outermost_pixels() -> None:
    picture = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(2, 4, 3)
    square = resized(Image.fromarray(picture), 4, whole(4, 2))
    np.testing.assert_array_equal(square, picture[[0, 0, 1, 1]])
    turned = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 0, 2)))
    np.testing.assert_array_equal(resized(turned, 4, whole(2, 4)), square.transpose(1, 0, 2))
    beyond = resized(Image.fromarray(picture), 2, (3, -1, 5, 1))  # the last column twice, the first row twice
    np.testing.assert_array_equal(beyond, picture[[0, 0]][:, [3, 3]])


def test_squares_by_hand() -> None:
    assert center(7, 4) == (1, 0, 5, 4) and center(3, 6) == (0, 1, 3, 4)
    assert whole(7, 4) == (0, -1, 7, 6) and whole(3, 6) == (-1, 0, 5, 6)
    # Pixel centres 2 and 6: the middle is 4, in pixel edges 4.5; half of the extent is 2, a margin of 0.25 adds 1.
    assert around(np.array([[2.0, 6], [6, 6], [np.nan, 0]]), 0.25) == (1.5, 3.5, 7.5, 9.5)


def test_points_go_with_the_crop() -> None:
    """The first and last pixel of a crop from 2 to 10 at half its size: their centres lie between two old ones."""
    result = to_crop(np.array([[2.5, 8.5], [np.nan, 0]]), (2, 2, 10, 10), 4)
    np.testing.assert_allclose(result[0], [-1, 1])
    assert np.isnan(result[1, 0])
    np.testing.assert_allclose(from_crop(result[0], (2, 2, 10, 10), 4), [2.5, 8.5])


def test_an_image_that_would_take_gigabytes_with_its_border_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long and thin, all of it: the same as with a border, but for the rounding of one more resizing."""
    picture = Image.fromarray(np.linspace(0, 255, 640).astype(np.uint8)[None].repeat(64, 0))
    plain = resized(picture, 16, whole(640, 64))
    monkeypatch.setattr(crops, "MAX_PIXELS", 320 * 320)
    assert np.abs(resized(picture, 16, whole(640, 64)).astype(int) - plain).max() <= 2
    assert resized(Image.new("RGB", (10**5, 30)), 16, whole(10**5, 30)).shape == (16, 16, 3)


@pytest.mark.parametrize("box", [(0, 0, 1e300, 1e300), (0, 0, np.nan, 1), (3, 0, 3, 1), (0, 0, np.inf, 1)])
def test_a_box_that_is_none_is_refused(box: crops.Box) -> None:
    with pytest.raises(PplkitError, match="to cut out is .*: correct the box"):
        resized(Image.new("RGB", (4, 4)), 4, box)
