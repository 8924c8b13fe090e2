"""Videos written frame by frame, read back by PyAV."""

from pathlib import Path

import av
import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.video_writer import write_video


def test_a_video_is_read_back(tmp_path: Path) -> None:
    levels = [20, 120, 220]
    frames = (np.full((33, 48, 3), level, np.uint8) for level in levels)  # 33 rows are odd: one is left out
    path = write_video(tmp_path / "film.mp4", frames, 12.5)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate)) == (48, 32, 12.5)
        results = [frame.to_ndarray(format="rgb24").mean() for frame in file.decode(stream)]
    np.testing.assert_allclose(results, levels, atol=4)
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
