"""Tracks: smoothing by hand and by its invariants, gaps, jitter, lag, the table, and a video from end to end."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.geometry.trajectories import bending, smooth
from pplkit.inference import tracking as module
from pplkit.inference.tracking import Tracks, jitter, lag, short_gaps, summary, write_tracks


def swings(frames: int = 120, points: int = 3) -> np.ndarray:
    """Smooth paths (T, N, 2) of amplitude 10."""
    time = np.arange(frames)[:, None, None]
    return 10 * np.sin(2 * np.pi * time / np.array([40, 55, 70])[:points, None] + np.array([0, 1.5]))


def even(frames: int) -> np.ndarray:
    return np.arange(frames) / 25


def test_the_bands_are_those_of_second_differences() -> None:
    differences = np.diff(np.eye(7), 2, axis=0)
    bands = bending(even(7))
    for row, shift in ((2, 0), (1, 1), (0, 2)):
        np.testing.assert_allclose(bands[row, shift:], np.diag(differences.T @ differences, shift), atol=1e-9)


def test_five_points_by_hand() -> None:
    """The system (1 + λ D'D) z = x solved as it stands, for the λ that was chosen: all of `within` is used."""
    points = np.array([0.0, 1, 0, 1, 0])[:, None, None] * [1.0, 0.0]
    made = smooth(points, even(5), 0.2)
    assert np.sqrt(np.square(made - points).sum(-1).mean()) == pytest.approx(0.2, rel=0.03)
    bend = np.diff(np.eye(5), 2, axis=0).T @ np.diff(np.eye(5), 2, axis=0)
    strength = (points[:, 0, 0] - made[:, 0, 0])[2] / (bend @ made[:, 0, 0])[2]
    np.testing.assert_allclose((np.eye(5) + strength * bend) @ made[:, 0, 0], points[:, 0, 0], atol=1e-9)
    np.testing.assert_array_equal(made[:, 0, 1], 0)


def test_noise_goes_and_motion_stays_without_lag() -> None:
    truth = swings()
    noisy = truth + np.random.default_rng(0).normal(0, 0.35, truth.shape)
    made = smooth(noisy, even(120), 0.5)
    assert jitter(made, truth) < 0.15 * jitter(noisy, truth)
    assert np.linalg.norm(made - truth, axis=-1).mean() < 0.6 * np.linalg.norm(noisy - truth, axis=-1).mean()
    assert abs(lag(made, truth)) < 0.02


def test_a_straight_line_stays_and_time_has_no_direction() -> None:
    line = np.arange(30.0)[:, None, None] * [1.0, -0.5] + 3
    np.testing.assert_allclose(smooth(line, even(30), 0.5), line, atol=1e-3)
    noisy = swings(60) + np.random.default_rng(1).normal(0, 0.5, (60, 3, 2))
    forth, back = smooth(noisy, even(60), 0.5), smooth(noisy[::-1], even(60), 0.5)
    np.testing.assert_allclose(forth, back[::-1], atol=1e-6)
    np.testing.assert_array_equal(smooth(noisy, even(60), 0.0), noisy)
    assert np.isfinite(smooth(noisy[:2], even(2), 0.5)).all() and smooth(noisy[:1], even(1), 0.5).shape == (1, 3, 2)


def test_frames_that_are_sure_count_more() -> None:
    points = np.zeros((21, 1, 2))
    points[10] = 4.0
    weights = np.ones((21, 1))
    sure, unsure = smooth(points, even(21), 0.5, weights), weights.copy()
    unsure[10] = 0.05
    assert abs(smooth(points, even(21), 0.5, unsure)[10]).max() < 0.5 * abs(sure[10]).max()


def test_what_is_much_less_sure_than_usual_counts_for_nothing() -> None:
    confidence = np.array([[0.9, 0.9], [0.1, 0.8], [0, 0], [0, 0], [0, 0]])  # frames that cannot be read are not usual
    np.testing.assert_allclose(module.trusted(confidence), [[0.81, 0.81], [0, 0.64], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(module.trusted(confidence, 0.0), confidence**2)
    assert not module.trusted(np.zeros((3, 2))).any()


def test_times_of_frames_count() -> None:
    """Even motion sampled unevenly is a straight line in time, and stays; by number of frame it would be bent."""
    seconds = np.cumsum(np.where(np.arange(40) % 4, 0.04, 0.16))
    points = seconds[:, None, None] * [50.0, 20.0]
    np.testing.assert_allclose(smooth(points, seconds, 1.0), points, atol=1e-3)
    assert np.abs(smooth(points, even(40), 1.0) - points).max() > 0.1


def test_what_is_not_known_is_filled_from_both_sides() -> None:
    truth = swings(80)
    points, weights = truth.copy(), np.ones((80, 3))
    points[30:34, 0], weights[30:34, 0] = 99.0, 0
    made = smooth(points, even(80), 0.02, weights)
    assert np.abs(made[30:34, 0] - truth[30:34, 0]).max() < 0.1  # a straight line would be off by 0.7
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


def test_what_has_no_lag_has_none_however_short_it_is_and_still_things_have_no_number() -> None:
    """Cross-correlation would put what stops at its end early, as there is more motion before."""
    time = np.minimum(np.arange(40), 20)[:, None, None]
    path = np.sin(time / np.array([5.0, 8.0])[:, None] + np.array([0, 1]))
    assert lag(path, path) == pytest.approx(0, abs=0.05)
    assert np.isnan(lag(path, np.zeros_like(path))) and np.isnan(lag(path, np.full_like(path, np.nan)))
    some = path.copy()
    some[:, 1] = np.nan  # a point that is not labelled does not count
    assert lag(path, some) == pytest.approx(0, abs=0.05)


def test_a_mean_over_past_frames_lags_and_these_do_not() -> None:
    truth = swings(120)
    past = np.stack([truth[max(0, t - 4) : t + 1].mean(0) for t in range(120)])
    assert lag(past, truth) == pytest.approx(2, abs=0.1)


def some_tracks() -> Tracks:
    found = np.arange(8.0).reshape(2, 2, 2)
    points = found + 0.25
    points[1, 0] = np.nan
    sure, filled = np.array([[0.5, 0.25], [0.01, 1.0]]), np.array([[False, True], [False, False]])
    return Tracks(["a", "b"], np.array([0.0, 0.04]), points, found, sure, filled, 32.0)


def test_the_table_has_a_line_for_each_point_of_each_frame(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "tracks.csv", some_tracks())
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(module.HEADER) and len(rows) == 4
    assert list(rows[1].values()) == ["0", "0.0000", "b", "2.25", "3.25", "0.2500", "1", "2.00", "3.00"]
    assert (rows[2]["x"], rows[2]["y"], rows[2]["found_x"]) == ("", "", "4.00")
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.csv"]
    with pytest.raises(PplkitError, match="tracks.csv cannot be written"):
        write_tracks(tmp_path / "none" / "tracks.csv", some_tracks())
    said = summary(some_tracks())
    assert "2 frames, 2 points" in said[0] and said[1:] == ["filled 25.0%, left open 25.0%"]  # too few to be unsteady
