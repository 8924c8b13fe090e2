"""Figures of the evaluation, read back from what matplotlib is going to draw."""

import numpy as np
import pytest

from pplkit import viz
from pplkit.data.schema import error_unit

REPORT = {
    "protocol": "h36m", "error": 0.05, "mean_pose_error": 0.08,
    "classes": {"001.Tall_Bird": {"error": 0.04, "mean_pose_error": 0.1}},
}  # fmt: skip


def test_error_bars_are_in_per_cent_and_beside_the_mean_pose() -> None:
    (axis,) = viz.error_bars(REPORT).axes
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert np.allclose(heights, [[5.0, 4.0], [8.0, 10.0]])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["all", "Tall\nBird"]
    assert "%" in axis.get_ylabel()


@pytest.mark.parametrize(
    ("protocol", "scale", "word"), [("taichi", 1, "pixels"), ("cub", 100, "%"), ("matching", 100, "squared")]
)
def test_each_protocol_has_its_unit(protocol: str, scale: float, word: str) -> None:
    assert error_unit(protocol)[0] == scale and word in error_unit(protocol)[1]


def test_the_worst_keypoint_is_at_the_top_and_an_unlabelled_one_left_out() -> None:
    (axis,) = viz.keypoint_errors("h36m", ["a", "left_b", "c"], np.array([0.02, 0.05, np.nan]), np.ones(3)).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "left b"]
    assert np.allclose([bar.get_width() for bar in axis.patches], [2.0, 5.0])


def test_coverage_is_in_per_cent_from_the_top() -> None:
    (axis,) = viz.coverage_bars({"left_arm": 0.5, "head": 1.0}).axes
    assert [(bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in axis.patches] == [(50, 1), (100, 0)]


def test_best_and_worst_are_sorted_by_the_error_of_the_known_points() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    labels = np.zeros((3, 2, 2))
    predictions = labels.copy()
    predictions[:, 0, 0] = np.array([0.2, 0.04, 0.1]) * 32 / 31  # 10, 2 and 5 % of the side, in pixels
    labels[:, 1] = np.nan
    figure = viz.best_and_worst(images, predictions, labels, [], count=2)
    assert [axis.get_title() for axis in figure.axes] == ["2.0 %", "5.0 %", "10.0 %", "5.0 %"]
    assert (figure.axes[0].images[0].get_array() == images[1]).all()
