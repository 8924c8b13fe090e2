"""The square pictures that are cut out of scenes, with their labels; films and data sets of them."""

from pathlib import Path

import numpy as np
import pytest

import data_prep
import data_prep.puppets
import data_prep.scenes
from data_prep.registry import PUPPETS, preset_for, resolve
from data_prep.scenes import boxes, cropped, extents, true_boxes, write_film
from data_prep.synthetic.scenes import Scenes, generate_wide
from pplkit.core.errors import PplkitError
from pplkit.data.crops import from_crop
from pplkit.data.dataset import open_dataset
from pplkit.data.video import readable

SIDES = {"width": 240, "height": 200}


@pytest.fixture(scope="module")
def made() -> Scenes:
    return generate_wide("humanoid", videos=8, frames=6, **SIDES)


def test_true_boxes_hold_the_object_whole_and_are_smooth(made: Scenes) -> None:
    result = boxes(made, "truth")
    low, high = extents(made.masks)
    sides = (result[:, 2:] - result[:, :2]).reshape(8, 6, 2)
    assert (result[:, :2] <= low).all() and (result[:, 2:] >= high).all()
    np.testing.assert_allclose(sides[..., 0], sides[..., 1])
    ratio = sides[..., 0].reshape(-1) / (high - low).max(axis=1)
    assert ratio.min() >= 1.2 and np.median(ratio) < 1.45
    jumping = np.ptp((high - low).max(axis=1).reshape(8, 6), axis=1)
    assert (np.abs(np.diff(sides[..., 0], axis=1)).max(axis=1) <= 1.24 * jumping + 12).all()


def test_true_box_of_a_known_mask() -> None:
    mask = np.zeros((3, 40, 50), np.uint8)
    mask[:, 10:30, 20:24] = 255
    np.testing.assert_allclose(true_boxes(mask, 0.1), [[10, 8, 34, 32]] * 3)
    with pytest.raises(PplkitError, match="a mask is empty"):
        true_boxes(np.zeros((1, 4, 4), np.uint8))


def test_other_crops(made: Scenes) -> None:
    np.testing.assert_array_equal(boxes(made, "center"), [[20, 0, 220, 200]] * 48)
    calls = []

    def find(images: np.ndarray) -> np.ndarray:
        calls.append(images)
        return np.tile([1.5, 2, 101.5, 102], (len(images), 1)) + len(calls)

    result = boxes(made, "object", find)
    assert [one.shape for one in calls] == [(6, 200, 240, 3)] * 8  # each video by itself, in order
    np.testing.assert_array_equal(np.concatenate(calls), made.images)
    assert result[:, 0].tolist() == [2.5 + v for v in made.videos]
    with pytest.raises(PplkitError, match=r"find gave \(4,\) numbers for 6 images"):
        boxes(made, "object", lambda images: np.zeros(4))
    with pytest.raises(PplkitError, match="crop is 'left'; choose one of object, truth, center"):
        boxes(made, "left")


def test_labels_are_carried_into_the_crop_and_back(made: Scenes) -> None:
    squares = boxes(made, "truth")
    result = cropped(made, squares, 96)
    assert result.images.shape == (48, 96, 96, 3) and set(np.unique(result.masks)) == {0, 255}
    for points, square, pixels in zip(result.keypoints, squares, made.keypoints, strict=True):
        np.testing.assert_allclose(from_crop(points.astype(float), tuple(square), 96), pixels, atol=1e-3)
    np.testing.assert_array_equal(result.visible, made.visible)
    column, row = np.rint((result.keypoints + 1) * 95 / 2).astype(int).transpose(2, 0, 1)
    assert (result.masks[np.arange(48)[:, None], row, column] > 0)[result.visible].mean() > 0.99
    whole = cropped(made, np.tile([0.0, 0, 240, 200], (48, 1)), 200)  # the mask is where the picture has the object
    assert (whole.masks > 0).mean() == pytest.approx((made.masks > 0).mean(), rel=0.04)


def test_what_lies_outside_of_a_crop_is_not_visible(made: Scenes) -> None:
    away = cropped(made, np.tile([0.0, 0, 2, 2], (48, 1)), 16)
    assert not away.visible.any() and not away.masks.any()
    assert np.abs(away.keypoints).max() <= 10  # a data set holds no label farther out
    left, top = made.keypoints[0, 0] + 0.5
    one = Scenes(*(array[:1] for array in vars(made).values()))
    edge = cropped(one, np.array([[left, top - 20, left + 40, top + 20]]), 32)  # the first keypoint on its border
    assert edge.visible[0, 0] == made.visible[0, 0]


def test_prepared_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"size": 32, "videos": 3, "frames": 2, "test_videos": 1, "test_frames": 2, "films": 1, "film_frames": 5}
    monkeypatch.setattr(data_prep.puppets, "HELD", 4)
    data = open_dataset(data_prep.puppets.prepare("wide", tmp_path / "truth", crop="truth", **given))
    assert data.name == "puppets-wide" and data.options["crop"] == "truth" and data.options["backgrounds"] is None
    assert [(name, len(split)) for name, split in data.splits.items()] == [("train", 6), ("test", 2), ("films", 5)]
    assert data["train"].videos.tolist() == [0, 0, 1, 1, 2, 2]
    scene = generate_wide("humanoid", 3, 2)
    expected = cropped(scene, boxes(scene, "truth"), 32)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(np.asarray(getattr(data["train"], name)), array, err_msg=name)
    monkeypatch.setattr(data_prep.scenes, "_finder", lambda: lambda images: true_boxes(images[..., 0] * 0 + 1))
    actual = open_dataset(data_prep.puppets.prepare("wide-hand", tmp_path / "object", **given))
    assert actual.name == "puppets-wide-hand" and actual.options["crop"] == "object"


def test_scenes_and_textured_puppets_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    tiny = {"videos": 1, "frames": 1, "test_videos": 1, "test_frames": 1, "films": 0}
    for name, options in (("puppets-wide", {**tiny, "crop": "center"}), ("puppets-textured", tiny)):
        assert resolve(name).kind == "puppets" and PUPPETS[name] == name.removeprefix("puppets-")
        assert preset_for(name)
        folder = data_prep.prepared(name, size=32, options=options)
        assert open_dataset(folder).name == name
        assert data_prep.prepared(name, size=32, options=options) == folder
    with pytest.raises(PplkitError, match="crop='center', not 'truth'"):
        data_prep.prepared("puppets-wide", size=32, options={**tiny, "crop": "truth"})


def test_a_film_is_written_frame_by_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    path = write_film(tmp_path / "walk.mp4", frames=10, video=2, **SIDES)
    read = [np.asarray(image) for _, image, _ in readable(path, quiet=True)]
    expected = generate_wide("humanoid", 1, 10, first_video=2, every=1, **SIDES).images
    assert len(read) == 10 and read[0].shape == expected[0].shape
    assert np.abs(np.stack(read).astype(float) - expected).mean() < 12  # compressed
    assert data_prep.scenes.main([str(tmp_path / "two.mp4"), "--frames", "2", "--width", "160", "--height", "160"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "two.mp4")
    assert data_prep.scenes.main([str(tmp_path / "no.mp4"), "--frames", "0"]) == 2
    assert "frames is 0" in capsys.readouterr().err and not (tmp_path / "no.mp4").exists()
