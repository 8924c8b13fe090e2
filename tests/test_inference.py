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
from pplkit.inference import estimate_files, image_files, read_image
from pplkit.model import PosePriorLearner


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


def picture(path: Path, width: int = 20, height: int = 30, mode: str = "RGB", seed: int = 0, **options: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def test_colours_rows_and_columns_of_a_file(tmp_path: Path) -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[1, 6] = 255, 128, 3
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert found.dtype == np.uint8 and np.array_equal(found, pixels)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_every_kind_of_png_becomes_three_colours(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(np.full((30, 20), 40_000, np.uint16)).save(tmp_path / "a.png")
    else:
        picture(tmp_path / "a.png", mode=mode)
    found = read_image(tmp_path / "a.png")
    assert found.shape == (30, 20, 3) and found.dtype == np.uint8
    if mode in ("L", "LA", "1", "I;16"):
        assert (found == found[..., :1]).all()


def test_sixteen_bits_keep_their_grey(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").mean() == pytest.approx(128, abs=1)


def test_alpha_is_left_out(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[..., 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 200).all()


def test_a_photo_lies_as_its_camera_was_held(tmp_path: Path) -> None:
    """Orientation 6 of a JPEG: what is stored has to be turned by 90 degrees clockwise to stand upright."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255  # left half white: upright, the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = read_image(tmp_path / "a.jpg")
    assert found.shape == (32, 16, 3) and found[:12].mean() > 240 and found[20:].mean() < 15


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = picture(tmp_path / "whole.png", 200, 200).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name in ("text.png", "empty.jpg", "cut.png"):
        with pytest.raises(PplkitError, match=f"{name} cannot be read as an image .*: repair it or leave it out"):
            read_image(tmp_path / name)
    with pytest.raises(PplkitError, match="none.png does not exist: give image files or a folder"):
        read_image(tmp_path / "none.png")


def test_folders_give_their_images_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        picture(tmp_path / "folder" / name)
    (tmp_path / "folder" / "notes.txt").write_text("")
    alone = picture(tmp_path / "z.png")
    found = image_files([alone, tmp_path / "folder"])
    assert [path.name for path in found] == ["z.png", "a.JPG", "b.png", "c.webp"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PplkitError, match=r"nothing holds no image \(.jpg.*: give another folder"):
        image_files([tmp_path / "nothing"])


def test_poses_come_in_pixels_of_each_file(model: PosePriorLearner, tmp_path: Path) -> None:
    sizes = {"a.png": (20, 30), "b.png": (33, 17), "c.png": (32, 32)}
    files = [picture(tmp_path / name, *size, seed=k) for k, (name, size) in enumerate(sizes.items())]
    found = estimate_files(model, [tmp_path])
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found))  # plain values alone
    assert [(row["width"], row["height"]) for row in found["images"]] == list(sizes.values())
    assert found["iterations"] == 0 and found["links"] == model.prior().links()
    for file, row in zip(files, found["images"], strict=True):
        assert row["file"] == str(file)
        poses = model.estimate(read_image(file)[None])
        x, y = poses.keypoints[0].numpy().T
        expected = np.stack(((x + 1) / 2 * (row["width"] - 1), (y + 1) / 2 * (row["height"] - 1)), axis=-1)
        np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
        np.testing.assert_allclose(row["confidence"], poses.confidence[0], atol=1e-4)


def test_many_files_are_taken_in_portions(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(5):
        picture(tmp_path / f"{k}.png", seed=k)
    whole = estimate_files(model, [tmp_path], iterations=1)
    monkeypatch.setattr(inference, "BATCH", 2)
    parts = estimate_files(model, [tmp_path], iterations=1)
    assert [row["file"] for row in parts["images"]] == [row["file"] for row in whole["images"]]
    for a, b in zip(whole["images"], parts["images"], strict=True):
        np.testing.assert_allclose(a["keypoints"], b["keypoints"], atol=0.02)


def test_iterations_are_handed_on(model: PosePriorLearner, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 32, 32)
    (row,) = estimate_files(model, [file], iterations=2)["images"]
    expected = (model.estimate(read_image(file)[None], 2).keypoints[0] + 1) / 2 * 31
    np.testing.assert_allclose(row["keypoints"], expected, atol=0.006)
