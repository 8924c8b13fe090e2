"""Keypoints and links against masks and skeletons that are simple enough to count by hand."""

import math

import numpy as np
import pytest

from pplkit.geometry.coverage import links_on_object, on_object, skeleton_coverage

LEFT_HALF = np.zeros((1, 10, 10), np.uint8)
LEFT_HALF[:, :, :5] = 255  # x up to -1/9 is nearest to column 4 or less, x from 1/9 to column 5 or more


def pose(*points: tuple[float, float]) -> np.ndarray:
    return np.array([points], float)


@pytest.mark.parametrize(
    ("points", "fraction"),
    [
        ([(-1, -1), (-0.1, 0.9), (0.1, 0), (1, 1)], 0.5),
        ([(-1.2, 0), (-0.5, 1.2), (math.nan, 0), (-1.05, 0)], 0.25),  # outside is off; -1.05 is pixel 0 still
        ([(-0.9, 0.9)], 1),  # x is the column
        ([(0.9, -0.9)], 0),
    ],
)
def test_keypoints_on_the_object_by_hand(points: list[tuple[float, float]], fraction: float) -> None:
    assert on_object(pose(*points), LEFT_HALF) == fraction


def test_links_on_the_object_by_hand() -> None:
    points = pose((-1, 0), (1, 0), (-1, 1), (1, -1))
    assert links_on_object(points, [(0, 1)], LEFT_HALF) == pytest.approx(0.5, abs=0.02)
    assert links_on_object(points, [(0, 2)], LEFT_HALF) == 1
    # Lengths 2 (half on) and 1 (all on) and 1 (all off): (1 + 1) / 4
    assert links_on_object(points, [(0, 1), (0, 2), (1, 3)], LEFT_HALF) == pytest.approx(0.5, abs=0.02)
    assert math.isnan(links_on_object(points, [], LEFT_HALF))


def test_coverage_by_hand() -> None:
    labels = pose((-1, 0), (1, 0), (1, 1))
    skeleton = [(0, 1), (1, 2)]  # lengths 2 and 1
    keypoints = pose((-1, 0.05), (0, 0.05), (0.9, 0.5), (0.9, 0.5))
    half, groups = skeleton_coverage(keypoints, [(0, 1)], labels, skeleton, groups={"arm": [0], "leg": [1]})
    # The link covers x from -1 to sqrt(0.1² - 0.05²) = 0.087 of the first bone.
    assert groups == {"arm": pytest.approx(1.087 / 2, abs=0.02), "leg": 0}
    assert half == pytest.approx(1.087 / 3, abs=0.02)
    # A link without length is a point: it covers what lies within the radius of it.
    total, _ = skeleton_coverage(keypoints, [(2, 3)], labels, skeleton, radius=0.1 + 1e-9 + 0.2)
    assert total == pytest.approx(2 * math.sqrt(0.3**2 - 0.1**2) / 3, abs=0.02)


def test_coverage_is_one_for_the_skeleton_zero_without_links_and_counts_labelled_bones_only() -> None:
    labels = np.random.default_rng(0).uniform(-1, 1, (4, 5, 2))
    skeleton = [(0, 1), (1, 2), (3, 4)]
    assert skeleton_coverage(labels, skeleton, labels, skeleton, radius=1e-6)[0] == pytest.approx(1)
    assert skeleton_coverage(labels, [], labels, skeleton)[0] == 0
    labels = np.array([[(-1, 0), (0, 0), (1, 0)], [(-1, 0), (0, 0), (math.nan, 0)]], float)
    covered, _ = skeleton_coverage(labels[:1].repeat(2, 0), [(0, 1)], labels, [(0, 1), (1, 2)], radius=1e-6)
    assert covered == pytest.approx(2 / 3)
