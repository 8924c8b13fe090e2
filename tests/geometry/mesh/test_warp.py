"""The warp meets its landmarks, and is smooth and modest between them."""

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.warp import landmark_warp

RNG = np.random.default_rng(0)


def test_landmarks_arrive_and_shifts_are_exact() -> None:
    start, end, points = RNG.random((9, 3)), RNG.random((9, 3)), RNG.random((20, 3))
    assert landmark_warp(start, start, end) == pytest.approx(end, abs=1e-9)
    assert landmark_warp(points, start, start + [1, 2, 3]) == pytest.approx(points + [1, 2, 3], abs=1e-9)
    assert landmark_warp(points, start[:1], end[:1]) == pytest.approx(points + end[0] - start[0])


def test_the_middle_of_two_landmarks_moves_by_the_mean() -> None:
    """By symmetry, whatever the kernel."""
    start = np.array([[0.0, 0, 0], [1, 0, 0]])
    assert landmark_warp(np.array([[0.5, 3, 0]]), start, start + [[0, 0, 1], [0, 0, 3]])[0] == pytest.approx(
        [0.5, 3, 2]
    )


def test_landmarks_in_a_plane_say_nothing_about_depth() -> None:
    start = np.concatenate([RNG.random((8, 2)), np.zeros((8, 1))], 1)
    moved = landmark_warp(np.array([[0.3, 0.4, 0.2]]), start, 1.5 * start)
    assert moved[0, 2] == pytest.approx(0.2)


def test_landmarks_without_sense_are_refused() -> None:
    start = RNG.random((4, 3))
    for bad, end, words in (
        (start, start[:3], r"shapes \(4, 3\) and \(3, 3\): give \(L, 3\)"),
        (np.concatenate([start, start[1:2]]), np.zeros((5, 3)), "1 and 4 lie in one place: leave one out"),
        (start * np.nan, start, "not finite"),
    ):
        with pytest.raises(PplkitError, match=words):
            landmark_warp(start, bad, end)
