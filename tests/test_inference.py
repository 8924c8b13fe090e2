"""Image files of all kinds in, poses in their own pixels out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pplkit import inference
from pplkit.config import Config
from pplkit.errors import PplkitError
from pplkit.inference import estimate_files, image_files
from pplkit.model import PosePriorLearner
from pplkit.networks import Completer
from pplkit.pictures import read_image
from pplkit.poses import Poses


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


def picture(path: Path, width: int = 20, height: int = 30, mode: str = "RGB", seed: int = 0, **options: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def test_folders_give_their_images_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        picture(tmp_path / "folder" / name)
    (tmp_path / "folder" / "notes.txt").write_text("")
    alone = picture(tmp_path / "z.png")
    found = image_files([alone, tmp_path / "folder"])
    assert [path.name for path in found] == ["z.png", "a.JPG", "b.png", "c.webp"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PplkitError, match="nothing holds no picture of a format that Pillow reads"):
        image_files([tmp_path / "nothing"])


def test_poses_come_in_pixels_of_each_file(model: PosePriorLearner, tmp_path: Path) -> None:
    """The model sees the square in the middle, which has two columns or five rows of the file outside of it."""
    sizes = {"a.png": (36, 32), "b.png": (32, 42), "c.png": (32, 32)}
    files = [picture(tmp_path / name, *size, seed=k) for k, (name, size) in enumerate(sizes.items())]
    found = estimate_files(model, [tmp_path])
    assert json.loads(json.dumps(found))["crop"] == "centre"  # plain values alone
    assert [(row["width"], row["height"]) for row in found["images"]] == list(sizes.values())
    assert found["iterations"] == 0 and found["links"] == model.prior().links()
    for file, row, (left, top) in zip(files, found["images"], [(2, 0), (0, 5), (0, 0)], strict=True):
        assert row["file"] == str(file)
        poses = model.estimate(np.asarray(read_image(file))[None, top : top + 32, left : left + 32])
        expected = (poses.keypoints[0].numpy() + 1) / 2 * 31 + (left, top)
        np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
        np.testing.assert_allclose(row["confidence"], poses.confidence[0], atol=1e-4)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        # 60 x 40 to 32: the square from (10, 0) to (50, 40), 1.25 pixels for one of the model's
        ("centre", [(10.125, 0.125), (48.875, 38.875), (29.5, 0.125)]),
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
    """The centres of the crop's first and last pixel, and the middle of its upper edge; grey is what "centre" sees."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:, 10:50] = 128
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen: list[np.ndarray] = []

    def estimate(images: np.ndarray, iterations: int, *, procedure: str | None) -> Poses:
        seen.append(images)
        return Poses(torch.tensor([[[-1.0, -1], [1, 1], [0, -1]]]), torch.ones(1, 3))

    monkeypatch.setattr(model, "estimate", estimate)
    (row,) = estimate_files(model, [tmp_path], crop=crop)["images"]
    np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
    white = (seen[0][0] > 200).all((0, 2))
    assert white.sum() == (0 if crop == "centre" else 10)  # ten columns of 60 on each side are 5.3 of 32
    with pytest.raises(PplkitError, match="crop='left' is unknown: choose one of centre, pad"):
        estimate_files(model, [tmp_path], crop="left")


def test_many_files_are_taken_in_portions(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(5):
        picture(tmp_path / f"{k}.png", seed=k)
    whole = estimate_files(model, [tmp_path], iterations=1)
    monkeypatch.setattr(inference, "AT_ONCE", 2)
    parts = estimate_files(model, [tmp_path], iterations=1)
    assert [row["file"] for row in parts["images"]] == [row["file"] for row in whole["images"]]
    for a, b in zip(whole["images"], parts["images"], strict=True):
        np.testing.assert_allclose(a["keypoints"], b["keypoints"], atol=0.02)


def test_iterations_are_handed_on(model: PosePriorLearner, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 32, 32)
    (row,) = estimate_files(model, [file], iterations=2)["images"]
    expected = (model.estimate(np.asarray(read_image(file))[None], 2).keypoints[0] + 1) / 2 * 31
    np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)


def test_the_procedure_is_handed_on(tiny: Config, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 32, 32)
    model = PosePriorLearner(tiny)
    with pytest.raises(PplkitError, match="procedure='completed' needs a completer"):
        estimate_files(model, [file], procedure="completed")
    model.completer = Completer(model.regressor)
    for procedure in ("completed", "published", None):
        (row,) = estimate_files(model.eval(), [file], procedure=procedure)["images"]
        expected = model.estimate(np.asarray(read_image(file))[None], procedure=procedure)
        np.testing.assert_allclose(row["confidence"], expected.confidence[0], atol=1e-4)
