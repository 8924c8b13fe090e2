"""Pictures and frames as a model sees them, made ahead by threads: order, bounds, faults, sizes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import FPS, film

from pplkit.core.errors import PplkitError
from pplkit.data.crops import resized
from pplkit.data.images import read_image
from pplkit.data.reader import count, files_of, is_video, made_ahead, seen, squared, taken_ahead


def picture(path: Path, width: int, height: int, seed: int = 0) -> Path:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def test_folders_give_their_pictures_and_videos_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        picture(tmp_path / "folder" / name, 20, 30)
    film(tmp_path / "folder" / "ab.mp4", 3)
    (tmp_path / "folder" / "notes.txt").write_text("")
    alone = picture(tmp_path / "z.png", 20, 30)
    found = files_of([alone, tmp_path / "folder"])
    assert [path.name for path in found] == ["z.png", "a.JPG", "ab.mp4", "b.png", "c.webp"]
    assert [is_video(path) for path in found] == [False, False, True, False, False]
    assert count(found) == 7
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert count([*found, tmp_path / "empty.mp4"]) is None
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PplkitError, match="nothing holds no picture or video of a format that Pillow or PyAV reads"):
        files_of([tmp_path / "nothing"])


def test_pictures_and_frames_come_in_order_with_their_squares(tmp_path: Path) -> None:
    first, video, last = (
        picture(tmp_path / "a.png", 60, 40),
        film(tmp_path / "b.mp4", 4),
        picture(tmp_path / "c.png", 40, 50),
    )
    found = list(seen([first, video, last], 32, "pad", ahead=2, whole=True))
    assert [(one.file.name, one.frame) for one in found] == [
        ("a.png", None), ("b.mp4", 0), ("b.mp4", 1), ("b.mp4", 2), ("b.mp4", 3), ("c.png", None),
    ]  # fmt: skip
    assert [one.seconds for one in found[1:5]] == pytest.approx([k / FPS for k in range(4)])
    for one in (found[0], found[5]):
        image = read_image(one.file)
        box, square = squared(image, 32, "pad")
        assert one.size == image.size and one.box == box
        np.testing.assert_array_equal(one.square, square)
        np.testing.assert_array_equal(one.image, np.asarray(image))
    assert found[0].box == (0, -10, 60, 50)
    grey = [round(float(one.square[16, 16].mean()) / 10) for one in found[1:5]]
    assert grey == [0, 1, 2, 3]  # the video counts in its middle


@pytest.mark.parametrize("crop", ["centre", "pad"])
def test_a_large_photograph_is_read_reduced_and_seen_as_it_is(tmp_path: Path, crop: str) -> None:
    """1003 x 702 pixels, turned by its EXIF: the JPEG is decoded at an eighth, the box is that of all pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((1003, 702), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    (small,) = seen([tmp_path / "a.jpg"], 32, crop)
    whole = read_image(tmp_path / "a.jpg")
    assert small.size == whole.size == (702, 1003)
    box, square = squared(whole, 32, crop)
    assert small.box == box == ((0, 150, 702, 852) if crop == "centre" else (-150, 0, 853, 1003))
    difference = np.abs(small.square.astype(int) - square.astype(int))
    assert difference.mean() < 1.5 and difference.max() < 12
    shifted = resized(whole, 32, (box[0] + 11, box[1], box[2] + 11, box[3]))  # half a pixel of the square
    assert np.abs(shifted.astype(int) - square.astype(int)).mean() > 2 * difference.mean()


def test_what_cannot_be_read_is_raised_in_its_turn(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{k}.png", 20, 30) for k in range(3)]
    files[1].write_bytes(b"torn")
    images = seen(files, 32)
    assert next(images).file == files[0]
    with pytest.raises(PplkitError, match="1.png cannot be read as a picture"):
        next(images)
    with pytest.raises(PplkitError, match="crop='left' is unknown: choose one of centre, pad"):
        next(seen(files, 32, "left"))


def counted(most: int, taken: list[int]) -> Iterator[int]:
    for number in range(most):
        taken.append(number)
        yield number


def test_only_so_many_are_made_ahead_and_in_order() -> None:
    """Of a thousand items, the first took longest; when one has been taken, no more than 1 + 5 + 1 were asked for."""
    taken: list[int] = []

    def make(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    made = made_ahead(counted(1000, taken), make, 5)
    assert next(made) == 0 and len(taken) <= 7
    assert [next(made) for _ in range(20)] == [number * number for number in range(1, 21)]
    assert len(taken) <= 27
    made.close()
    assert list(made_ahead(iter(range(3)), make, 5)) == [0, 1, 4] and list(made_ahead(iter(()), make, 5)) == []


def test_only_so_many_are_taken_ahead_by_another_thread() -> None:
    taken: list[int] = []
    items = taken_ahead(counted(1000, taken), 4)
    assert [next(items) for _ in range(10)] == list(range(10)) and len(taken) <= 14
    before = threading.active_count()
    items.close()
    assert threading.active_count() < before  # nothing goes on behind
    assert list(taken_ahead(iter(range(3)), 4)) == [0, 1, 2]


def test_a_fault_of_another_thread_is_raised_where_it_is_taken() -> None:
    def torn() -> Iterator[int]:
        yield 1
        raise PplkitError("the film is torn")

    items = taken_ahead(torn(), 4)
    assert next(items) == 1
    with pytest.raises(PplkitError, match="torn"):
        next(items)
