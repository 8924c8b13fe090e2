"""Poses over pictures, and videos of them, read back by PyAV."""

from pathlib import Path

import av
import numpy as np
import pytest

from pplkit.errors import PplkitError
from pplkit.overlay import draw, write_video

POINTS = np.array([[10.0, 20.0], [70.0, 20.0], [40.0, 50.0]])


def test_points_and_links_are_where_they_should_be() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    found = draw(image, POINTS, [(0, 1)], [1.0])
    assert not image.any()  # the picture itself stays
    for x, y in POINTS.astype(int):
        assert found[y, x].any()
    assert found[20, 40].tolist() == [0, 0x72, 0xB2]  # the middle of the link
    assert not found[35, 55].any() and not found[5].any()


def test_what_is_not_sure_is_left_out() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    found = draw(image, POINTS, [(0, 1), (1, 2)], confidence=np.array([0.9, 0.2, 0.9]), least=0.5)
    assert found[20, 10].any() and found[50, 40].any()
    assert not found[20, 70].any() and not found[20, 40].any()
    hidden = POINTS.copy()
    hidden[1] = np.nan
    np.testing.assert_array_equal(draw(image, hidden, [(0, 1), (1, 2)]), found)


def test_a_video_is_read_back(tmp_path: Path) -> None:
    levels = [20, 120, 220]
    frames = (np.full((33, 48, 3), level, np.uint8) for level in levels)  # 33 rows are odd: one is left out
    path = write_video(tmp_path / "film.mp4", frames, 12.5)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate)) == (48, 32, 12.5)
        found = [frame.to_ndarray(format="rgb24").mean() for frame in file.decode(stream)]
    np.testing.assert_allclose(found, levels, atol=4)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_nothing_is_left_of_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    def torn():  # type: ignore[no-untyped-def]
        yield np.zeros((32, 32, 3), np.uint8)
        raise PplkitError("the source is torn")

    with pytest.raises(PplkitError, match="torn"):
        write_video(tmp_path / "film.mp4", torn(), 10)
    with pytest.raises(PplkitError, match="there is no frame to write to .*film.mp4"):
        write_video(tmp_path / "film.mp4", [], 10)
    with pytest.raises(PplkitError, match="film.mp4 cannot be written"):
        write_video(tmp_path / "none" / "film.mp4", [np.zeros((32, 32, 3), np.uint8)], 10)
    assert list(tmp_path.iterdir()) == []
