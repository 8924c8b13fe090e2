"""YouTube dogs: evenly spaced frames of each video of a folder."""

from pathlib import Path

import pytest
from sources import film, numbers

from data_prep.dogs import main, prepare
from pplkit.data.dataset import open_dataset


def test_evenly_spaced_frames_of_each_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1.mp4", "2.mkv", "3.mp4"):
        film(tmp_path / "in" / name, count=9)
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 32, frames=3, test_share=0.3))
    assert (data.name, data.protocol) == ("dogs", "pictures")
    assert data.options == {"frames": 3, "crop": "center", "test_share": 0.3}
    assert sum(map(len, data.splits.values())) == 9 and set(data.splits) == {"train", "test"}
    for split in data.splits.values():
        assert numbers(split)[:3] == [0, 4, 8]
    assert main([str(tmp_path / "in"), str(tmp_path / "full")]) == 0
    assert open_dataset(tmp_path / "full").size == 256 and "images of 256 pixels" in capsys.readouterr().out
