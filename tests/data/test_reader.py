"""Pictures and frames as a model sees them, made ahead by threads: order, bounds, faults, sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import FPS, film

from pplkit.core.errors import PplkitError
from pplkit.data.crops import resized
from pplkit.data.images import read_image
from pplkit.data.reader import FrameSource, crop_square, is_video


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
    source = FrameSource([alone, tmp_path / "folder"], 32)
    assert [path.name for path in source.files] == ["z.png", "a.JPG", "ab.mp4", "b.png", "c.webp"]
    assert [is_video(path) for path in source.files] == [False, False, True, False, False]
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert len(source) == 7 and len(FrameSource([*source.files, tmp_path / "empty.mp4"], 32)) == 8
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PplkitError, match="nothing holds no image or video of a format that Pillow or PyAV reads"):
        FrameSource([tmp_path / "nothing"], 32)


def test_pictures_and_frames_come_in_order_with_their_squares(tmp_path: Path) -> None:
    first, video, last = (
        picture(tmp_path / "a.png", 60, 40),
        film(tmp_path / "b.mp4", 4),
        picture(tmp_path / "c.png", 40, 50),
    )
    result = list(FrameSource([first, video, last], 32, "pad", ahead=2, whole=True))
    assert [(one.file.name, one.number) for one in result] == [
        ("a.png", None), ("b.mp4", 0), ("b.mp4", 1), ("b.mp4", 2), ("b.mp4", 3), ("c.png", None),
    ]  # fmt: skip
    assert [one.seconds for one in result[1:5]] == pytest.approx([k / FPS for k in range(4)])
    for one in (result[0], result[5]):
        image = read_image(one.file)
        box, square = crop_square(image, 32, "pad")
        assert one.size == image.size and one.box == box
        np.testing.assert_array_equal(one.square, square)
        np.testing.assert_array_equal(one.image, np.asarray(image))
    assert result[0].box == (0, -10, 60, 50)
    grey = [round(float(one.square[16, 16].mean()) / 10) for one in result[1:5]]
    assert grey == [0, 1, 2, 3]  # the video counts in its middle


@pytest.mark.parametrize("crop", ["center", "pad"])
def test_a_large_photograph_is_read_reduced_and_seen_as_it_is(tmp_path: Path, crop: str) -> None:
    """1003 x 702 pixels, turned by its EXIF: the JPEG is decoded at an eighth, the box is that of all pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((1003, 702), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    (small,) = FrameSource([tmp_path / "a.jpg"], 32, crop)
    whole = read_image(tmp_path / "a.jpg")
    assert small.size == whole.size == (702, 1003)
    box, square = crop_square(whole, 32, crop)
    assert small.box == box == ((0, 150, 702, 852) if crop == "center" else (-150, 0, 853, 1003))
    difference = np.abs(small.square.astype(int) - square.astype(int))
    assert difference.mean() < 1.5 and difference.max() < 12
    shifted = resized(whole, 32, (box[0] + 11, box[1], box[2] + 11, box[3]))  # half a pixel of the square
    assert np.abs(shifted.astype(int) - square.astype(int)).mean() > 2 * difference.mean()


def test_what_cannot_be_read_is_raised_in_its_turn(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{k}.png", 20, 30) for k in range(3)]
    files[1].write_bytes(b"torn")
    images = iter(FrameSource(files, 32))
    assert next(images).file == files[0]
    with pytest.raises(PplkitError, match="1.png cannot be read as an image"):
        next(images)
    with pytest.raises(PplkitError, match="crop='left' is unknown: choose one of center, pad"):
        FrameSource(files, 32, "left")
    assert FrameSource(files, 32, "centre").crop == "center"  # as version 0.1.0 wrote it
