"""Smooth trajectories, gaps, jitter and lag: by hand and by invariants."""

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.geometry.trajectories import bending_bands, jitter, lag, short_gaps, smooth


def swings(frames: int = 120, points: int = 3) -> np.ndarray:
    """Smooth paths (T, N, 2) of amplitude 10."""
    time = np.arange(frames)[:, None, None]
    return 10 * np.sin(2 * np.pi * time / np.array([40, 55, 70])[:points, None] + np.array([0, 1.5]))


def even(frames: int) -> np.ndarray:
    return np.arange(frames) / 25


def test_the_bands_are_those_of_second_differences() -> None:
    differences = np.diff(np.eye(7), 2, axis=0)
    bands = bending_bands(even(7))
    for row, shift in ((2, 0), (1, 1), (0, 2)):
        np.testing.assert_allclose(bands[row, shift:], np.diag(differences.T @ differences, shift), atol=1e-9)


def test_five_points_by_hand() -> None:
    """The system (1 + λ D'D) z = x solved directly, for the λ that was chosen: all of `within` is used."""
    points = np.array([0.0, 1, 0, 1, 0])[:, None, None] * [1.0, 0.0]
    result = smooth(points, even(5), 0.2)
    assert np.sqrt(np.square(result - points).sum(-1).mean()) == pytest.approx(0.2, rel=0.03)
    bend = np.diff(np.eye(5), 2, axis=0).T @ np.diff(np.eye(5), 2, axis=0)
    strength = (points[:, 0, 0] - result[:, 0, 0])[2] / (bend @ result[:, 0, 0])[2]
    np.testing.assert_allclose((np.eye(5) + strength * bend) @ result[:, 0, 0], points[:, 0, 0], atol=1e-9)
    np.testing.assert_array_equal(result[:, 0, 1], 0)


def test_smoothing_removes_noise_and_keeps_motion_without_lag() -> None:
    truth = swings()
    noisy = truth + np.random.default_rng(0).normal(0, 0.35, truth.shape)
    result = smooth(noisy, even(120), 0.5)
    assert jitter(result, truth) < 0.15 * jitter(noisy, truth)
    assert np.linalg.norm(result - truth, axis=-1).mean() < 0.6 * np.linalg.norm(noisy - truth, axis=-1).mean()
    assert abs(lag(result, truth)) < 0.02
    past = np.stack([truth[max(0, t - 4) : t + 1].mean(0) for t in range(120)])
    assert lag(past, truth) == pytest.approx(2, abs=0.1)  # as a mean over past frames does not


def test_a_straight_line_stays_and_time_has_no_direction() -> None:
    line = np.arange(30.0)[:, None, None] * [1.0, -0.5] + 3
    np.testing.assert_allclose(smooth(line, even(30), 0.5), line, atol=1e-3)
    noisy = swings(60) + np.random.default_rng(1).normal(0, 0.5, (60, 3, 2))
    forward, backward = smooth(noisy, even(60), 0.5), smooth(noisy[::-1], even(60), 0.5)
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)
    np.testing.assert_array_equal(smooth(noisy, even(60), 0.0), noisy)
    assert np.isfinite(smooth(noisy[:2], even(2), 0.5)).all() and smooth(noisy[:1], even(1), 0.5).shape == (1, 3, 2)


def test_confident_frames_count_more() -> None:
    points = np.zeros((21, 1, 2))
    points[10] = 4.0
    weights = np.ones((21, 1))
    confident, unsure = smooth(points, even(21), 0.5, weights), weights.copy()
    unsure[10] = 0.05
    assert abs(smooth(points, even(21), 0.5, unsure)[10]).max() < 0.5 * abs(confident[10]).max()


def test_times_of_frames_count() -> None:
    """Even motion sampled unevenly is a straight line in time, and stays; by number of frame it would be bent."""
    seconds = np.cumsum(np.where(np.arange(40) % 4, 0.04, 0.16))
    points = seconds[:, None, None] * [50.0, 20.0]
    np.testing.assert_allclose(smooth(points, seconds, 1.0), points, atol=1e-3)
    assert np.abs(smooth(points, even(40), 1.0) - points).max() > 0.1


def test_unknown_frames_are_filled_from_both_sides() -> None:
    truth = swings(80)
    points, weights = truth.copy(), np.ones((80, 3))
    points[30:34, 0], weights[30:34, 0] = 99.0, 0
    result = smooth(points, even(80), 0.02, weights)
    assert np.abs(result[30:34, 0] - truth[30:34, 0]).max() < 0.1  # a straight line would be off by 0.7
    weights[:, 1], weights[:2, 1] = 0, 1  # two frames are too few to smooth
    assert np.isfinite(smooth(points, even(80), 0.2, weights)).all()
    assert np.isfinite(smooth(points, even(80), 0.2, np.zeros((80, 3)))).all()


def test_short_gaps_lie_between_known_frames() -> None:
    known = np.array([0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0], bool)[:, None]
    assert np.flatnonzero(short_gaps(known, 2)).tolist() == [3, 4]
    assert np.flatnonzero(short_gaps(known, 3)).tolist() == [3, 4, 7, 8, 9]
    assert not short_gaps(known, 0).any()


def test_jitter_is_the_acceleration() -> None:
    """Places 0, 0, 1, 0, 0 along x: accelerations 1, -2, 1, so the mean square is 2."""
    points = np.array([0.0, 0, 1, 0, 0])[:, None, None] * [1.0, 0.0]
    assert jitter(points) == pytest.approx(np.sqrt(2))
    assert jitter(points + swings(5, 1), swings(5, 1)) == pytest.approx(np.sqrt(2))
    points[0] = np.nan
    assert jitter(points) == pytest.approx(np.sqrt(2.5))
    assert np.isnan(jitter(points[:2]))


@pytest.mark.parametrize("frames", [-2, -0.4, 0, 0.25, 1.5, 3])
def test_lag_is_measured_between_frames(frames: float) -> None:
    time = np.arange(200)[:, None, None]

    def path(shift: float) -> np.ndarray:
        return np.sin((time - shift) / np.array([5, 8])[:, None] + np.array([0, 1]))

    assert lag(path(frames), path(0)) == pytest.approx(frames, abs=0.03)
    with pytest.raises(PplkitError, match="39 frames are too few to measure a lag: give 40"):
        lag(path(0)[:39], path(0)[:39])


def test_motion_that_stops_has_no_lag_and_no_motion_has_no_number() -> None:
    """Cross-correlation would put what stops at its end early, as there is more motion before."""
    time = np.minimum(np.arange(40), 20)[:, None, None]
    path = np.sin(time / np.array([5.0, 8.0])[:, None] + np.array([0, 1]))
    assert lag(path, path) == pytest.approx(0, abs=0.05)
    assert np.isnan(lag(path, np.zeros_like(path))) and np.isnan(lag(path, np.full_like(path, np.nan)))
    partial = path.copy()
    partial[:, 1] = np.nan  # an unlabeled point does not count
    assert lag(path, partial) == pytest.approx(0, abs=0.05)
