"""Estimators of the loop: both kinds are trained and give joints in camera space, gaps or not."""

from pathlib import Path

import numpy as np
import pytest

from pplkit.experiments.loop_estimators import WalkPairs, interpolated, load_lift, train
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.motion.estimator_config import EstimatorConfig

LIFTING = LiftingConfig.preset("lift-small").replace(width=24, depth=1, heads=2, steps=2, batch_size=4)
PUBLISHED = EstimatorConfig(channels=8, blocks=1, steps=2, batch_size=4)


@pytest.mark.parametrize("config", [LIFTING, PUBLISHED], ids=["lifting", "published"])
def test_an_estimator_is_trained_continued_from_another_and_lifts(
    config: LiftingConfig | EstimatorConfig, tmp_path: Path
) -> None:
    pairs = WalkPairs(30.0)
    train(config, pairs, tmp_path / "first", None)
    train(config, pairs, tmp_path / "second", tmp_path / "first")
    batch = pairs(9, 1, 40)
    keypoints, confidence = batch.keypoints[0], np.ones((40, 17), np.float32)
    points = load_lift(config, tmp_path / "second")(keypoints, confidence)
    assert points.shape == (40, 17, 3) and np.isfinite(points).all()
    confidence[3:8, 5] = 0
    keypoints = keypoints.copy()
    keypoints[3:8, 5] = 50.0  # not looked at
    gaps = load_lift(config, tmp_path / "second")(keypoints, confidence)
    assert np.isfinite(gaps).all() and np.abs(gaps).max() < 50


def test_gaps_are_straight_lines() -> None:
    keypoints, confidence = np.zeros((5, 2, 2)), np.ones((5, 2))
    keypoints[:, 1, 0] = [0, 9, 9, 9, 4]
    confidence[1:4, 1] = 0
    np.testing.assert_allclose(interpolated(keypoints, confidence)[:, 1, 0], [0, 1, 2, 3, 4])
    confidence[:, 1] = 0
    np.testing.assert_allclose(interpolated(keypoints, confidence)[:, 1], keypoints[:, 0])
