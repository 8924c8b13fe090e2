"""`pplkit check`: all faults at once, and what is odd about a data set without being one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pplkit.cli.main import main
from pplkit.data.dataset import open_dataset
from pplkit.data.validation import faults, summary
from pplkit.data.writer import DatasetWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images of noise in shards of four, one of them twice and one plain; three videos, the last of one frame."""
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    images[7], images[8] = images[2], 9
    points = np.zeros((10, 2, 2), np.float32)
    points[1, 0], points[4, 1] = np.nan, (1.5, 0)
    options: dict[str, Any] = {"keypoint_names": ["a", "b"], "class_names": ["cat", "dog"], "licence": "MIT"}
    with DatasetWriter(tmp_path / "toy", name="toy", size=8, shard_bytes=4 * 192, **options) as writer:
        videos, classes = np.array([0] * 5 + [1] * 4 + [2]), np.array([0] * 7 + [1] * 3)
        writer.add("train", images, keypoints=points, videos=videos, classes=classes)
        writer.drop("11.png", "it is torn")
    return tmp_path / "toy"


def test_a_good_data_set_has_no_faults_and_says_what_it_holds(folder: Path) -> None:
    assert faults(folder) == []
    text = "\n".join(summary(open_dataset(folder)))
    for line in (
        "toy: 8 x 8 pixels, protocol pictures",
        "train: 10 images, 3 videos, 19 of 20 keypoints labelled",
        "classes: cat 7, dog 3",
        "  1 images are of one color",
        "  1 images equal another one",
        "  1 videos have a single frame",
        "  1 keypoints lie outside",
        "left out: 11.png: it is torn",
    ):
        assert line in text


def test_every_fault_is_named(folder: Path) -> None:
    (folder / "train/images-00001.npy").unlink()
    changed = bytearray((folder / "train/images-00002.npy").read_bytes())
    changed[-1] ^= 1
    (folder / "train/images-00002.npy").write_bytes(changed)
    np.save(folder / "train/videos.npy", np.zeros(9, np.int32))
    (folder / "train/sources.txt").write_text("one\n")
    result = faults(folder)
    assert len(result) == 4 and not any("\n" in fault for fault in result)
    for part in ("images-00001.npy is missing", "images-00002.npy has changed", "videos.npy must be", "has 1 line"):
        assert sum(part in fault for fault in result) == 1, part


def test_a_lost_shard_is_counted(folder: Path) -> None:
    content = json.loads((folder / "dataset.json").read_text())
    del content["sha256"]["train/images-00002.npy"]
    (folder / "dataset.json").write_text(json.dumps(content))
    (fault,) = faults(folder)
    assert "images*.npy have 8 rows, dataset.json counts 10" in fault


@pytest.mark.parametrize("name", ["notes.npy", "train/../train/videos.npy", "/train/videos.npy", "../toy/videos.npy"])
def test_a_name_that_is_no_array_of_a_split(folder: Path, name: str) -> None:
    content = json.loads((folder / "dataset.json").read_text())
    content["sha256"][name] = ""
    (folder / "dataset.json").write_text(json.dumps(content))
    (fault,) = faults(folder)
    assert f"names '{name}', which is not an array of a split" in fault


def test_a_file_that_is_no_description(folder: Path) -> None:
    (folder / "dataset.json").write_text("{")
    (fault,) = faults(folder)
    assert "is not valid JSON" in fault


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "10 images" in out and "No faults." in out and (folder.parent / "toy.png").stat().st_size > 1000
    dotted = folder.rename(folder.parent / "v1.2")  # the picture is called after the whole name
    assert main(["check", str(dotted)]) == 0 and (folder.parent / "v1.2.png").exists()
    dotted.rename(folder)
    capsys.readouterr()
    (folder / "train/images-00001.npy").unlink()
    assert main(["check", str(folder)]) == 2
    captured = capsys.readouterr()
    assert "images-00001.npy is missing" in captured.out and "has 1 fault, named above" in captured.err
    assert main(["check", str(folder.parent / "gone")]) == 2
