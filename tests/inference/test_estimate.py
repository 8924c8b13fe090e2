"""Image files of all kinds in, poses in their own pixels out."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sources import FPS, film

from pplkit.core.errors import PplkitError
from pplkit.data.images import read_image
from pplkit.inference.estimate import Estimator, estimate_files, write_poses
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.outputs import Poses


def picture(path: Path, width: int = 20, height: int = 30, mode: str = "RGB", seed: int = 0, **options: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def test_poses_come_in_pixels_of_each_file(model: PosePriorLearner, tmp_path: Path) -> None:
    """The model sees the square in the middle, which has two columns or five rows of the file outside of it."""
    sizes = {"a.png": (36, 32), "b.png": (32, 42), "c.png": (32, 32)}
    files = [picture(tmp_path / name, *size, seed=k) for k, (name, size) in enumerate(sizes.items())]
    content = estimate_files(Estimator(model), [tmp_path])
    assert json.loads(json.dumps(content))["crop"] == "center"
    assert [(row["width"], row["height"]) for row in content["images"]] == list(sizes.values())
    assert content["iterations"] == 0 and content["links"] == model.prior().links()
    for file, row, (left, top) in zip(files, content["images"], [(2, 0), (0, 5), (0, 0)], strict=True):
        assert row["file"] == str(file)
        poses = model.estimate(np.asarray(read_image(file))[None, top : top + 32, left : left + 32])
        expected = (poses.keypoints[0].numpy() + 1) / 2 * 31 + (left, top)
        np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
        np.testing.assert_allclose(row["confidence"], poses.confidence[0], atol=1e-4)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        # 60 x 40 to 32: the square from (10, 0) to (50, 40), 1.25 pixels for one of the model's
        ("center", [(10.125, 0.125), (48.875, 38.875), (29.5, 0.125)]),
        # the square from (0, -10) to (60, 50), 1.875 pixels for one
        ("pad", [(0.4375, -9.5625), (58.5625, 48.5625), (29.5, -9.5625)]),
    ],
)
def test_corners_by_hand(
    model: PosePriorLearner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crop: str,
    expected: list[tuple[float, float]],
) -> None:
    """The centres of the crop's first and last pixel, and the middle of its upper edge; grey is what "center" sees."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:, 10:50] = 128
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen: list[np.ndarray] = []

    def estimate(images: np.ndarray, iterations: int, batch_size: int, *, procedure: str | None) -> Poses:
        seen.append(images)
        return Poses(torch.tensor([[[-1.0, -1], [1, 1], [0, -1]]]), torch.ones(1, 3))

    monkeypatch.setattr(model, "estimate", estimate)
    (row,) = estimate_files(Estimator(model, crop=crop), [tmp_path])["images"]
    np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
    white = (seen[0][0] > 200).all((0, 2))
    assert white.sum() == (0 if crop == "center" else 10)  # ten columns of 60 on each side are 5.3 of 32
    with pytest.raises(PplkitError, match="crop='left' is unknown: choose one of center, pad"):
        estimate_files(Estimator(model, crop="left"), [tmp_path])


def test_many_files_are_estimated_in_batches(model: PosePriorLearner, tmp_path: Path) -> None:
    for k in range(5):
        picture(tmp_path / f"{k}.png", seed=k)
    whole, parts = (estimate_files(Estimator(model, 1, batch_size=size), [tmp_path])["images"] for size in (64, 2))
    assert [row["file"] for row in parts] == [row["file"] for row in whole]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a["keypoints"], b["keypoints"], atol=0.02)
    with pytest.raises(PplkitError, match="batch_size=0 is too small"):
        Estimator(model, batch_size=0)


def test_threads_of_a_cpu_share_a_batch(model: PosePriorLearner, tmp_path: Path) -> None:
    for k in range(20):
        picture(tmp_path / f"{k:02}.png", seed=k)
    threads, rows = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            rows.append(estimate_files(Estimator(model), [tmp_path])["images"])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(*rows, strict=True):
        assert one["file"] == two["file"]
        np.testing.assert_allclose(one["keypoints"], two["keypoints"], atol=0.02)


def spot() -> LandmarkMap:
    """The second keypoint, under a name."""
    weights = np.zeros((1, 2, 4, 2))
    weights[0, :, 1] = np.eye(2)
    zero = np.zeros(1)
    return LandmarkMap(["spot"], weights, np.zeros((1, 2)), zero, zero, zero)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_and_csv_have_the_poses_of_estimate_files(model: PosePriorLearner, tmp_path: Path) -> None:
    """An image and a video, whose frames have numbers and times; and landmarks by name."""
    paths, estimator = [picture(tmp_path / "a.png"), film(tmp_path / "b.mp4", 3)], Estimator(model, crop="pad")
    expected = estimate_files(estimator, paths)
    assert [row.get("frame") for row in expected["images"]] == [None, 0, 1, 2]
    assert [row["seconds"] for row in expected["images"][1:]] == pytest.approx([0, 1 / FPS, 2 / FPS])
    assert write_poses(estimator, paths, tmp_path / "poses.json", bar=False) == 4
    assert json.loads((tmp_path / "poses.json").read_text()) == json.loads(json.dumps(expected))
    assert write_poses(estimator, paths, tmp_path / "poses.csv", bar=False) == 4
    rows = read_csv(tmp_path / "poses.csv")
    assert len(rows) == 16 and [row["frame"] for row in rows[::4]] == ["", "0", "1", "2"]
    last = expected["images"][3]
    x, y = last["keypoints"][2]
    assert rows[14] == {
        "file": str(paths[1]), "frame": "2", "keypoint": "2", "x": str(x), "y": str(y),
        "confidence": str(last["confidence"][2]),
    }  # fmt: skip
    spots = replace(estimator, landmarks=spot())
    write_poses(spots, paths, tmp_path / "named.csv", bar=False)
    named = read_csv(tmp_path / "named.csv")
    assert [row["keypoint"] for row in named] == ["spot"] * 4
    assert [(row["x"], row["y"]) for row in named] == [(row["x"], row["y"]) for row in rows[1::4]]
    content = estimate_files(spots, paths)
    assert content["names"] == ["spot"] and "links" not in content and len(content["images"][0]["keypoints"]) == 1


def test_one_of_several_images_that_cannot_be_read_is_left_out_and_that_is_said(
    model: PosePriorLearner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [picture(tmp_path / "pictures" / f"{k}.png") for k in range(3)]
    files[1].write_bytes(b"torn")
    assert write_poses(Estimator(model), [tmp_path / "pictures"], tmp_path / "poses.csv", bar=False) == 2
    assert "1.png cannot be read as an image" in (said := capsys.readouterr().err) and "it is left out" in said
    assert {row["file"] for row in read_csv(tmp_path / "poses.csv")} == {str(files[0]), str(files[2])}


def test_a_failure_leaves_the_file_as_it_was(model: PosePriorLearner, tmp_path: Path) -> None:
    files = [picture(tmp_path / "pictures" / f"{k}.png") for k in range(3)]
    files[2].write_bytes(b"torn")
    out, estimator = tmp_path / "poses.csv", Estimator(model, batch_size=1)
    out.write_text("as it was")
    with pytest.raises(PplkitError, match="2.png cannot be read as an image"):
        write_poses(estimator, files[2:], out)
    with pytest.raises(PplkitError, match="none of the images can be read: no poses were written"):
        write_poses(estimator, files[2:] * 2, out)
    assert out.read_text() == "as it was"
    with pytest.raises(PplkitError, match="poses.txt ends in neither of .json, .csv"):
        write_poses(estimator, files, tmp_path / "poses.txt")
    with pytest.raises(PplkitError, match="poses.json cannot be written"):
        write_poses(estimator, files[:2], tmp_path / "none" / "poses.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "poses.csv"]


def test_short_work_shows_its_progress_in_a_terminal_alone(
    model: PosePriorLearner, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [picture(tmp_path / "a.png")]
    write_poses(Estimator(model), files, tmp_path / "poses.csv")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    write_poses(Estimator(model), files, tmp_path / "poses.csv", bar=False)
    assert capsys.readouterr().err == ""
    write_poses(Estimator(model), files, tmp_path / "poses.csv")
    assert "images: 1 of 1" in capsys.readouterr().err


def test_iterations_and_procedure_reach_the_model(tiny: Config, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 32, 32)
    model = PosePriorLearner(tiny).eval()
    with pytest.raises(PplkitError, match="procedure='completed' needs a completer"):
        estimate_files(Estimator(model, procedure="completed"), [file])
    model.completer = Completer(model.regressor)
    for iterations, procedure in ((0, "completed"), (0, "published"), (2, "published"), (0, None)):
        (row,) = estimate_files(Estimator(model.eval(), iterations, procedure=procedure), [file])["images"]
        expected = model.estimate(np.asarray(read_image(file))[None], iterations, procedure=procedure)
        np.testing.assert_allclose(row["keypoints"], (expected.keypoints[0] + 1) / 2 * 31, atol=0.006)
        np.testing.assert_allclose(row["confidence"], expected.confidence[0], atol=1e-4)


def test_names_that_are_no_text_lose_no_poses(model: PosePriorLearner, tmp_path: Path) -> None:
    """As old archives unpack them: Latin-1 on a disk of UTF-8."""
    folder = tmp_path / "in"
    for name in (b"b\xe9.png", b"a.png"):
        picture(folder / "x.png").rename(folder / name.decode("utf8", "surrogateescape"))
    assert write_poses(Estimator(model), [folder], tmp_path / "p.csv", bar=False) == 2
    files = {row["file"] for row in csv.DictReader((tmp_path / "p.csv").open(encoding="utf8"))}
    assert files == {str(folder / "a.png"), str(folder / "b\N{REPLACEMENT CHARACTER}.png")}
    assert write_poses(Estimator(model), [folder], tmp_path / "p.json", bar=False) == 2
