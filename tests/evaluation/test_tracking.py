"""Tracks against the truth: the map from keypoints to joints, what is smoothed, and each number by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pplkit.data.dataset import Split
from pplkit.evaluation.tracking import LabelledTracks, joint_map, track_videos, tracking_report, tracking_summary
from pplkit.geometry.trajectories import smooth
from pplkit.inference.tracking import confidence_weights
from pplkit.models.prior.outputs import Poses

TIME = np.arange(40)
PATH = np.stack((0.5 * np.sin(TIME / 6), 0.3 * np.cos(TIME / 9)), axis=-1)  # (40, 2), slow
BOTH = np.stack((PATH, PATH[::-1]), axis=1)  # (40, 2, 2)
SWING = np.where(TIME % 2, 0.01, -0.01)[:, None, None]  # its acceleration is 0.04 for each coordinate


def split(truth: np.ndarray | None, videos: list[int] | None) -> Split:
    """Images whose first pixel is the number of the frame."""
    images = np.zeros((len(TIME), 4, 4, 3), np.uint8)
    images[:, 0, 0, 0] = TIME
    names = np.asarray(videos, np.int32) if videos else None
    return Split("films", images, truth, None, names, None, None, [str(t) for t in TIME])


def answering(points: np.ndarray, confidence: np.ndarray | None = None) -> Any:
    """A model of images of 11 pixels a side that answers these points for the frames of `split`."""
    certain = np.ones((40, 2)) if confidence is None else confidence

    def estimate(images: np.ndarray, procedure: str) -> Poses:
        assert procedure == "published"
        frames = images[:, 0, 0, 0]
        return Poses(torch.from_numpy(points[frames]), torch.from_numpy(certain[frames]))

    return SimpleNamespace(estimate=estimate, config=SimpleNamespace(image_size=11))


def same(points: np.ndarray) -> np.ndarray:
    return points


def test_joints_are_linear_in_the_keypoints_also_where_some_have_no_label() -> None:
    keypoints = np.random.default_rng(0).uniform(-1, 1, (30, 3, 2)).astype(np.float32)
    true = np.stack((keypoints[:, 0] - 0.5 * keypoints[:, 2] + 0.1, keypoints[:, 1, ::-1] - 0.2), axis=1)
    labels = true.copy()
    labels[::3, 0] = np.nan
    labels[1::3, 1, 1] = np.nan  # half a label is none
    np.testing.assert_allclose(joint_map(keypoints, labels)(keypoints), true, atol=1e-6)


def test_a_joint_without_any_label_stays_unknown() -> None:
    labels = BOTH.copy()
    labels[:, 0] = np.nan
    joints = joint_map(BOTH, labels)(BOTH)
    assert np.isnan(joints[:, 0]).all()
    np.testing.assert_allclose(joints[:, 1], BOTH[:, 1], atol=1e-9)
    report = tracking_report([LabelledTracks(labels, joints, joints)], 10)
    assert report["error_found"] == pytest.approx(0, abs=1e-9) and abs(report["lag"]) < 0.05


def test_videos_are_tracked_one_by_one_and_smoothed_as_tracks_are() -> None:
    points = BOTH + SWING
    confidence = np.linspace(0.4, 0.9, 80).reshape(40, 2)
    confidence[7, 1] = 0.01  # hardly seen: counts for nothing
    videos = split(BOTH, [3] * 25 + [8] * 15)
    first, second = track_videos(answering(points, confidence), videos, lambda joints: joints[:, ::-1], smoothing=0.5)
    for tracks, part in ((first, slice(0, 25)), (second, slice(25, 40))):
        np.testing.assert_array_equal(tracks.truth, BOTH[part])
        np.testing.assert_allclose(tracks.raw, points[part, ::-1])
        steady = smooth(points[part], TIME[part], 0.1, confidence_weights(confidence[part]))  # half of 2 / 10
        np.testing.assert_allclose(tracks.smooth, steady[:, ::-1])


def test_what_has_no_jitter_is_left_out() -> None:
    for truth, videos in ((None, [1] * 40), (BOTH, None)):
        assert track_videos(answering(BOTH), split(truth, videos), same) == []
    sparse = BOTH.copy()
    sparse[2:18:3] = np.nan  # of the first video, two frames in a row at most
    sparse[24:26, 0] = np.nan
    (tracks,) = track_videos(answering(BOTH + SWING), split(sparse, [1] * 18 + [2] * 2 + [3] * 20), same)
    np.testing.assert_array_equal(tracks.truth, sparse[20:])
    assert all(np.isfinite(value) for value in tracking_report([tracks], 10).values())


def test_numbers_by_hand() -> None:
    better = LabelledTracks(BOTH, BOTH + (0.03, 0.04) + SWING, BOTH + (0.03, 0.04) + 0.25 * SWING)
    side = 9 / 20  # of images of 10 pixels
    alone = tracking_report([better], 10)
    assert (alone["films"], alone["frames"], alone["jitter_left"], alone["halved"]) == (1, 40, pytest.approx(0.25), 1)
    assert alone["jitter_found"] == pytest.approx(side * 0.04 * np.sqrt(2))  # of both coordinates
    assert alone["jitter_smooth"] == pytest.approx(side * 0.01 * np.sqrt(2))
    assert alone["error_smooth"] == pytest.approx(side * 0.05, rel=1e-2) and abs(alone["lag"]) < 0.05

    worse = tracking_report([better, LabelledTracks(BOTH, BOTH + SWING, BOTH + 0.6 * SWING)], 10)
    assert (worse["halved"], worse["jitter_left"]) == (0.5, pytest.approx((0.25 + 0.6) / 2))

    long, swing = np.concatenate((BOTH, BOTH[::-1])), np.concatenate((SWING, SWING))
    early = LabelledTracks(long, long + swing, np.concatenate((long[2:], long[-2:])) + 0.6 * swing)
    both = tracking_report([better, early], 10)  # a video counts once, however long it is
    assert (both["films"], both["frames"]) == (2, 120)
    assert both["largest_lag"] == pytest.approx(2, abs=0.1) and both["lag"] == pytest.approx(-1, abs=0.1)
    assert both["error_found"] == pytest.approx((alone["error_found"] + side * 0.01 * np.sqrt(2)) / 2)
    assert both["jitter_found"] == pytest.approx(side * 0.04 * np.sqrt(2), rel=1e-3)


def test_short_videos_have_no_lag_and_frames_without_a_label_do_not_count() -> None:
    report = tracking_report([LabelledTracks(BOTH[:39], BOTH[:39], BOTH[:39])], 10)
    assert (report["jitter_found"], report["jitter_left"], report["halved"]) == (0, 1, 0)  # nothing to take away
    assert "lag" not in report and len(tracking_summary(report)) == 3
    truth = BOTH.copy()
    truth[::7] = np.nan
    report = tracking_report([LabelledTracks(truth, BOTH + 0.1, BOTH)], 10)
    assert report["error_found"] == pytest.approx(9 / 20 * 0.1 * np.sqrt(2)) and report["error_smooth"] == 0


def test_the_summary() -> None:
    report = {
        "films": 2, "frames": 80, "error_found": 0.0214, "error_smooth": 0.02, "jitter_found": 0.0123,
        "jitter_smooth": 0.005, "jitter_left": 0.374, "halved": 0.5, "lag": 0.08, "largest_lag": 0.18,
    }  # fmt: skip
    assert tracking_summary(report) == [
        "2 videos, 80 frames",
        "error 2.14 % of the image side raw, 2.00 smooth",
        "jitter 1.23 % per frame² raw, 0.50 smooth: 0.37 of it is left, at most half in 50% of the videos",
        "lag 0.08 frames, at most 0.18",
    ]
