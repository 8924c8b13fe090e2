"""The images and labels of a table, which images to label, and the landmarks of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED
from moving import standing
from PIL import Image

from data_prep import folder
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.video_writer import write_video
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
from pplkit.inference.landmarks.labeled_files import read_labeled_files
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.saved_model import load


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("image,landmark,x,y", *rows)) + "\n", encoding="utf8")
    return path


def test_a_table_names_images_by_position_source_and_path(puppets: Dataset, tmp_path: Path) -> None:
    train = puppets["train"]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my own.png")
    rows = ["3,nose,0,31", "train-7, left hand ,15.5,1", "my own.png,nose,31,0", "3,left hand,4,4"]
    labeled = read_labels(table(tmp_path / "labels.csv", *rows), train, 32)
    assert labeled.names == ["nose", "left hand"]
    np.testing.assert_array_equal(labeled.images, np.stack((train.images[3], train.images[7], pixels[:, 4:36])))
    corners = [[[-1, 1], [4 * 2 / 31 - 1] * 2], [[np.nan] * 2, [0, 2 / 31 - 1]], [[1, -1], [np.nan] * 2]]
    np.testing.assert_allclose(labeled.labels, corners, atol=1e-12)
    deep = replace(train, sources=[f"deep/{number}/{number}.png" for number in range(len(train))])
    (image,) = read_labels(table(tmp_path / "b.csv", "5.png,nose,1,1"), deep, 32).images
    np.testing.assert_array_equal(image, train.images[5])


def test_several_names_of_an_image_are_one_image(puppets: Dataset, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    source = puppets["train"].sources[7]
    rows = ["7,nose,1,1", "a.png,nose,2,2", f"{source},tail,3,3", "./b.png,tail,4,4", "007,ear,5,5"]
    labeled = read_labels(table(tmp_path / "labels.csv", *rows), puppets["train"], 32)
    assert labeled.images.shape == (2, 32, 32, 3) and labeled.names == ["nose", "tail", "ear"]
    np.testing.assert_array_equal(labeled.images[0], puppets["train"].images[7])
    expected = [[[1] * 2, [3] * 2, [5] * 2], [[2] * 2, [4] * 2, [np.nan] * 2]]
    np.testing.assert_allclose(to_pixels(labeled.labels, 32), expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["7,nose,1,1", "train-7,nose,2,2"], "line 3, labels 'nose' on 'train-7' a second time, after '7' in line 2"),
        (["a.png,nose,1,1", "./a.png,nose,1,1"], "line 3, labels 'nose' on .* a second time, after 'a.png' in line 2"),
        (["~nobody-of-this-name/a.png,nose,1,1"], "labels '~nobody-of-this-name/a.png', which is neither"),
        (["none.png,nose,1,1"], "labels 'none.png', which is neither a position nor the name of one source of split"),
        (["20,nose,1,1"], "labels image 20, but split 'train' ends at 19"),
        (["1,nose,640,1"], "line 2, puts 'nose' at .640, 1., outside of the prepared image of 32 x 32 pixels"),
        ([], "holds no labels: label some images first"),
        (None, "is missing: label some images first"),
    ],
)
def test_a_wrong_label_is_refused(rows: list[str] | None, message: str, puppets: Dataset, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    path = tmp_path / "labels.csv"
    if rows is not None:
        table(path, *rows)
    with pytest.raises(PplkitError, match=f"labels.csv,? .*{message}"):
        read_labels(path, puppets["train"], 32)


def test_the_labels_of_a_run_make_its_landmarks(model: PosePriorLearner, puppets: Dataset, tmp_path: Path) -> None:
    """Labels that are the model's own third keypoint give it back; other weights are refused."""
    images = np.asarray(puppets["train"].images[:6])
    points = to_pixels(model.estimate(images).keypoints.numpy()[:, 2], 32)
    rows = [f"{index},spot,{x:.3f},{y:.3f}" for index, (x, y) in enumerate(points)]
    landmarks = name_landmarks(model, puppets, table(tmp_path / "labels.csv", *rows))
    assert landmarks.made_by["labels"] == "labels.csv"
    test = model.estimate(np.asarray(puppets["test"].images)).keypoints.numpy()
    np.testing.assert_allclose(landmarks.apply(test)[:, 0], test[:, 2], atol=0.05)
    landmarks.save(tmp_path / MAP)
    np.testing.assert_array_equal(load_landmarks(tmp_path, model).weights, landmarks.weights)
    torch.manual_seed(1)
    with pytest.raises(PplkitError, match="landmarks.json was fitted before the model changed"):
        load_landmarks(tmp_path, PosePriorLearner(model.config))


def test_suggestions_are_positions_of_the_split(model: PosePriorLearner, puppets: Dataset) -> None:
    positions = suggest(model, puppets, 5)
    assert len(set(positions)) == 5 and set(positions) <= set(range(20)) and positions == suggest(model, puppets, 5)
    assert suggest(model, puppets, 2) == positions[:2]  # more suggestions only add to them
    for count in (0, 17):
        with pytest.raises(PplkitError, match=f"{count} images cannot be suggested of 20: ask for 1 to 16"):
            suggest(model, puppets, count)


def test_the_first_two_images_show_two_ways_to_move() -> None:
    """Two keypoints, of which the first moves farther; the outlier, of a mistaken model, is not chosen."""
    keypoints = np.zeros((40, 2, 2))
    keypoints[:20, 0] = np.random.default_rng(0).normal(0, 1, (20, 2))
    keypoints[20:, 1] = np.random.default_rng(1).normal(0, 0.5, (20, 2))
    keypoints[7] = 9.0
    first, second = most_informative(keypoints, 2)
    assert first < 20 and first != 7 and second >= 20
    lengths = np.linalg.norm(keypoints - keypoints.mean(0), axis=-1)
    assert lengths[first, 0] >= np.sort(np.delete(lengths[:20, 0], 7))[-6]


def test_the_summary_marks_unknown_errors() -> None:
    nan, zeros = np.nan, np.zeros((2, 2, 3, 2))
    errors, baseline, counts = np.array([0.0234, nan]), np.array([0.1, nan]), np.array([9, 1])
    landmarks = LandmarkMap(["nose", "left_hand"], zeros, zeros[:, :, 0, 0], errors, baseline, counts)
    lines = summary(landmarks)
    assert lines[1].split() == ["nose", "9", "2.34", "10.00"] and lines[2].split() == ["left_hand", "1", "-", "-"]
    assert lines[3].split() == ["mean", "2.34", "10.00"] and len(lines) == 4
    sided = replace(landmarks, side_accuracy=0.9, sides=np.ones((1, 2)))
    assert "each image tells which (90%" in summary(sided)[-1]
    assert "single images do not tell which (60%" in summary(replace(landmarks, side_accuracy=0.6))[-1]


@pytest.mark.parametrize("whole_project", [False, True])
def test_labels_of_another_tool_lie_on_their_images(tmp_path: Path, puppets: Dataset, whole_project: bool) -> None:
    """A table of DeepLabCut: the images lie beside it, which it names from the project's folder."""
    folder = tmp_path / "labeled-data" / "v"
    folder.mkdir(parents=True)
    lines = ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y"]
    for number in range(6):
        pixels = np.zeros((32, 48, 3), np.uint8)
        pixels[8 + number, 20 + number] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"labeled-data/v/{number}.png,{20 + number},{8 + number}")
    path = folder / "CollectedData_me.csv"
    path.write_text("\n".join(lines))
    labeled = read_labeled_files(tmp_path if whole_project else path, 32)
    assert labeled.names == ["nose"] and labeled.images.shape == (6, 32, 32, 3)
    for image, (point,) in zip(labeled.images, to_pixels(labeled.labels, 32), strict=True):
        assert np.array_equal(np.round(point)[::-1], np.argwhere(image[..., 0] > 100)[0])


def test_landmarks_are_fitted_to_labels_of_another_tool(
    tmp_path: Path, puppets: Dataset, model: PosePriorLearner
) -> None:
    rows = ["file,name,x,y,visible"]
    for number in range(6):
        Image.fromarray(np.asarray(puppets["train"].images[number])).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,nose,{10 + number},12,1")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    assert name_landmarks(model, puppets, tmp_path / "labels.csv").names == ["nose"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "labels.csv").rename(tmp_path / "sub" / "labels.csv")
    assert name_landmarks(model, puppets, tmp_path / "sub" / "labels.csv").names == ["nose"]
    for number in range(6):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(PplkitError, match=r"names images such as '0\.png', and none lies beside it"):
        name_landmarks(model, puppets, tmp_path / "sub" / "labels.csv")


@pytest.mark.parametrize("suffix", ["mp4", "tif"])
def test_labels_of_frames_lie_on_their_frames_and_missing_images_are_counted(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A video, and a file of several images, of a bright square that moves; the file alone means its first image."""
    pages, corners = standing(12)
    if suffix == "mp4":
        write_video(tmp_path / "v.mp4", pages, 10)
    else:
        first, *others = map(Image.fromarray, pages)
        first.save(tmp_path / "v.tif", save_all=True, append_images=others)
    names = {f"v.{suffix} frame 7": 7, f"v.{suffix} frame 3": 3, f"v.{suffix}": 0, "gone.png": 1}
    rows = [f"{name},nose,{corners[n][0] + 7},{corners[n][1] + 7},1" for name, n in names.items()]
    (tmp_path / "labels.csv").write_text("\n".join(["file,name,x,y,visible", *rows]))
    labeled = read_labeled_files(tmp_path / "labels.csv", 80, "pad")
    assert (
        len(labeled.images) == 3 and "1 not beside it or in a folder above, such as gone.png" in capsys.readouterr().err
    )
    for image, (point,) in zip(labeled.images, to_pixels(labeled.labels, 80), strict=True):
        x, y = point.round().astype(int)
        assert image[y - 1 : y + 2, x - 1 : x + 2].min() > 200


@pytest.mark.skipif(not (SHARED / "data" / "dlc_reaching").is_dir(), reason="no ../shared/data/dlc_reaching")
def test_a_real_project_gives_named_landmarks_with_an_error(tmp_path: Path, untrained_run: Path) -> None:
    """By the commands of docs/landmarks_and_tracks.md, with a model that has learned nothing."""
    project = SHARED / "data" / "dlc_reaching"
    images = project / "labeled-data" / "reachingvideo1"
    data = open_dataset(folder.prepare(images, tmp_path / "out", 32, crop="center", duplicates="ignore"))
    landmarks = name_landmarks(load(untrained_run), data, images / "CollectedData_Mackenzie.csv")
    assert landmarks.names == ["Hand", "Finger1", "Tongue", "Joystick1", "Joystick2"]
    assert sum(map(len, data.splits.values())) == 55 and np.isfinite(landmarks.error).all()
