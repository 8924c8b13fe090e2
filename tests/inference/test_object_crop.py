"""Objects in files: the same squares in preparation and in use, folders of frames, pictures, and what is said."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from moving import HEIGHT, SQUARE, WIDTH, check_around, ground, standing, walk, with_squares
from PIL import Image
from sources import film

from data_prep import folder, video
from data_prep.common.object_crops import SHEET, spread
from data_prep.registry import preparation
from pplkit.cli import commands
from pplkit.core.errors import PplkitError
from pplkit.data.crops import NoObject, from_crop, resized
from pplkit.data.dataset import open_dataset
from pplkit.data.reader import Seen, seen
from pplkit.data.validation import faults
from pplkit.data.video import readable
from pplkit.data.video_writer import write_video
from pplkit.experiments.project_runs import crop_of
from pplkit.inference.object_crop import Pictures, cropper, in_order, in_video
from pplkit.inference.object_search import find_boxes
from pplkit.models.layers import saliency
from pplkit.viz.prior import objects_found

LARGE = 2  # times the usual frames: a small square in frames that are large enough to be looked at


class Middle:
    """A network's finder in whose eyes the object is the brightest third of a picture; dark ones have none."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.taught = len(pictures)

    def blobs(self, picture: np.ndarray) -> np.ndarray:
        y, x = np.nonzero(picture.mean(axis=-1) > 200)
        if not len(x):
            return np.empty((0, 5))
        return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1, picture.shape[0]]]) / picture.shape[0]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliency, "Finder", Middle)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    frames, _ = standing(40)
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    return write_video(path, frames.repeat(LARGE, axis=1).repeat(LARGE, axis=2), 10)


def save(path: Path, frame: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path)
    return path


def photograph(path: Path, seed: int, bright: bool = True) -> Path:
    """200 x 160 pixels, with a bright patch of 48 x 40 somewhere."""
    frame = np.repeat(ground(160, 200, seed, 20).clip(0, 180).astype(np.uint8)[..., None], 3, axis=2)
    x, y = np.random.default_rng(seed).integers(0, (150, 118))
    if bright:
        frame[y : y + 40, x : x + 48] = 255
    return save(path, frame)


def test_boxes_of_a_file_are_those_of_its_frames(clip: Path) -> None:
    found = in_video(clip)
    read = [np.asarray(image) for _, image, _ in readable(clip)]
    np.testing.assert_allclose(found.boxes, find_boxes(read), atol=1e-9)
    check_around(found.boxes / LARGE, standing(40)[1])


def test_preparation_and_use_see_the_same_squares_and_places_come_back(clip: Path, tmp_path: Path) -> None:
    data = open_dataset(video.prepare(clip, tmp_path / "out", 64, crop="object", test_share=0, rate=5))
    used = list(seen([clip], 64, cropper("object")))
    assert data.options["crop"] == "object" and len(used) == 40 and len(data["train"]) == 20
    np.testing.assert_array_equal(np.asarray(data["train"].images), np.stack([one.square for one in used[::2]]))
    for one, (x, y) in zip(used, standing(40)[1], strict=True):
        bright = np.argwhere(one.square.mean(axis=-1) > 230)
        middle = from_crop((bright.mean(axis=0)[::-1] / 63 * 2 - 1), one.box, 64)
        np.testing.assert_allclose(middle, LARGE * (np.array([x, y]) + SQUARE / 2) - 0.5, atol=1.5)


def test_auto_takes_the_object_where_it_is_small_and_says_so(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    out = preparation("video-a", str(clip), 32)()
    said = capsys.readouterr().out
    assert "crop=object: the object takes up 1." in said and "% of the frame, less than a quarter." in said
    data = open_dataset(out)
    assert data.options["crop"] == "object" and not faults(out) and (out / SHEET).exists()
    assert Image.open(out / SHEET).width > 300 and objects_found(data) is not None
    for options in ({}, {"crop": "auto"}, {"crop": "object"}, None):
        assert preparation("video-a", str(clip), 32, options)() == out
    with pytest.raises(PplkitError, match="crop='object', not 'centre'"):
        preparation("video-a", str(clip), 32, {"crop": "centre"})


def test_auto_takes_the_centre_where_the_object_fills_the_frame_or_frames_are_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    corners = walk(30, WIDTH, HEIGHT, 90)
    large = with_squares([ground(HEIGHT, WIDTH, contrast=20)] * 30, corners, 90).repeat(2, axis=1).repeat(2, axis=2)
    path = write_video(tmp_path / "large.mp4", large, 10)
    data = open_dataset(video.prepare(path, tmp_path / "one", 32))
    said = capsys.readouterr().out
    assert data.options["crop"] == "centre" and "crop=centre: the object takes up" in said and "at least" in said
    assert objects_found(data) is None and not (tmp_path / "one" / SHEET).exists()
    data = open_dataset(video.prepare(film(tmp_path / "small.mp4", 8), tmp_path / "two", 32))
    assert data.options["crop"] == "centre"
    assert "crop=centre: frames have fewer than 160 pixels a side." in capsys.readouterr().out


def test_a_folder_of_frames_is_a_film_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    frames, corners = standing(24)
    files = [save(tmp_path / "in" / f"{k}.png", frame) for k, frame in enumerate(frames)]
    (tmp_path / "in" / "torn.png").write_bytes(b"torn")
    lone = photograph(tmp_path / "in" / "other.png", 3)
    assert in_order(sorted(files)) == files
    said: list[str] = []
    found = Pictures([*sorted(files), tmp_path / "in" / "torn.png", lone], say=said.append)
    check_around(np.array([found.of(file) for file in files]), corners)
    assert not said and found.share(files[0]) == pytest.approx(SQUARE**2 / (WIDTH * HEIGHT), rel=0.5)
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32, crop="object", videos="folder"))
    squares = {one.file.name: one.square for one in seen([*files, lone], 32, cropper("object"))}
    for split in data.splits.values():
        for source, image in zip(split.sources, np.asarray(split.images), strict=True):
            np.testing.assert_array_equal(image, squares[source])
    assert [name for name, _ in data.dropped] == ["torn.png"]


def test_photographs_are_cut_around_what_is_found_in_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [photograph(tmp_path / "in" / f"{k:02}.png", k, bright=k != 7) for k in range(20)]
    found = Pictures(files)
    with pytest.raises(NoObject, match=r"07\.png shows no object that differs from its surroundings: give crop=centre"):
        found.of(files[7])
    left, top, right, bottom = found.of(files[0])
    x, y = np.random.default_rng(0).integers(0, (150, 118))
    np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], [x + 24, y + 20], atol=1)
    assert right - left == pytest.approx(1.4 * 48, abs=1.5) == bottom - top
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32, duplicates="ignore"))
    assert "crop=object: the object takes up 7.1% of the frame" in capsys.readouterr().out
    assert [name for name, _ in data.dropped] == ["07.png"] and (tmp_path / "out" / SHEET).exists()
    with pytest.raises(PplkitError, match=r"more than 0 of 20 .*07\.png shows no object"):
        folder.prepare(tmp_path / "in", tmp_path / "none", 32, crop="object", duplicates="ignore", limit=0)


def test_in_use_a_picture_without_an_object_is_said_and_its_centre_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [photograph(tmp_path / f"{k}.png", k, bright=k != 1) for k in range(3)]
    used: list[Seen] = list(seen(files, 32, cropper("object")))
    said = capsys.readouterr().err
    assert said.startswith("pplkit: ") and said.count("\n") == 1
    assert "1.png shows no object" in said and said.endswith("its centre is taken\n")
    assert used[1].box == (20, 0, 180, 160) and used[0].box[2] - used[0].box[0] < 70
    expected = resized(Image.open(files[0]), 32, used[0].box)
    np.testing.assert_array_equal(used[0].square, expected)
    with pytest.raises(PplkitError, match=r"1\.png shows no object"):
        list(seen([files[1]], 32, cropper("object")))
    with pytest.raises(PplkitError, match="crop='all' is unknown: choose one of centre, pad, object"):
        list(seen(files, 32, "all"))


def test_labels_lie_where_they_did(tmp_path: Path) -> None:
    """The lower right corner of the patch is labelled."""
    rows = ["file,name,x,y,visible"]
    for k in range(6):
        photograph(tmp_path / "in" / f"{k}.png", k)
        x, y = np.random.default_rng(k).integers(0, (150, 118))
        rows.append(f"{k}.png,corner,{x + 47.5},{y + 39.5},1")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = open_dataset(
        folder.prepare(tmp_path / "in", tmp_path / "out", 64, tmp_path / "labels.csv", "object", test_share=0)
    )
    keypoints = data["train"].keypoints
    assert keypoints is not None and len(keypoints) == 6
    for image, (point,) in zip(np.asarray(data["train"].images), keypoints, strict=True):
        y, x = np.nonzero(image.mean(axis=-1) > 215)
        np.testing.assert_allclose((point + 1) / 2 * 63, [x.max() + 0.5, y.max() + 0.5], atol=1.0)


def test_the_crop_of_a_run_is_that_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        options: dict[str, object] = {}

    monkeypatch.setattr("pplkit.experiments.project_runs.data_of", lambda folder: Data)
    for given, expected in ((None, "centre"), ("object", "object"), ("pad", "pad"), ("labels", "centre")):
        Data.options = {} if given is None else {"crop": given}
        assert crop_of(tmp_path) == expected
    Data.options = {"crop": [0, 0, 9, 9]}
    assert crop_of(tmp_path) == "centre"
    monkeypatch.undo()
    assert crop_of(tmp_path / "gone") == "centre"


def test_evenly_spread_items() -> None:
    assert spread([], 3) == [] and spread([1, 2], 3) == [1, 2] and spread(list(range(9)), 3) == [0, 4, 8]


def test_a_command_takes_the_crop_that_is_named_or_that_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.experiments.project_runs.crop_of", lambda run: "object")
    assert commands._crop(Namespace(crop=None, run=Path("a"))) == "object"
    assert commands._crop(Namespace(crop="pad", run=Path("a"))) == "pad"
