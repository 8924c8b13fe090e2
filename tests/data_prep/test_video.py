"""Your own videos: which frames are kept, when and how they are shown, splits, and what is cut short."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import FPS, film, numbers

from data_prep.video import main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.video import frames


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, list(range(20))),
        ({"rate": 5}, list(range(0, 20, 2))),
        ({"rate": 4}, [0, 3, 5, 8, 10, 13, 15, 18]),  # the first at or after 0, 0.25, 0.5, ... seconds
        ({"start": 0.7, "end": 1.2}, [7, 8, 9, 10, 11]),
        ({"start": 0.7, "rate": 5}, [7, 9, 11, 13, 15, 17, 19]),
        ({"frames": 3, "end": 1.1}, [0, 5, 10]),
        ({"rate": 100}, list(range(20))),
    ],
)
def test_rate_range_and_number_of_frames(
    suffix: str, options: dict[str, Any], expected: list[int], tmp_path: Path
) -> None:
    path = film(tmp_path / f"a{suffix}")
    data = open_dataset(prepare(path, tmp_path / "out", 32, test_share=0, **options))
    train = data["train"]
    assert numbers(train) == expected and train.videos is not None and set(train.videos) == {0}
    assert train.sources[1] == f"a{suffix} {expected[1] / FPS:.3f} s" and data.options["rate"] == options.get("rate")
    assert data.protocol == "pictures" and not data.dropped


@pytest.mark.parametrize(
    ("turn", "crop", "corner"),
    [
        (0, "0,0,32,32", (0, 0)),
        (0, (48, 0, 64, 16), None),  # nothing white there
        (90, "pad", (0, 1)),  # a quarter turn against the clock: left top goes to left bottom
        (-90, "pad", (1, 0)),
        (180, "pad", (1, 1)),
    ],
)
def test_frames_are_upright_and_cropped(turn: int, crop: Any, corner: tuple[int, int] | None, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=3, turn=turn)
    data = open_dataset(prepare(path, tmp_path / "out", 64, crop=crop, test_share=0))
    bright = np.asarray(data["train"].images)[0].mean(-1) > 128
    if corner is None:
        assert not bright.any()
        return
    y, x = (place.mean() / 64 for place in np.nonzero(bright))
    assert ((x > 0.5), (y > 0.5)) == (bool(corner[0]), bool(corner[1]))
    if turn == 0:  # 16 of 32 pixels
        assert bright[:30, :30].all() and not bright[34:].any() and not bright[:, 34:].any()
    if turn == 90:  # 48 x 64 as shown: filled up left and right by 8 of 64 pixels
        assert bright[50:, 2:22].all() and not bright[:46].any() and not bright[:, 26:].any()


def test_the_end_of_a_single_video_is_the_test(tmp_path: Path) -> None:
    data = open_dataset(prepare(film(tmp_path / "a.mp4"), tmp_path / "out", 32, test_share=0.25))
    assert numbers(data["train"]) == list(range(15)) and numbers(data["test"]) == list(range(15, 20))


def test_videos_go_to_one_split_as_a_whole(tmp_path: Path) -> None:
    for name in ("a.mp4", "b c/ü.mkv", "c.avi", "d.mp4", "e.mp4"):
        film(tmp_path / "in" / name, count=4)
    film(tmp_path / "in" / "one.mp4", count=1)
    (tmp_path / "in" / "notes.txt").write_text("no video")
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 32, test_share=0.4))
    films = {
        split: {source.rpartition(" ")[0].rpartition(" ")[0] for source in data[split].sources} for split in data.splits
    }
    assert films["train"] and films["test"] and not films["train"] & films["test"]
    assert films["train"] | films["test"] == {"a.mp4", "b c/ü.mkv", "c.avi", "d.mp4", "e.mp4"}
    for split in data.splits.values():
        assert split.videos is not None and len(set(split.videos)) * 4 == len(split)
        assert (np.diff(split.videos) >= 0).all() and numbers(split) == [0, 1, 2, 3] * (len(split) // 4)
    assert data.dropped[0][0] == "one.mp4" and "gives a single frame" in data.dropped[0][1]


def test_a_video_cut_short_gives_what_is_left(tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "a.mkv", count=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 32, test_share=0))
    assert 5 < len(data["train"]) < 55 and numbers(data["train"])[:5] == [0, 1, 2, 3, 4]
    assert len(data.dropped) == 1 and "a.mkv is " in data.dropped[0][1]
    with pytest.raises(PplkitError, match=r"a\.mkv is (cut short|damaged)"):
        prepare(tmp_path / "in", tmp_path / "new", 32, strict=True)
    assert not (tmp_path / "new").exists()


def test_a_damaged_middle_is_left_out_and_said(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=60)
    data = bytearray(path.read_bytes())
    place = data.index(b"mdat")
    middle = place + int.from_bytes(data[place - 4 : place], "big") // 2
    data[middle : middle + 100] = b"\xff" * 100
    path.write_bytes(data)
    kept, message = [], ""
    try:
        for time, _ in frames(path, 0.0, None, None, 1):
            kept.append(time)
    except PplkitError as error:
        message = str(error)
    assert len(kept) > 20 and kept == sorted(kept)
    assert "damaged" in message or len(kept) == 60  # some decoders mend what they can


@pytest.mark.parametrize("content", [b"", b"text", bytes(5000)])
def test_what_is_no_video_is_left_out(content: bytes, tmp_path: Path) -> None:
    film(tmp_path / "in" / "a.mp4", count=4)
    (tmp_path / "in" / "b.mp4").write_bytes(content)
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 32, test_share=0))
    assert len(data["train"]) == 4 and "b.mp4 cannot be read as a video" in data.dropped[0][1]
    assert "\n" not in data.dropped[0][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "rate is 0; give the frames"),
        ({"frames": 1}, "frames is 1; give the frames"),
        ({"start": 2, "end": 1}, "start is 2 and end 1; give seconds"),
        ({"crop": "1,2,3"}, "crop is '1,2,3'; choose center, pad, object, auto or left"),
        ({"crop": (0, 0, 99, 9)}, r"crop is \(0, 0, 99, 9\) and the frame 64 x 48 pixels; choose a box inside"),
        ({"test_share": 2}, "test_share is 2"),
        ({"start": 9}, r"a\.mp4 gives no frame there"),
        ({"start": 9, "frames": 3}, r"a\.mp4 gives no frame there"),
    ],
)
def test_a_wrong_option_leaves_nothing(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(film(tmp_path / "a.mp4", 4), tmp_path / "out", 32, **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "a.mp4")
    arguments = [str(tmp_path / "a.mp4"), str(tmp_path / "out"), "--rate", "5", "--crop", "0,0,32,32", "--size", "32"]
    assert main(arguments) == 0 and "8 train, 2 test images of 32 pixels" in capsys.readouterr().out
    assert main([str(tmp_path / "gone"), str(tmp_path / "x")]) == 2 and "no folder" in capsys.readouterr().err


def test_frames_are_as_wide_as_they_are_to_be_shown(tmp_path: Path) -> None:
    """Pixels twice as wide as high, as a film of YUV says in its head."""
    head = b"YUV4MPEG2 W64 H48 F10:1 Ip A2:1 C420jpeg\n"
    (tmp_path / "a.y4m").write_bytes(head + (b"FRAME\n" + bytes(64 * 72)) * 3)
    assert [image.size for _, image in frames(tmp_path / "a.y4m", 0.0, None, None, threads=1)] == [(128, 48)] * 3
