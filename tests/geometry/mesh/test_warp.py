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


def test_two_landmarks_scale_along_their_line() -> None:
    """From a distance of 1 to one of 3: the uniform scale holds in all directions."""
    start = np.array([[0.0, 0, 0], [1, 0, 0]])
    moved = landmark_warp(np.array([[0.5, 2, 0]]), start, 3 * start + [0, 0, 1])
    assert moved[0] == pytest.approx([1.5, 6, 1])


def test_linear_maps_are_exact_everywhere() -> None:
    start, points, matrix = RNG.normal(size=(12, 3)), RNG.normal(size=(30, 3)), RNG.normal(size=(3, 3))
    moved = landmark_warp(points, start, start @ matrix.T + [1, -2, 3])
    assert moved == pytest.approx(points @ matrix.T + [1, -2, 3], abs=1e-6)


def test_across_the_plane_of_the_landmarks_the_uniform_scale_holds() -> None:
    """Half as large again in the plane, so in depth as well; the bend in the plane does not reach into depth."""
    start = np.concatenate([RNG.random((8, 2)), np.zeros((8, 1))], 1)
    moved = landmark_warp(np.array([[0.3, 0.4, 0.2]]), start, 1.5 * start)
    assert moved[0] == pytest.approx([0.45, 0.6, 0.3], abs=1e-6)
    bent = start + 0.1 * start[:, :1] * start[:, 1:2] * [1, 0, 0]
    above, below = landmark_warp(np.array([[0.3, 0.4, 0.1], [0.3, 0.4, -0.1]]), start, bent)
    assert above == pytest.approx(below * [1, 1, -1], abs=1e-6)


def test_landmarks_without_sense_are_refused() -> None:
    start = RNG.random((4, 3))
    for bad, end, words in (
        (start, start[:3], r"shapes \(4, 3\) and \(3, 3\): give \(L, 3\)"),
        (np.concatenate([start, start[1:2]]), np.zeros((5, 3)), "1 and 4 lie in one place: leave one out"),
        (start * np.nan, start, "not finite"),
    ):
        with pytest.raises(PplkitError, match=words):
            landmark_warp(start, bad, end)
