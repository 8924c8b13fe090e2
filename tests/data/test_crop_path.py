"""Squares around one object: which blob is followed, how large squares are, how steady, and what is none of it."""

import numpy as np
import pytest

from pplkit.data.crop_path import astray, followed, in_parts, rivals, sides_over, squares_around, stays, together


def blob(x: float, y: float, side: float = 10, weight: float = 1.0) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2, weight]


def line(frames: int, start: float = 20, step: float = 1.0) -> list[np.ndarray]:
    return [np.array([blob(start + step * k, 50)]) for k in range(frames)]


def test_the_path_keeps_to_one_object_though_another_is_larger_for_a_while() -> None:
    rows = line(20)
    for k in (8, 9, 10):
        rows[k] = np.array([blob(150, 90, 11, 1.0), rows[k][0].tolist()[:4] + [0.6]])
    rows[15] = np.empty((0, 5))
    actual = followed(rows)
    expected = np.array([20.0 + k for k in range(20)])
    expected[15] = np.nan
    np.testing.assert_allclose((actual[:, 0] + actual[:, 2]) / 2, expected)


def test_a_blob_of_another_size_than_usual_is_not_followed() -> None:
    rows = line(10)
    rows[0] = np.array([blob(60, 60, 80, 1.0), [*rows[0][0][:4], 0.3]])
    np.testing.assert_allclose(followed(rows)[0], rows[1][0, :4] - [1, 0, 1, 0])


def test_objects_that_are_nowhere_leave_nothing() -> None:
    assert np.isnan(followed([np.empty((0, 5))] * 3)).all()


def test_a_square_of_constant_size_with_its_margin_in_the_middle() -> None:
    chosen = np.array([[30.0 + 2 * k, 40, 50 + 2 * k, 50] for k in range(30)])
    boxes, result, area = squares_around(chosen, np.arange(30.0), 0.25)
    assert result.all() and area == 400
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], 30)
    np.testing.assert_allclose(boxes[:, 3] - boxes[:, 1], 30)
    np.testing.assert_allclose(boxes[:, 0], 25 + 2 * np.arange(30), atol=0.05)
    np.testing.assert_allclose(boxes[:, 1], 30, atol=0.05)


def test_gaps_are_filled_and_squares_are_smoother_than_what_was_found() -> None:
    random = np.random.default_rng(0)
    middle = np.stack([100 + 60 * np.sin(np.arange(200) / 20), np.full(200, 80.0)], axis=1)
    shaky = middle + random.normal(0, 1.0, middle.shape)
    chosen = np.concatenate([shaky - 10, shaky + 10], axis=1)
    chosen[50:60] = np.nan
    chosen[120] += 90  # something else
    boxes, result, _ = squares_around(chosen, np.arange(200.0), 0.2)
    assert result.sum() == 189 and not result[50:60].any() and not result[120]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.abs(np.diff(centres, 2, axis=0)).mean() < 0.3 * np.abs(np.diff(shaky, 2, axis=0))[130:].mean()
    assert np.abs(centres - middle)[:50].max() < 3 and np.abs(centres - middle)[50:60].max() < 6
    assert abs(centres[120] - middle[120]).max() < 3


def test_jumps_of_frames_in_no_order_are_kept() -> None:
    middle = np.random.default_rng(0).uniform(20, 200, (60, 2))
    extent, result = np.full(60, 10.0), np.ones(60, bool)
    assert not astray(middle, extent, result).any()
    boxes, _, _ = squares_around(np.concatenate([middle - 5, middle + 5], axis=1), np.arange(60.0), 0.2)
    assert np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).max() < 3


def test_the_size_of_squares() -> None:
    extent = np.full(300, 10.0)
    extent[7], extent[100:110] = 1000, 14
    np.testing.assert_allclose(sides_over(extent, np.ones(300, bool)), 10)
    nearer = np.linspace(10, 40, 600)
    side = sides_over(nearer, np.ones(600, bool))
    assert (np.abs(np.diff(side)) < 0.12).all() and side[-1] / side[0] > 2.4 and (side[:-60] > nearer[:-60]).all()


@pytest.mark.parametrize(("travel", "changes", "expected"), [(0.5, 0, True), (3, 0, False), (1.5, 0.4, True)])
def test_what_keeps_to_its_place_is_seen_in_parts(travel: float, changes: float, expected: bool) -> None:
    along = np.linspace(0, travel * 10, 50)
    half = 5 * np.exp(changes * np.sin(np.arange(50)))
    chosen = np.stack([along - half, -half, along + half, half], axis=1)
    assert stays(chosen) == expected and in_parts(chosen) == (changes > 0)


def test_several_objects_and_what_is_around_all() -> None:
    rows = [np.array([blob(20, 20), blob(80, 40, weight=0.5)]), np.array([blob(20, 20), blob(50, 90, weight=0.1)])]
    assert rivals([*rows, np.empty((0, 5)), rows[1]]) == 0.25
    result = together([*rows * 50, np.empty((0, 5))])
    assert [len(row) for row in result] == [1] * 100 + [0]
    np.testing.assert_allclose(result[0][0, :4], [15, 15, 85, 45], atol=0.01)
