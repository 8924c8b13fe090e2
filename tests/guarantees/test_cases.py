"""Files on which the kit or its neighbors once went wrong, and the right value of each (../shared/cases)."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SHARED
from PIL import Image

import pplkit
from data_prep import folder, video
from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.validation import summary
from pplkit.data.video import frames

CASES = SHARED / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")


@pytest.fixture
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the case whose number is in the test's name; commands start in it."""
    (path,) = CASES.glob(f"{request.function.__name__.split('_')[2]}-*")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def command(case: Path, untrained_run: Path) -> Callable[..., None]:
    """A command of `pplkit` with its RUN, which must succeed."""

    def call(name: str, *arguments: object) -> None:
        assert cli.main([name, str(untrained_run), *map(str, arguments)]) == 0

    return call


def prepared(module: Any, *arguments: object) -> Dataset:
    """The data set that `python -m data_prep.MODULE SOURCE OUT ... --size 32` makes."""
    assert module.main([*map(str, arguments), "--size", "32"]) == 0
    return open_dataset(str(arguments[1]))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence with which `data_prep.folder` refuses."""
    assert folder.main([*map(str, arguments), "--size", "32"]) == 2
    return capsys.readouterr().err


def poses_in(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8"))["images"]


def seconds(path: Path) -> list[float]:
    return [time for time, _ in frames(path, 0.0, None, None)]


def test_case_01_mirrored_videos_are_read_as_players_show_them(command: Callable[..., None], tmp_path: Path) -> None:
    names = ("plain", "mirror_h", "mirror_v", "mirror_t")
    plain, *mirrored = (
        np.stack([np.asarray(image, float) for _, image in frames(Path(f"{name}.mp4"), 0.0, None, None)])
        for name in names
    )
    assert [np.abs(pixels - plain).mean() < 3 for pixels in mirrored] == [True] * 3
    command("estimate", *(f"{name}.mp4" for name in names), "--crop", "pad", "--out", tmp_path / "p.json")
    points = np.array([row["keypoints"] for row in poses_in(tmp_path / "p.json")]).reshape(4, 48, -1, 2)
    assert np.linalg.norm(points[1:] - points[0], axis=-1).mean() < 0.3


def test_case_02_orientations_above_8_mean_nothing(command: Callable[..., None], tmp_path: Path) -> None:
    files = [f"o{number}.jpg" for number in (1, 9, 256, 65535)]
    command("estimate", *files, "--crop", "pad", "--out", tmp_path / "p.json")
    rows = [(row["width"], row["height"], row["keypoints"]) for row in poses_in(tmp_path / "p.json")]
    assert rows[0][:2] == (120, 90) and rows[1:] == rows[:1] * 3


def test_case_03_floats_are_not_black_and_12_bits_are_noticed(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 210 <= prepared(folder, "floats", tmp_path / "1")["train"].images[:].max() <= 220
    assert "nearly black" not in capsys.readouterr().err
    prepared(folder, "twelve", tmp_path / "2")
    assert "brightest value of all images is 13 of 255: they are nearly black" in capsys.readouterr().err


def test_case_04_ten_frames_of_a_raw_stream_and_of_its_copy(case: Path, tmp_path: Path) -> None:
    for name in ("h264.h264", "plain.mp4"):
        data = prepared(video, name, tmp_path / name, "--frames", "10")
        assert {split: len(images) for split, images in data.splits.items()} == {"train": 8, "test": 2}


def test_case_05_all_pages_of_image_files(command: Callable[..., None], tmp_path: Path) -> None:
    command("estimate", "stack.tif", "anim.webp", "anim.gif", "--out", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open() as file:
        rows = {(row["file"], row["frame"]) for row in csv.DictReader(file)}
    assert rows == {(name, str(n)) for name in ("stack.tif", "anim.webp", "anim.gif") for n in range(5)}
    command("track", "anim.gif", "--out", tmp_path / "t.csv")
    assert len({line.split(",")[0] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]}) == 5


@pytest.mark.parametrize(
    ("name", "last"), [("vfr.mp4", 2.35), ("vfr.mkv", 2.35), ("pause.mp4", 32.35), ("fps196263.mkv", 9.2)]
)
def test_case_06_drawn_videos_keep_the_clock(
    name: str, last: float, command: Callable[..., None], tmp_path: Path
) -> None:
    command("track", name, "--out", tmp_path / "t.csv", "--video", tmp_path / "drawn.mp4")
    times = seconds(tmp_path / "drawn.mp4")
    assert times == pytest.approx(seconds(Path(name)), abs=2e-3) and times[-1] == pytest.approx(last, abs=2e-3)


def test_case_08_a_row_for_every_frame_of_a_damaged_video(command: Callable[..., None], tmp_path: Path) -> None:
    command("export", "--images", "mj_mid.mov", "--format", "dlc", "--out", tmp_path / "d.csv")
    rows = [line.split(",") for line in (tmp_path / "d.csv").read_text().splitlines()[3:]]
    assert [row[0] for row in rows] == [str(number) for number in range(48)]
    assert [number for number, row in enumerate(rows) if not any(row[1:])] == [10, 11, 12, 13, 14]


def test_case_09_a_name_that_is_not_utf8(command: Callable[..., None], tmp_path: Path) -> None:
    jpeg = (CASES / "02-exif-orientation-out-of-range" / "o1.jpg").read_bytes()
    for name in (b"b\xe9.jpg", b"a.jpg"):
        (tmp_path / name.decode("utf8", "surrogateescape")).write_bytes(jpeg)
    command("estimate", tmp_path, "--out", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(encoding="utf8") as file:
        names = {Path(row["file"]).name for row in csv.DictReader(file)}
    assert names == {"a.jpg", "b\N{REPLACEMENT CHARACTER}.jpg"}


def test_case_12_floats_of_another_range_are_refused(untrained_run: Path, puppets: Dataset) -> None:
    model = pplkit.load(untrained_run)
    with Image.open(CASES / "02-exif-orientation-out-of-range" / "o1.jpg") as image:
        pixels = np.asarray(image.convert("RGB").resize((64, 64)))[None].transpose(0, 3, 1, 2)
    for images, extent in ((pixels / 255, "0 to"), (pixels.astype(np.float32), "0 to 2"), (pixels * np.nan, "nan to")):
        with pytest.raises(PplkitError, match=f"float images from {extent}"):
            model.estimate(images)
    good = model.estimate(pixels.transpose(0, 2, 3, 1)).keypoints
    torch.testing.assert_close(model.estimate(pixels / 127.5 - 1).keypoints, good, atol=1e-4, rtol=0)
    assert list(puppets) == ["train", "test"]


def test_case_13_labels_that_are_all_crowds(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refusal(capsys, "pics", tmp_path / "out", "--labels", "allcrowd.json")
    assert "all 12 annotations are crowds (iscrowd = 1)" in sentence and not (tmp_path / "out").exists()
    data = prepared(folder, "pics", tmp_path / "out", "--labels", "base.json")
    assert sum(int(np.isfinite(split.keypoints).all(-1).sum()) for split in data.splits.values()) == 36


@pytest.mark.parametrize(
    ("labels", "crop", "reason"),
    [
        ("lspath.json", "labels", r"labels 12 files such as 'images/23082be9-img00.png'.* 12 images, such as 'img00"),
        ("idstr.json", "labels", r"none of them belongs to .* image_id is such as '1000', the id .* such as 1000"),
        ("lspath.json", "auto", r"Label Studio and other tools put '23082be9-' before the name 'img00.png'"),
        ("case.csv", "auto", r"img00\.png differs from it in upper and lower case alone"),
    ],
)
def test_case_14_labels_that_name_no_image(
    labels: str, crop: str, reason: str, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refusal(capsys, "pics", tmp_path / "out", "--labels", labels, "--crop", crop)
    assert re.search(reason, sentence)


def test_case_14_composed_and_decomposed_names_are_the_same(case: Path, tmp_path: Path) -> None:
    train = prepared(folder, "nfd", tmp_path / "out", "--labels", "nfc.csv")["train"]
    assert train.visible is not None and train.visible.any(1).all() and len(train) == 6


@pytest.mark.parametrize("labels", ["bboxonly", "bboxonly_all", "emptyobject", "zerobbox"])
def test_case_15_boxes_alone_cost_no_labels(labels: str, case: Path, tmp_path: Path) -> None:
    data = prepared(folder, "pics", tmp_path / "out", "--labels", f"{labels}.json", "--crop", "pad")
    visible = sum(int(split.visible.sum()) for split in data.splits.values() if split.visible is not None)
    assert visible == 36 and not data.dropped


def test_case_18_images_of_phones_are_not_left_out_in_silence(
    command: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "2 files with other endings are left out of pics: 2 .heic (pip install pillow-heif, or save"
    data = prepared(folder, "pics", tmp_path / "out")
    assert sentence in capsys.readouterr().err and len(data["train"]) == 4
    assert [name for name, _ in data.dropped] == ["IMG_0001.HEIC", "IMG_0002.HEIC"]
    assert "left out: IMG_0001.HEIC" in "\n".join(summary(data))  # as notebooks 01 and 07, and `pplkit check` print it
    command("estimate", "pics", "--out", tmp_path / "p.json")
    assert sentence in capsys.readouterr().err and len(poses_in(tmp_path / "p.json")) == 4


def test_case_20_tables_of_pandas_and_excel(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(folder, "pics", tmp_path / "out", "--labels", "vis10.csv", "--crop", "pad")
    assert sum(int(split.visible.sum()) for split in data.splits.values() if split.visible is not None) == 36
    for labels in ("semi.csv", "semidec.csv"):
        assert "separated by semicolons: save it with commas" in refusal(
            capsys, "pics", tmp_path / "2", "--labels", labels
        )


def test_case_21_small_habits(case: Path, puppets: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert f"pplkit {pplkit.__version__}, torch {torch.__version__.split('+')[0]}" in capsys.readouterr().out
    assert cli.main([]) == 0 and "landmarks" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["trian"])
    assert "did you mean 'train'?" in capsys.readouterr().err


def test_case_21_a_backend_of_matplotlib_that_does_not_exist(case: Path, puppets: Dataset, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "pplkit", "check", str(puppets.path), "--sheet", str(tmp_path / "s.png")]
    result = subprocess.run(line, env={**os.environ, "MPLBACKEND": "nonsense"}, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("pplkit: MPLBACKEND=nonsense is no backend of matplotlib: unset it")
