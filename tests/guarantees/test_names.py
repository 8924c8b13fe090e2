"""Names of files that a terminal, a format or a file system can hardly hold cost no work."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import folder, video
from pplkit import cli
from pplkit.data.dataset import open_dataset
from pplkit.data.label_readers import read_labels
from pplkit.data.video_writer import write_video

LATIN = b"b\xe9.png".decode("utf8", "surrogateescape")  # 'bé.png' as old archives unpack it
NAMES = [LATIN, "new\nline.png", "größe 中.png", f"{'x' * 251}.png"]
SHOWN = ["b\N{REPLACEMENT CHARACTER}.png", *NAMES[1:]]
ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images with such names."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (40, 30), (60 * number, 90, 200)).save(tmp_path / "in" / "a.png")
        (tmp_path / "in" / "a.png").rename(tmp_path / "in" / name)
    return tmp_path / "in"


def test_a_terminal_of_ascii(images: Path, untrained_run: Path, tmp_path: Path) -> None:
    code = """if True:
        import sys
        from data_prep import folder
        from pplkit import cli
        run, images, out, *files = sys.argv[1:]
        assert [cli.main(["estimate", run, images, "--out", file]) for file in files] == [0, 0]
        open(images.encode() + b"/gr\\xc3\\xb6\\xc3\\x9fe.jpg", "wb").close()
        assert folder.main([images, out, "--size", "32", "--test-share", "0"]) == 0
    """
    outs = [tmp_path / f"pö.{ending}" for ending in ("csv", "json")]
    line = [sys.executable, "-c", code, untrained_run, images, tmp_path / "out", *outs]
    result = subprocess.run(line, env=ASCII, capture_output=True, encoding="ascii")
    assert result.returncode == 0 and result.stdout.count("The poses of 4 images are in") == 2
    assert "1 left out; the first: gr" in result.stdout
    with outs[0].open(encoding="utf8", newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {str(images / name) for name in SHOWN}
    rows = json.loads(outs[1].read_text())["images"]
    assert {row["file"] for row in rows} == {str(images / name) for name in NAMES}
    data = open_dataset(tmp_path / "out")
    assert set(data["train"].sources) == {name.replace("\n", " ") for name in SHOWN}
    assert [name for name, _ in data.dropped] == ["größe.jpg"]


FORMATS = [("coco", "json"), ("csv", "csv"), ("dlc", "csv"), ("dlc", "h5"), ("sleap", "slp")]


@pytest.mark.parametrize(("kind", "ending"), FORMATS)
def test_every_format_of_poses(kind: str, ending: str, images: Path, untrained_run: Path, tmp_path: Path) -> None:
    for package in {"h5": ("tables", "h5py"), "slp": ("sleap_io",)}.get(ending, ()):
        pytest.importorskip(package)
    out = tmp_path / f"{LATIN}.{ending}"
    line = ["export", str(untrained_run), "--images", str(images), "--format", kind, "--out", str(out)]
    assert cli.main([*line, "--crop", "pad"]) == 0
    assert {Path(name).name for name in read_labels(out).objects} == set(NAMES if kind == "coco" else SHOWN)


@pytest.mark.parametrize("name", [b"v\xe9", b"new\nline", b"x" * 240], ids=["latin", "newline", "long"])
def test_videos(name: bytes, untrained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"{name.decode('utf8', 'surrogateescape')}.mp4"
    write_video(tmp_path / "v.mp4", [np.full((30, 40, 3), 99, np.uint8)] * 4, 10)
    (tmp_path / "v.mp4").rename(path)
    line = ["track", str(untrained_run), str(path), "--out", str(tmp_path / "t.csv"), "--video"]
    assert cli.main([*line, str(tmp_path / "d.mp4"), "--quiet"]) == 0 and (tmp_path / "d.mp4").exists()
    for source in (path, path.parent):
        assert video.main([str(source), str(tmp_path / "out"), "--size", "32", "--overwrite", "--crop", "pad"]) == 0
        (first, *_) = open_dataset(tmp_path / "out")["train"].sources
        assert first.startswith(name.decode("utf8", "replace").replace("\n", " "))


def test_names_that_look_the_same_are_two_images(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate((b"b\xe9.png", b"b\xe8.png")):
        Image.new("RGB", (30, 30), (200 * number, 0, 0)).save(tmp_path / "in" / "a.png")
        (tmp_path / "in" / "a.png").rename(tmp_path / "in" / name.decode("utf8", "surrogateescape"))
    assert len(open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32))["train"]) == 2


def test_a_name_that_is_too_long_to_write_is_refused_before_any_work(
    untrained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / f"{'x' * 251}.csv")
    for line in (["estimate", "nowhere", "a.png"], ["track", "nowhere", "a.mp4"]):
        assert cli.main([*line, "--out", out]) == 2 and "File name too long" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
