"""Figures of tracks: what is drawn where, and what is left out."""

import numpy as np
import pytest

from pplkit.evaluation.tracking import LabelledTracks
from pplkit.geometry.trajectories import jitter
from pplkit.inference.tracking import Tracks
from pplkit.viz.drawing import BLUE, GRAY, ORANGE, RED
from pplkit.viz.tracking import jitter_bars, most_informative, tracks_over_time, tracks_vs_truth

SECONDS = np.arange(12) / 25


def some_tracks() -> Tracks:
    """Four points that move 0, 3, 2 and 1 pixels a frame; the second was filled once and is lost at the end."""
    smooth = SECONDS[:, None, None] * 25 * np.array([0, 3, 2, 1.0])[:, None] * (1, -1) + (10, 50)
    result = smooth + np.array([0.0, 0.4, 0.2, 0.1])[:, None] * (-1) ** np.arange(12)[:, None, None]
    filled = np.zeros((12, 4), bool)
    filled[5, 1] = True
    smooth[10:, 1] = np.nan
    confidence = np.linspace(0.2, 0.8, 48).reshape(12, 4)
    return Tracks(["0", "1", "nose_$tip$", "3"], SECONDS, smooth, result, confidence, filled, 64.0)


def test_points_over_time_are_drawn_raw_smooth_and_filled() -> None:
    tracks = some_tracks()
    figure = tracks_over_time(tracks, [1, 2])
    x, other, y, _, sure, _ = figure.axes
    lines = {line.get_color(): line for line in x.lines if line.get_color() in (BLUE, ORANGE)}
    np.testing.assert_array_equal(lines[ORANGE].get_xydata(), np.column_stack((SECONDS, tracks.raw[:, 1, 0])))
    np.testing.assert_array_equal(lines[BLUE].get_ydata(), tracks.points[:, 1, 0])
    (ring,) = (line for line in x.lines if line.get_markeredgecolor() == RED)
    np.testing.assert_array_equal(ring.get_xydata(), [[SECONDS[5], tracks.points[5, 1, 0]]])
    np.testing.assert_array_equal(y.lines[0].get_ydata(), tracks.raw[:, 1, 1])
    np.testing.assert_array_equal(sure.lines[0].get_ydata(), tracks.confidence[:, 1])
    assert y.yaxis_inverted() and not x.yaxis_inverted()
    titles = [x.get_title("left"), other.get_title("left")]
    assert titles == ["point 1", r"nose_\$tip\$"]
    assert (x.get_ylabel(), y.get_ylabel(), sure.get_ylabel()) == ("x (pixels)", "y (pixels, down)", "confidence")
    assert sure.get_xlabel() == "time (s)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["raw", "smooth", "filled, as hardly seen"]
    assert [text.get_text() for text in tracks_over_time(tracks, [0]).legends[0].get_texts()] == ["raw", "smooth"]


def test_points_to_show_go_from_the_stillest_to_the_liveliest() -> None:
    tracks = some_tracks()
    assert (
        most_informative(tracks.points) == [0, 2, 1]
        and most_informative(tracks.points, 4) == [0, 3, 2, 1]
        and most_informative(tracks.points, 9) == [0, 3, 2, 1]
    )
    lost = tracks.points.copy()
    lost[:, 1] = np.nan
    assert most_informative(lost, 2) == [0, 2]  # one that was never seen cannot be shown


def test_the_least_steady_point_is_at_the_top() -> None:
    tracks = some_tracks()
    (axis,) = jitter_bars(tracks).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "3", r"nose_\$tip\$", "1"]
    bars = [bar.get_width() for bar in axis.patches]
    assert bars == pytest.approx([0, 0, 0, 0], abs=1e-9)  # straight lines
    expected = 100 * jitter(tracks.raw[:, [1]]) / 64
    assert expected == pytest.approx(100 * 4 * 0.4 * np.sqrt(2) / 64)  # each frame turns by four times the swing
    assert axis.lines[0].get_xdata()[-1] == pytest.approx(expected)
    assert "% of the square's side per frame²" in axis.get_xlabel()


def test_joints_of_a_video_are_drawn_beside_the_truth() -> None:
    truth = np.stack([np.outer(np.arange(5), (0.1, -0.2)), np.zeros((5, 2))], axis=1)  # (5, 2, 2)
    figure = tracks_vs_truth(LabelledTracks(truth, truth + 0.04, truth + 0.02), ["left_hand", "tail"], size=50)
    x, moving, y, _ = figure.axes
    assert [axis.get_title("left") for axis in (x, moving)] == ["tail", "left hand"]  # the stillest first
    lines = {line.get_color(): line.get_ydata() for line in moving.lines}
    side = 49 / 100  # a unit of [-1, 1] is 24.5 of 50 pixels
    np.testing.assert_allclose(lines[GRAY], 100 * side * truth[:, 0, 0])
    np.testing.assert_allclose(lines[ORANGE] - lines[GRAY], 4 * side)
    np.testing.assert_allclose(lines[BLUE] - lines[GRAY], 2 * side)
    assert y.yaxis_inverted() and not x.yaxis_inverted()
    assert (x.get_ylabel(), y.get_ylabel(), y.get_xlabel()) == ("x (% of the side)", "y (%, down)", "frame")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth", "raw", "smooth"]
