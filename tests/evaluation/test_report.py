"""What the evaluation reports, from a model that knows the answers and from a model that never looked."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data_prep.synthetic.puppets import generate, layout
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation import memory_analysis
from pplkit.evaluation.report import Scorer, evaluation_report
from pplkit.models.prior.config import Config
from pplkit.models.prior.memory import HierarchicalMemory
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Poses
from pplkit.models.prior.pose_prior import PosePrior

SHAPE = layout("humanoid")


def write(out: Path, protocol: str = "cub", frames: int = 12, **arrays: Any) -> Dataset:
    """A set of 32-pixel humanoids with more training images than the linear map has unknowns for a coordinate."""
    metadata: dict[str, Any] = {
        "name": "puppets", "size": 32, "keypoint_names": SHAPE.keypoint_names, "skeleton": SHAPE.skeleton,
        "groups": SHAPE.groups, "protocol": protocol,
    }  # fmt: skip
    metadata |= arrays.pop("metadata", {})
    with DatasetWriter(out, **metadata) as writer:
        for split, videos, seed in (("train", 6, 0), ("test", 2, 1)):
            made = generate("humanoid", videos, frames, size=32, seed=seed)
            given = {"keypoints": made.keypoints, "videos": made.videos, "masks": made.masks}
            given |= {key: make(len(made.images)) for key, make in arrays.items()}
            writer.add(split, made.images, **{key: value for key, value in given.items() if value is not None})
    return open_dataset(out)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(tmp_path_factory.mktemp("labelled") / "puppets")


class Knowing:
    """Stands in for a model: finds each image in the data set and answers its label, moved by `off`."""

    made_by = {"run": "knowing"}

    def __init__(self, data: Dataset, off: float = 0.0) -> None:
        self.off = off
        self.config, self.alpha = SimpleNamespace(banks=3, vectors=4, regression="free"), torch.ones(())
        self.memory = HierarchicalMemory(len(SHAPE.keypoint_names), 3, 4, 8).eval()
        self.labels = {}
        for split in data.splits.values():
            if split.keypoints is None:
                continue
            for image, points in zip(split.images, split.keypoints, strict=True):
                self.labels[np.asarray(image).tobytes()] = torch.from_numpy(np.array(points))

    def estimate(self, images: np.ndarray, *, procedure: str) -> Poses:
        assert procedure == "published"  # whatever else the model can do
        result = torch.stack([self.labels[image.tobytes()] for image in images])
        return Poses(result + self.off, torch.ones(result.shape[:2]))

    def prior(self) -> PosePrior:
        count = len(SHAPE.keypoint_names)
        weights = np.zeros((count, count), np.float32)
        for i, j in SHAPE.skeleton:
            weights[i, j] = weights[j, i] = 1
        return PosePrior(np.zeros((count, 2), np.float32), weights)


def knowing(data: Dataset, off: float = 0.0) -> Any:
    return Knowing(data, off)


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    made = PosePriorLearner(tiny).eval()
    made.made_by = {"run": "untrained"}
    return made


def test_the_map_is_fitted_on_labelled_images_alone(tmp_path: Path) -> None:
    made = generate("humanoid", 6, 12, size=32, seed=0)
    points, partly = made.keypoints, made.keypoints.copy()
    partly[::3] = np.nan
    shape: dict[str, Any] = {"size": 32, "keypoint_names": SHAPE.keypoint_names, "protocol": "taichi"}
    for name in ("partly", "apart"):
        with DatasetWriter(tmp_path / name, name=name, **shape) as writer:
            writer.add("train", made.images, keypoints=partly if name == "partly" else None)
            if name == "apart":
                writer.add("labelled", made.images, keypoints=points)
            writer.add("test", made.images[:2], keypoints=points[:2])
    apart = open_dataset(tmp_path / "apart")
    model = knowing(apart)
    np.testing.assert_allclose(Scorer(model, apart).joints(points), points, atol=1e-5)
    for name, limit, count in (("partly", None, 48), ("partly", 40, 40), ("apart", None, 72), ("apart", 40, 40)):
        scorer = Scorer(model, open_dataset(tmp_path / name), limit)
        assert len(scorer.index) == len(scorer.keypoints) == count
        assert name == "apart" or (scorer.index % 3 > 0).all()
        assert float(scorer(points[:2], np.arange(2))) == pytest.approx(0, abs=1e-3)


def test_a_model_that_knows_the_labels_has_no_error(data: Dataset) -> None:
    model = knowing(data)
    report = evaluation_report(model, data)
    assert report["error"] == pytest.approx(0, abs=1e-5)
    assert report["mean_pose_error"] > 0.02 and report["relative_error"] < 1e-3
    assert report["test_images"] == 24 and report["protocol"] == "cub" and report["made_by"] == {"run": "knowing"}
    # Its links are the true skeleton: on the object but for single pixels, and covered in full.
    assert report["strong_links"] == len(SHAPE.skeleton)
    assert report["keypoints_on_object"] > 0.9 and report["links_on_object"] > 0.9
    assert report["skeleton_covered"] == pytest.approx(1)
    assert set(report["limbs_covered"]) == set(SHAPE.groups)
    assert all(share == pytest.approx(1) for share in report["limbs_covered"].values())
    assert report["unused_vectors"] in [k / 12 for k in range(12)] and report["unused_shift"] > 0
    labels = np.array(data["test"].keypoints)
    assert report["prior_offsets"] == memory_analysis.prior_offsets(model, labels)
    assert "prior_share" not in report  # its poses come from no affine maps
    json.dumps(report)


def test_a_model_that_is_off_is_off_the_object(data: Dataset) -> None:
    """The linear map takes the shift back; the pictures do not."""
    report = evaluation_report(knowing(data, off=0.7), data, limit=7)
    assert report["relative_error"] < 0.2 and report["test_images"] == 7
    assert report["keypoints_on_object"] < 0.3 and report["skeleton_covered"] < 0.3


def test_the_mean_pose_is_scored_as_by_hand(data: Dataset) -> None:
    """Protocol cub fits a constant for each coordinate: the mean of the training labels."""
    scorer = Scorer(knowing(data), data)
    train, test = np.array(data["train"].keypoints), np.array(data["test"].keypoints)
    pixels = np.linalg.norm(test - train.mean(0), axis=-1).mean() * (data.size - 1) / 2
    expected = pixels / data.size  # in shares of the image side
    assert float(scorer.mean_pose(np.arange(24))) == pytest.approx(expected, rel=1e-5)


def test_classes_are_scored_alone(tmp_path: Path) -> None:
    with_classes = write(
        tmp_path / "birds", classes=lambda n: (np.arange(n) % 2).astype(np.int32),
        metadata={"class_names": ["even", "odd", "none"]},
    )  # fmt: skip
    report = evaluation_report(knowing(with_classes), with_classes)
    assert set(report["classes"]) == {"even", "odd"}  # the third has no test image
    scores = [report["classes"][name] for name in ("even", "odd")]
    assert all(score["error"] == pytest.approx(0, abs=1e-5) for score in scores)
    assert scores[0]["mean_pose_error"] != scores[1]["mean_pose_error"]
    # The two halves of the test images make up the whole.
    mean = sum(score["mean_pose_error"] for score in scores) / 2
    assert mean == pytest.approx(report["mean_pose_error"], rel=0.02)


def test_hidden_labels_do_not_count(tmp_path: Path) -> None:
    """The first label is wrong by a lot where it is not visible; protocol cub never looks there."""

    def visible(count: int) -> np.ndarray:
        seen = np.ones((count, len(SHAPE.keypoint_names)), bool)
        seen[:, 0] = False
        return seen

    hidden = write(tmp_path / "hidden", visible=visible)
    model = knowing(hidden)
    error = evaluation_report(model, hidden)
    points = np.array(hidden["test"].keypoints)
    points[:, 0] += 5
    object.__setattr__(hidden["test"], "keypoints", points)
    assert evaluation_report(model, hidden)["error"] == pytest.approx(error["error"])


def test_pictures_are_not_scored(tmp_path: Path) -> None:
    pictures = write(tmp_path / "pictures", protocol="pictures")
    report = evaluation_report(knowing(pictures), pictures)
    assert "error" not in report and report["keypoints_on_object"] > 0.9
    with pytest.raises(PplkitError, match="pictures has no labels to score against"):
        Scorer(knowing(pictures), pictures)


def test_a_real_model_can_be_reported_on(model: PosePriorLearner, data: Dataset) -> None:
    report = evaluation_report(model, data)
    assert 0 < report["error"] < 1 and 0 <= report["keypoints_on_object"] <= 1
    assert report["made_by"] == {"run": "untrained"}
    json.dumps(report)
