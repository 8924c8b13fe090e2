"""Caltech-UCSD Birds: the crop by hand, a small copy of its layout, every fault, and the real images where they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import cleaned, lines, make_cub

from data_prep.cub import crop_box, main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.evaluation.protocols import mean_pose_error
from pplkit.geometry.coordinates import sides_per_unit


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_cub(tmp_path / "CUB")


@pytest.mark.parametrize(
    ("width", "height", "box", "expected"),
    [
        (64, 48, (16, 8, 32, 24), (16, 4, 48, 36)),  # centre (32, 20), side 32, nothing clipped
        (64, 48, (0, 8, 32, 16), (0, 0, 32, 32)),
        (64, 48, (4, 8, 56, 16), (4, 0, 60, 44)),  # centre (32, 16), half 28: clipped above
        (70, 50, (0, 0, 70, 50), (3, 1, 67, 49)),  # 70 -> 64, 3 on both sides; 50 -> 48, 1 on both
        (70, 50, (10, 15, 20, 10), (10, 10, 33, 31)),  # nothing clipped: right and lower edge 3 and 1 farther out
    ],
)
def test_crop_by_hand(width: int, height: int, box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert crop_box(width, height, np.array(box, float)) == expected


@pytest.mark.parametrize("size", [32, 64])
def test_a_part_lies_on_its_pixel(source: Path, tmp_path: Path, size: int) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=size))
    train = data["train"]
    red = np.asarray(train.images)[0, ..., 0].astype(float)
    y, x = np.indices(red.shape)
    centre = np.array([(x * red).sum(), (y * red).sum()]) / red.sum()
    assert train.keypoints is not None and train.visible is not None
    np.testing.assert_allclose((train.keypoints[0, 1] + 1) / 2 * (size - 1), centre, atol=0.05)
    if size == 32:  # the crop starts at (16, 4) and keeps its scale
        np.testing.assert_allclose(centre, (4, 26))
    assert train.visible.sum(1).tolist() == [1, 1] and np.isnan(train.keypoints[0, 0]).all()


def test_splits_classes_names_and_grey_pictures(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=32))
    assert (data.protocol, data.class_names, data.keypoint_names[6]) == ("cub", ["001.A", "002.B"], "left eye")
    assert data.flip_pairs == [(6, 10), (7, 11), (8, 12)]
    assert data["train"].sources == ["001.A/1.png", "002.B/3.png"] and data["test"].sources == ["002.B/2.png"]
    assert data["train"].classes is not None and data["train"].classes.tolist() == [0, 1]
    grey = np.asarray(data["train"].images)[1]
    assert np.ptp(grey, axis=-1).max() == 0 and grey.max() > 0


def test_only_the_chosen_classes_are_kept(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=32, classes=[2]))
    assert data.class_names == ["002.B"] and data.options == {"classes": [2], "variant": "all"}
    assert data["train"].sources == ["002.B/3.png"] and data["train"].classes.tolist() == [0]  # type: ignore[union-attr]


def test_the_aligned_variant_has_the_splits_of_its_lists(source: Path, tmp_path: Path) -> None:
    cleaned(source, train=["002.B/2.png"], val=["001.A/1.png"], test=["002.B/3.png"])
    data = open_dataset(prepare(source, tmp_path / "out", size=32, variant="aligned"))
    assert {name: split.sources for name, split in data.splits.items()} == {
        "val": ["001.A/1.png"], "train": ["002.B/2.png"], "test": ["002.B/3.png"],
    }  # fmt: skip
    assert data.options == {"classes": None, "variant": "aligned"} and len(data.keypoint_names) == 15
    cleaned(source, val=["001.A/9.png"])
    with pytest.raises(PplkitError, match=r"cachedir.* lists 001\.A/9\.png, which images\.txt does not have"):
        prepare(source, tmp_path / "out2", size=32, variant="aligned")
    (source / "cachedir/cub/data/test_cub_cleaned.mat").write_bytes(b"text")
    with pytest.raises(PplkitError, match=r"test_cub_cleaned\.mat cannot be read as a MATLAB file"):
        prepare(source, tmp_path / "out2", size=32, variant="aligned")


def test_birds_outside_the_lists_are_left_out(source: Path, tmp_path: Path) -> None:
    cleaned(source, train=["002.B/2.png"], val=[], test=["002.B/3.png"])
    data = open_dataset(prepare(source, tmp_path / "out", size=32, variant="aligned"))
    assert {name: split.sources for name, split in data.splits.items()} == {
        "train": ["002.B/2.png"], "test": ["002.B/3.png"],
    }  # fmt: skip


def test_classes_are_those_of_the_variant(source: Path, tmp_path: Path) -> None:
    lines(source / "classes.txt", ["1 001.A", "2 002.B", "3 003.C", "4 004.D"])
    data = open_dataset(prepare(source, tmp_path / "out", size=32, variant="three"))
    assert data.class_names == ["001.A", "002.B", "003.C"]
    for options, message in (
        ({"variant": "three", "classes": [4]}, r"classes has \[4\]; choose ids from 1 to 3"),
        ({"variant": "some"}, "variant is 'some'; choose one of all, three, aligned"),
        ({"variant": "aligned"}, r"train_cub_cleaned\.mat is missing; get it from"),
    ):
        with pytest.raises(PplkitError, match=message):
            prepare(source, tmp_path / "out2", size=32, **options)  # type: ignore[arg-type]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:30])


def drop_last(file: Path) -> None:
    lines(file, file.read_text().splitlines()[:-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: (s / "bounding_boxes.txt").unlink(), r"bounding_boxes\.txt is missing"),
        (lambda s: (s / "parts/part_locs.txt").unlink(), r"part_locs\.txt is missing"),
        (lambda s: (s / "images.txt").write_text(""), r"images\.txt is empty"),
        (lambda s: drop_last(s / "train_test_split.txt"), r"train_test_split\.txt has no line for image 3"),
        (lambda s: drop_last(s / "parts/part_locs.txt"), r"part_locs\.txt has 44 lines, not 15 parts"),
        (lambda s: lines(s / "parts/part_locs.txt", ["1 1 0.0 0.0"]), r"part_locs\.txt has 4 columns in line 1"),
        (lambda s: lines(s / "bounding_boxes.txt", ["1 a b c d"]), r"bounding_boxes\.txt holds .* not a number"),
        (lambda s: lines(s / "bounding_boxes.txt", [f"{i} 99 9 8 8" for i in (1, 2, 3)]), r"box outside .*1\.png"),
        (lambda s: lines(s / "parts/parts.txt", ["1 beak", "2 tail", "3 back"]), r"parts\.txt lacks belly"),
        (lambda s: (s / "images/001.A/1.png").unlink(), r"1\.png is missing"),
        (lambda s: cut(s / "images/002.B/2.png"), r"2\.png cannot be read as an image"),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(source)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(source, tmp_path / "made" / "out", size=32, strict=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("made/*"))


def test_the_command_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), str(tmp_path / "out"), "--size", "32", "--classes", "2"]) == 0
    assert "1 test, 1 train images of 32 pixels" in capsys.readouterr().out
    for arguments, message in (
        ([str(tmp_path / "nowhere"), "x"], "no folder"),
        ([str(source), str(tmp_path / "new"), "--classes", "7"], "choose ids from 1 to 2"),
        ([str(source), str(tmp_path / "out")], "already holds a data set"),
    ):
        assert main(arguments) == 2
        errors = capsys.readouterr().err.splitlines()
        assert errors[-1].startswith("data_prep: ") and message in errors[-1] and "Traceback" not in "".join(errors)


@pytest.fixture(scope="module")
def birds(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("birds") / "cub"
    return open_dataset(prepare(real_data / "CUB_200_2011", out, variant="three"))


def test_the_three_classes_are_complete(birds: Dataset) -> None:
    assert (len(birds["train"]), len(birds["test"])) == (90, 88)
    for split in birds.splits.values():
        assert split.visible is not None and split.keypoints is not None
        assert np.abs(split.keypoints[split.visible]).max() < 1.2  # annotators' boxes are a little tight


@pytest.mark.parametrize(("number", "percent"), [(0, 25.5), (1, 24.3), (2, 25.9)])
def test_the_mean_pose_has_the_known_error(birds: Dataset, number: int, percent: float) -> None:
    train, test = birds["train"], birds["test"]
    assert test.classes is not None and test.keypoints is not None and test.visible is not None
    assert train.keypoints is not None
    rows = test.classes == number
    score = mean_pose_error("cub", train.keypoints, test.keypoints[rows], train.visible, test.visible[rows])
    side = 2 * sides_per_unit(test.images.shape[1])  # errors are shares of the side, scores of the way from -1 to 1
    assert 100 * side * float(score) == pytest.approx(percent, abs=0.05)
