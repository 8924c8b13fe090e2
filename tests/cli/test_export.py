"""`pplkit export`: each of its options, and what it refuses before it does anything."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import pplkit
from pplkit import cli
from pplkit.inference.estimate import Estimator, estimate_files
from pplkit.inference.landmarks.fitting import MAP
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.saved_model import fingerprint


@pytest.fixture
def run(untrained_run: Path) -> Path:
    return untrained_run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_poses_of_images_and_of_a_file_are_the_same(run: Path, image: Path, tmp_path: Path) -> None:
    poses, direct, read = (tmp_path / f"{name}.json" for name in ("poses", "direct", "read"))
    assert cli.main(["estimate", str(run), str(image), "--out", str(poses), "--crop", "pad"]) == 0
    line = ["export", str(run), "--format", "coco", "--visible", "0.5"]
    assert cli.main([*line, "--images", str(image), "--crop", "pad", "--out", str(direct)]) == 0
    assert cli.main([*line, "--poses", str(poses), "--out", str(read)]) == 0
    content = json.loads(read.read_text())
    assert json.loads(direct.read_text()) == content
    assert content["categories"][0]["name"] == "mice"
    assert {flag for note in content["annotations"] for flag in note["keypoints"][2::3]} <= {0, 1}  # nothing is sure


def test_named_points_are_read_back(run: Path, image: Path, tmp_path: Path) -> None:
    """Two landmarks that are the second keypoint and its mirror image, as pycocotools and pandas see them."""
    owner = pytest.importorskip("pycocotools.coco", reason="pycocotools reads COCO: pip install 'pplkit[dev]'")
    pandas = pytest.importorskip("pandas", reason="pandas reads DeepLabCut's tables: pip install 'pplkit[data]'")
    model = pplkit.load(run)
    weights = np.zeros((2, 2, 4, 2))
    weights[:, :, 1] = np.eye(2) * np.array([1, -1])[:, None, None]
    zero = np.zeros(2)
    names = ["left hand", "right hand"]
    made = LandmarkMap(names, weights, np.zeros((2, 2)), zero, zero, zero, made_by={"weights": fingerprint(model)})
    made.save(run / MAP)
    (row,) = estimate_files(Estimator(model), [image])["images"]
    middle = np.array([19.5, 15.5])
    offset = row["keypoints"][1] - middle
    line = ["export", str(run), "--images", str(image), "--named"]
    assert cli.main([*line, "--format", "coco", "--out", str(tmp_path / "a.json")]) == 0
    read = owner.COCO(tmp_path / "a.json")
    assert read.loadCats(1)[0]["keypoints"] == names and read.loadCats(1)[0]["skeleton"] == []
    (note,) = read.loadAnns(read.getAnnIds())
    places = np.reshape(note["keypoints"], (2, 3))[:, :2]
    np.testing.assert_allclose(places, [middle + offset, middle - offset], atol=0.02)
    assert cli.main([*line, "--format", "dlc", "--out", str(tmp_path / "a.csv")]) == 0
    table = pandas.read_csv(tmp_path / "a.csv", header=[0, 1, 2], index_col=0)
    assert table.columns.get_level_values("bodyparts").unique().tolist() == names
    (run / MAP).unlink()
    assert cli.main([*line, "--format", "csv", "--out", str(tmp_path / "b.csv")]) == 2
    assert not (tmp_path / "b.csv").exists()


def test_prior_model_and_onnx_in_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def export_onnx(model: PosePriorLearner, path: Path) -> Path:
        asked.append(model.made_by["run"])
        return path

    monkeypatch.setattr("pplkit.inference.export.onnx.export_onnx", export_onnx)
    line = ["export", str(run), "--prior", str(tmp_path / "p.svg"), "--model", str(tmp_path / "m")]
    assert cli.main([*line, "--onnx", str(tmp_path / "m.onnx")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"The model and its card are in {tmp_path / 'm'}.",
        f"The prior is in {tmp_path / 'p.svg'}.",
        f"The estimator is in {tmp_path / 'm.onnx'}.",
    ]
    assert asked == ["first"]
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text(encoding="utf8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    np.testing.assert_array_equal(pplkit.load(tmp_path / "m").prior().keypoints, pplkit.load(run).prior().keypoints)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "there is nothing to export"),
        ("--images a.png", "with both --format and --out"),
        ("--images a.png --format csv", "with both --format and --out"),
        ("--format csv --out a.csv", "from --images or --poses"),
        ("--images a.png --poses p.json --format csv --out a.csv", "from --images or --poses"),
        ("--named --prior a.svg", "--named is for the poses of --images"),
        ("--named --poses p.json --format csv --out a.csv", "or --poses of `pplkit estimate --named`"),
        ("--images a.png --format voc --out a.csv", "format='voc' is unknown"),
        ("--images a.png --format coco --out a.csv", "does not end in .json"),
        ("--images a.png --format csv --out no/a.csv", "the folder no of --out does not exist"),
        ("--poses p.json --format csv --out a.csv", "p.json does not exist"),
        ("--poses p.csv --format csv --out a.csv", "p.csv does not end in .json"),
        ("--images a.png --format coco --out a.json --visible nan", "--visible nan is not a confidence"),
        ("--images a.png --format coco --out a.json --visible 1.5", "--visible 1.5 is not a confidence"),
        ("--onnx no/a.onnx", "the folder no of --onnx does not exist"),
        ("--onnx a.txt", "--onnx a.txt does not end in .onnx"),
        ("--prior a.png", "--prior a.png does not end in .svg"),
        ("--prior a.svg", "there is no run folder nowhere: train first"),
        ("--model a", "there is no run folder nowhere: train first"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "nowhere", *line.split()]) == 2
    answer = capsys.readouterr().err
    assert answer.startswith("pplkit: ") and answer.count("\n") == 1 and message in answer
    assert not list(tmp_path.iterdir())


def test_poses_are_not_written_over_and_nobody_elses_file_is_touched(
    run: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poses, own = tmp_path / "poses.json", tmp_path / "a.partial.csv"
    assert cli.main(["estimate", str(run), str(image), "--out", str(poses)]) == 0
    before = poses.read_bytes()
    own.write_text("mine")
    line = ["export", str(run), "--poses", str(poses), "--format"]
    (tmp_path / "link.json").symlink_to(poses)
    for out in ("poses.json", "link.json"):
        assert cli.main([*line, "coco", "--out", str(tmp_path / out)]) == 2
        assert "is the file of --poses" in capsys.readouterr().err
    assert cli.main([*line, "csv", "--out", str(tmp_path / "a.csv")]) == 0
    assert poses.read_bytes() == before and own.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "poses.json", "link.json", "a.partial.csv", "a.csv"}
