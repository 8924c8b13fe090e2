"""Tai Chi: frames on disk and in videos, joints on their pixels, masks, splits, scores, and every fault."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sources import landmarks, make_taichi

from data_prep.taichi import NAMES, main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.evaluation.protocols import evaluate, mean_pose_error


def labels_of(source: Path) -> Path:
    return source / "landmark/taichi_test_gt.npz"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_taichi(tmp_path / "taichi")


@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_joint_lies_on_its_pixel(source: Path, tmp_path: Path, size: int) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=size))
    for split in ("labelled", "test"):
        points = data[split].keypoints
        assert points is not None
        red = np.asarray(data[split].images)[0, ..., 0].astype(float)
        y, x = np.indices(red.shape)
        centre = np.array([(x * red).sum(), (y * red).sum()]) / red.sum()
        np.testing.assert_allclose((points[0, 1] + 1) / 2 * (size - 1), centre, atol=0.25)
        assert np.isnan(points[:, 0]).all() and np.isnan(points[:, 2:]).all()  # half a label is none
    if size == 256:  # (row, column) 200, 60 is x = 60, y = 200
        np.testing.assert_allclose(points[0, 1], (60 / 255 * 2 - 1, 200 / 255 * 2 - 1), atol=1e-6)


def test_frames_of_folders_and_videos_train(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=16, every=2))
    train = data["train"]
    assert train.videos is not None and train.videos.tolist() == [0, 0, 0, 1, 1] and train.keypoints is None
    grey = np.asarray(train.images)[:, 8, 8, 0].astype(int)
    assert np.abs(grey - [0, 20, 40, 0, 20]).max() <= 4
    assert train.sources == [
        "a.mp4/0000000.png", "a.mp4/0000002.png", "a.mp4/0000004.png", "b.mp4 frame 0", "b.mp4 frame 2",
    ]  # fmt: skip
    assert data.options == {"every": 2} and data.protocol == "taichi"


def test_splits_masks_and_names(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), str(tmp_path / "out"), "--size", "32"]) == 0
    assert "9 train, 2 labelled, 1 test images of 32 pixels" in capsys.readouterr().out
    data = open_dataset(tmp_path / "out")
    assert data.labelled is data["labelled"] and data["labelled"].sources == ["train/x_0.png", "train/x_1.png"]
    masks = data["test"].masks
    assert masks is not None and data["labelled"].masks is None
    assert np.asarray(masks)[0, :, 3].tolist() == [0] * 16 + [255] * 16
    assert len(data.keypoint_names) == 18 and len(data.skeleton) == 17
    assert all("right" in NAMES[right] and "left" in NAMES[left] for left, right in data.flip_pairs)
    assert len(data.flip_pairs) == 8


def test_the_protocol_takes_these_labels(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=256))
    train, test = data.labelled.keypoints, data["test"].keypoints
    assert train is not None and test is not None
    # The mean pose is the training joint: 29 columns and 100 rows away.
    assert float(mean_pose_error("taichi", train, test)) == pytest.approx(129, abs=0.01)
    # Rows without any label change nothing.
    more = np.concatenate((train, np.full((3, 18, 2), np.nan)))
    constant = [np.zeros((count, 1, 2)) for count in (5, 1)]
    assert float(evaluate("taichi", constant[0], more, constant[1], test)) == pytest.approx(129, abs=0.01)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: (s / "train").rename(s / "old"), r"there is no folder .*train; give the folder"),
        (lambda s: labels_of(s).unlink(), r"taichi_test_gt\.npz is missing; download"),
        (
            lambda s: labels_of(s).rename(labels_of(s).with_suffix(".pkl")),
            r"convert taichi_test_gt\.pkl once",
        ),
        (lambda s: labels_of(s).write_bytes(b"text"), r"taichi_test_gt\.npz cannot be read"),
        (
            lambda s: landmarks(s, "test", ["y_0.png"], value=np.zeros((1, 17, 2))),
            r"does not hold 18 x 2 pixels for each of 1 files",
        ),
        (lambda s: landmarks(s, "test", ["z.png"]), r"z\.png is missing"),
        (lambda s: (s / "train/b.mp4").write_bytes(b"text"), r"b\.mp4 cannot be read as a video"),
        (lambda s: (s / "taichi-test-masks/y_0.png").unlink(), r"taichi-test-masks/y_0\.png is missing"),
        (
            lambda s: Image.new("RGB", (64, 32)).save(s / "eval_images/taichi-256/test/y_0.png"),
            r"y_0\.png has 64 x 32 pixels, its labels are of 256 x 256",
        ),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(source)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(source, tmp_path / "out", size=16, strict=True)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_documented_conversion_gives_the_labels(source: Path, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    for part, names in (("train", ["x_0.png", "x_1.png"]), ("test", ["y_0.png"])):
        with np.load(source / f"landmark/taichi_{part}_gt.npz") as file:
            table = pd.DataFrame({"file_name": names, "value": list(file["value"])})
        table.to_pickle(source / f"landmark/taichi_{part}_gt.pkl")
        (source / f"landmark/taichi_{part}_gt.npz").unlink()
    before = open_dataset(prepare(make_taichi(tmp_path / "other"), tmp_path / "before", size=32))
    page = (Path(__file__).parents[2] / "docs/data_sets.md").read_text(encoding="utf8")
    (code,) = [block for block in page.split("```python\n") if "read_pickle" in block]
    exec(code.split("```")[0], {"DIR": source})
    after = open_dataset(prepare(source, tmp_path / "after", size=32))
    assert before.sha256 == after.sha256


def test_a_torn_frame_is_left_out_and_named(source: Path, tmp_path: Path) -> None:
    (source / "train/a.mp4/0000001.png").write_bytes(b"text")
    data = open_dataset(prepare(source, tmp_path / "out", size=16))
    assert len(data["train"]) == 8 and [name for name, _ in data.dropped] == ["a.mp4/0000001.png"]
    with pytest.raises(PplkitError, match="every is 0; give 1 for all frames"):
        prepare(source, tmp_path / "out2", every=0)
