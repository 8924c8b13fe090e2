"""The head that places landmarks by their looks: what it learns, when it is left out, its file."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import to_unit
from pplkit.inference.estimate import Estimator
from pplkit.inference.landmarks import landmark_head
from pplkit.inference.landmarks.labeled_files import LabeledImages
from pplkit.inference.landmarks.landmark_head import LandmarkHead, fit_head, head_file, load_head
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner

SIZE, NAMES = 64, ["left tip", "right tip"]


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    """One that has learned nothing, whose features are those of fixed random weights."""
    torch.manual_seed(0)
    made = PosePriorLearner(tiny.replace(image_size=SIZE, paint_size=32, backbone="random")).eval()
    assert made.backbone is not None
    made.backbone.standardize([torch.from_numpy(spots(8, 5).images).permute(0, 3, 1, 2) / 127.5 - 1])
    return made


def spots(count: int, seed: int) -> LabeledImages:
    """Images with a red spot on the left and a green one on the right half; their centers are the landmarks."""
    rng = np.random.default_rng(seed)
    places = rng.integers([[6, 6], [38, 6]], [[26, 58], [58, 58]], (count, 2, 2))
    images = np.full((count, SIZE, SIZE, 3), 60, np.uint8)
    for image, points in zip(images, places, strict=True):
        for channel, (x, y) in enumerate(points):
            image[y - 4 : y + 5, x - 4 : x + 5] = np.eye(3)[channel] * 255
    return LabeledImages(images, to_unit(places.astype(float), SIZE), NAMES)


def map_of(model: PosePriorLearner, labeled: LabeledImages) -> LandmarkMap:
    keypoints = model.estimate(labeled.images).keypoints.numpy()
    return fit_landmarks(keypoints, labeled.labels, labeled.names, SIZE)


def distances(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """In image sides."""
    return np.asarray(np.linalg.norm(points - labels, axis=-1) / 2)


def test_it_finds_what_no_keypoint_lies_on(model: PosePriorLearner, tmp_path: Path) -> None:
    labeled, others = spots(12, 0), spots(12, 1)
    landmarks = map_of(model, labeled)
    fit = fit_head(model, labeled, landmarks)
    assert fit.head is not None and fit.head_error < 0.7 * fit.map_error
    assert fit.summary().endswith("looks count")
    expected = landmarks.apply(model.estimate(others.images).keypoints.numpy())
    points, confidence = fit.head.locate(model, others.images, expected)
    assert distances(points, others.labels).mean() < 0.04 < 0.15 < distances(expected, others.labels).mean()
    assert confidence.shape == (12, 2) and (confidence > 0).all() and (confidence <= 1 + 1e-6).all()
    again = fit_head(model, labeled, landmarks)
    assert again.head is not None and torch.equal(again.head.score.weight, fit.head.score.weight)
    file = head_file(tmp_path / "landmarks.json")
    assert load_head(file, landmarks, model) is None
    fit.head.save(file, landmarks)
    landmarks.save(tmp_path / "landmarks.json")
    loaded = load_head(file, LandmarkMap.load(tmp_path / "landmarks.json"), model)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.locate(model, others.images, expected)[0], points)
    with pytest.raises(PplkitError, match="fitted with another map"):
        load_head(file, dataclasses.replace(landmarks, offsets=landmarks.offsets + 1e-9), model)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PplkitError, match="is no head"):
        load_head(file, landmarks, model)


def test_it_is_left_out_where_it_does_not_help(
    model: PosePriorLearner, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    labeled = spots(6, 0)
    landmarks = map_of(model, labeled)
    few = LabeledImages(labeled.images[:3], labeled.labels[:3], NAMES)
    plain = PosePriorLearner(tiny.replace(image_size=SIZE, paint_size=32)).eval()
    for fit in (fit_head(model, few, landmarks), fit_head(plain, labeled, landmarks)):
        assert fit.head is None and math.isnan(fit.map_error) and math.isnan(fit.head_error)
        assert "need a prior with a backbone" in fit.summary()
    monkeypatch.setattr(landmark_head, "STEPS", 2)
    fit = fit_head(model, labeled._replace(labels=np.zeros_like(labeled.labels)), landmarks)
    assert fit.head is None and fit.head_error >= fit.map_error and fit.summary().endswith("looks do not count")


def test_a_place_is_the_product_of_looks_and_what_the_map_expects() -> None:
    """Equal scores leave the map's place; a high score of a far cell wins where the map is unsure, not where it is."""
    for spread, wins in ((0.1, False), (10.0, True), (math.inf, True)):
        head = LandmarkHead(1, SIZE, torch.tensor([spread])).eval()
        for layer in (head.reduce, head.mix, head.score):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        head.reduce.weight.data[0] = head.score.weight.data[0, 0] = 3.0
        features, expected = torch.zeros(1, 1, 16, 16), torch.tensor([[[0.5, 0.5]]])
        if math.isfinite(spread):
            near, _ = head.places(features, expected)
            assert (near - expected).abs().max() < 2 / 16
        features[0, 0, 2, 3] = 1.0  # a score of 9
        point, share = head.places(features, expected)
        cell = torch.tensor([3.5, 2.5]) / 8 - 1
        assert bool((point[0, 0] - cell).abs().max() < 2 / 16) is wins
        assert 0 < float(share) <= 1


def test_an_estimator_with_a_head_gives_its_places(model: PosePriorLearner, tmp_path: Path) -> None:
    from PIL import Image

    labeled = spots(2, 3)
    Image.fromarray(labeled.images[0]).save(tmp_path / "a.png")
    landmarks = map_of(model, labeled)
    head = LandmarkHead(model.backbone.channels, SIZE, torch.full((2,), 0.1)).eval()  # type: ignore[union-attr]
    estimator = Estimator(model, landmarks=landmarks, head=head)
    pose = next(estimator.file_poses(estimator.frames([tmp_path / "a.png"])))
    expected = landmarks.apply(model.estimate(labeled.images[:1]).keypoints.numpy())
    points, confidence = head.locate(model, labeled.images[:1], expected)
    np.testing.assert_allclose(pose.points, (points[0] + 1) * (SIZE - 1) / 2, atol=1e-3)
    np.testing.assert_allclose(pose.confidence, confidence[0], atol=1e-6)
    without = dataclasses.replace(estimator, head=None)
    assert not np.allclose(next(without.file_poses(without.frames([tmp_path / "a.png"]))).points, pose.points)
