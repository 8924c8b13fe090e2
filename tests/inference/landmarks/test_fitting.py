"""Tables of labels, the images that they name, which images to label, and the landmarks of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.geometry.coordinates import to_pixels
from pplkit.inference.landmarks.fitting import (
    MAP,
    load_landmarks,
    most_informative,
    name_landmarks,
    read_labels,
    suggest,
    summary,
)
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner


def table(path: Path, *rows: str, header: str = "image,landmark,x,y") -> Path:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf8")
    return path


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


def test_a_table_names_images_by_position_source_and_path(puppets: Dataset, tmp_path: Path) -> None:
    train = puppets["train"]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my own.png")
    rows = ["3,nose,0,31", "train-7, left hand ,15.5,1", "my own.png,nose,31,0", "3,left hand,4,4"]
    found = read_labels(table(tmp_path / "labels.csv", *rows), train, 32)
    assert found.names == ["nose", "left hand"]
    expected = np.stack((train.images[3], train.images[7], pixels[:, 4:36]))
    np.testing.assert_array_equal(found.images, expected)
    corners = [[[-1, 1], [4 * 2 / 31 - 1] * 2], [[np.nan] * 2, [0, 2 / 31 - 1]], [[1, -1], [np.nan] * 2]]
    np.testing.assert_allclose(found.labels, corners, atol=1e-12)
    named = replace(train, sources=[f"deep/{number}/{number}.png" for number in range(len(train))])
    (image,) = read_labels(table(tmp_path / "b.csv", "5.png,nose,1,1"), named, 32).images
    np.testing.assert_array_equal(image, train.images[5])


def test_an_image_under_several_names_is_one(puppets: Dataset, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    source = puppets["train"].sources[7]
    rows = ["7,nose,1,1", "a.png,nose,2,2", f"{source},tail,3,3", "./b.png,tail,4,4", "007,ear,5,5"]
    found = read_labels(table(tmp_path / "labels.csv", *rows), puppets["train"], 32)
    assert found.images.shape == (2, 32, 32, 3) and found.names == ["nose", "tail", "ear"]
    np.testing.assert_array_equal(found.images[0], puppets["train"].images[7])
    np.testing.assert_allclose(
        to_pixels(found.labels, 32), [[[1] * 2, [3] * 2, [5] * 2], [[2] * 2, [4] * 2, [np.nan] * 2]]
    )


@pytest.mark.parametrize("again", ["007", "train-7", "٧"])
def test_a_second_label_is_found_under_any_name_of_an_image(again: str, puppets: Dataset, tmp_path: Path) -> None:
    path = table(tmp_path / "labels.csv", "7,nose,1,1", "3,nose,1,1", f"{again},nose,2,2")
    said = f"labels.csv, line 4, labels 'nose' on '{again}' a second time, after '7' in line 2: remove one of them.$"
    with pytest.raises(PplkitError, match=said):
        read_labels(path, puppets["train"], 32)


def test_a_second_label_is_found_under_another_path(puppets: Dataset, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    path = table(tmp_path / "labels.csv", "a.png,nose,1,1", f"{tmp_path}/a.png,nose,1,1")
    with pytest.raises(PplkitError, match="line 3, labels 'nose' on .* a second time, after 'a.png' in line 2"):
        read_labels(path, puppets["train"], 32)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["~nobody-of-this-name/a.png,nose,1,1"], "labels '~nobody-of-this-name/a.png', which is neither"),
        (["20,nose,1,1"], "labels image 20, but split 'train' ends at 19"),
        (["none.png,nose,1,1"], "labels 'none.png', which is neither a position nor the name of one source of split"),
        (["1,nose,1"], "line 2, is not image,landmark,x,y"),
        (["1,nose,1,2,3"], "line 2, is not image,landmark,x,y"),
        (["1,nose,1,1", "", "2,nose,one,1"], "line 4, is not image,landmark,x,y"),
        (["1,,1,1"], "line 2, gives no point of a prepared image of 32 x 32 pixels"),
        (["1,nose,nan,1"], "line 2, gives no point"),
        (["1,nose,640,1"], "line 2, gives no point"),
        (["1,nose,1,1", "1,nose,2,2"], "line 3, labels 'nose' on '1' a second time"),
        ([], "holds no labels: label some images first"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(
    rows: list[str], said: str, puppets: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(PplkitError, match=f"labels.csv,? .*{said}"):
        read_labels(table(tmp_path / "labels.csv", *rows), puppets["train"], 32)


def test_tables_that_are_none_are_named(puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="must begin with the line"):
        read_labels(table(tmp_path / "a.csv", "1,nose,1,1", header="file,name,x,y"), puppets["train"], 32)
    with pytest.raises(PplkitError, match="none.csv is missing: label some images first"):
        read_labels(tmp_path / "none.csv", puppets["train"], 32)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PplkitError, match="b.csv is not text in UTF-8 .*save it as CSV"):
        read_labels(tmp_path / "b.csv", puppets["train"], 32)


def test_the_labels_of_a_run_make_its_landmarks(model: PosePriorLearner, puppets: Dataset, tmp_path: Path) -> None:
    """Labels that are the model's own third keypoint are found again; other weights do not take them."""
    images = np.asarray(puppets["train"].images[:6])
    places = to_pixels(model.estimate(images).keypoints.numpy()[:, 2], 32)
    rows = [f"{index},spot,{x:.3f},{y:.3f}" for index, (x, y) in enumerate(places)]
    found = name_landmarks(model, puppets, table(tmp_path / "labels.csv", *rows))
    assert found.made_by["labels"] == "labels.csv"
    test = model.estimate(np.asarray(puppets["test"].images)).keypoints.numpy()
    np.testing.assert_allclose(found.apply(test)[:, 0], test[:, 2], atol=0.05)
    found.save(tmp_path / MAP)
    again = load_landmarks(tmp_path, model)
    np.testing.assert_array_equal(again.weights, found.weights)
    torch.manual_seed(1)
    with pytest.raises(PplkitError, match="landmarks.json was fitted before the model changed"):
        load_landmarks(tmp_path, PosePriorLearner(model.config))


def test_suggestions_are_positions_of_the_split(model: PosePriorLearner, puppets: Dataset) -> None:
    found = suggest(model, puppets, 5)
    assert len(set(found)) == 5 and set(found) <= set(range(20)) and found == suggest(model, puppets, 5)
    assert suggest(model, puppets, 2) == found[:2]  # more suggestions only add to them
    with pytest.raises(PplkitError, match="17 images cannot be suggested of 20: ask for 1 to 16"):
        suggest(model, puppets, 17)
    with pytest.raises(PplkitError, match="0 images cannot be suggested"):
        suggest(model, puppets, 0)


def test_the_first_two_images_tell_of_two_ways_to_move() -> None:
    """Two keypoints, of which the first moves farther; the odd image out, of a mistaken model, is not taken."""
    keypoints = np.zeros((40, 2, 2))
    keypoints[:20, 0] = np.random.default_rng(0).normal(0, 1, (20, 2))
    keypoints[20:, 1] = np.random.default_rng(1).normal(0, 0.5, (20, 2))
    keypoints[7] = 9.0
    first, second = most_informative(keypoints, 2)
    assert first < 20 and first != 7 and second >= 20
    lengths = np.linalg.norm(keypoints - keypoints.mean(0), axis=-1)
    assert lengths[first, 0] >= np.sort(np.delete(lengths[:20, 0], 7))[-6]


def test_the_summary_says_what_is_not_known() -> None:
    nan, zeros = np.nan, np.zeros((2, 2, 3, 2))
    made = LandmarkMap(
        ["nose", "left_hand"], zeros, zeros[:, :, 0, 0], np.array([0.0234, nan]), np.array([0.1, nan]), np.array([9, 1])
    )
    lines = summary(made)
    assert lines[1].split() == ["nose", "9", "2.34", "10.00"] and lines[2].split() == ["left_hand", "1", "-", "-"]
    assert lines[3].split() == ["mean", "2.34", "10.00"] and len(lines) == 4
    assert "each image tells which (90%" in summary(replace(made, side_accuracy=0.9, sides=np.ones((1, 2))))[-1]
    assert "single images do not tell which (60%" in summary(replace(made, side_accuracy=0.6))[-1]
