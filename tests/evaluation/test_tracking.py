"""Films against the truth: the map from keypoints to joints, what is smoothed, and each number by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pplkit.data.dataset import Split
from pplkit.evaluation.tracking import Film, follow, joint_map, report, summary
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


def seeing(points: np.ndarray, confidence: np.ndarray) -> Any:
    """A model of images of 11 pixels a side that finds these points in the frames of `split`."""

    def estimate(images: np.ndarray, procedure: str) -> Poses:
        assert procedure == "published"
        frames = images[:, 0, 0, 0]
        return Poses(torch.from_numpy(points[frames]), torch.from_numpy(confidence[frames]))

    return SimpleNamespace(estimate=estimate, config=SimpleNamespace(image_size=11))


def test_joints_follow_a_linear_map_also_where_some_have_no_label() -> None:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-1, 1, (30, 3, 2)).astype(np.float32)
    true = np.stack((keypoints[:, 0] - 0.5 * keypoints[:, 2] + 0.1, keypoints[:, 1, ::-1] - 0.2), axis=1)
    labels = true.copy()
    labels[::3, 0] = np.nan
    labels[1::3, 1, 1] = np.nan  # half a label is none
    np.testing.assert_allclose(joint_map(keypoints, labels)(keypoints), true, atol=1e-6)


def test_films_are_followed_one_by_one_and_smoothed_as_tracks_are() -> None:
    found = BOTH + SWING
    confidence = np.linspace(0.4, 0.9, 80).reshape(40, 2)
    confidence[7, 1] = 0.01  # hardly seen: counts for nothing
    model = seeing(found, confidence)
    swapped = lambda points: points[:, ::-1]  # noqa: E731
    first, second = follow(model, split(BOTH, [3] * 25 + [8] * 15), swapped, smoothing=0.5)
    for film, part in ((first, slice(0, 25)), (second, slice(25, 40))):
        np.testing.assert_array_equal(film.truth, BOTH[part])
        np.testing.assert_allclose(film.found, found[part, ::-1])
        steady = smooth(found[part], TIME[part], 0.1, confidence_weights(confidence[part]))  # half of 2 / 10
        np.testing.assert_allclose(film.smooth, steady[:, ::-1])
    assert confidence_weights(confidence)[7].tolist() == [pytest.approx(confidence[7, 0] ** 2), 0]


@pytest.mark.parametrize(("truth", "videos"), [(None, [1] * 40), (BOTH, None)])
def test_a_split_without_labels_or_videos_has_no_films(truth: np.ndarray | None, videos: list[int] | None) -> None:
    assert follow(seeing(BOTH, np.ones((40, 2))), split(truth, videos), lambda points: points) == []


def test_films_without_three_labelled_frames_in_a_row_are_left_out() -> None:
    truth = BOTH.copy()
    truth[2:18:3] = np.nan  # of the first film, two in a row at most
    truth[24:26, 0] = np.nan
    videos = [1] * 18 + [2] * 2 + [3] * 20
    (film,) = follow(seeing(BOTH + SWING, np.ones((40, 2))), split(truth, videos), lambda points: points)
    np.testing.assert_array_equal(film.truth, truth[20:])
    assert all(np.isfinite(value) for value in report([film], 10).values())


def test_a_joint_that_nobody_labelled_stays_unknown() -> None:
    labels = BOTH.copy()
    labels[:, 0] = np.nan
    made = joint_map(BOTH, labels)(BOTH)
    assert np.isnan(made[:, 0]).all()
    np.testing.assert_allclose(made[:, 1], BOTH[:, 1], atol=1e-9)
    numbers = report([Film(labels, made, made)], 10)
    assert numbers["error_found"] == pytest.approx(0, abs=1e-9) and abs(numbers["lag"]) < 0.05


def test_numbers_of_films_by_hand() -> None:
    better = Film(BOTH, BOTH + (0.03, 0.04) + SWING, BOTH + (0.03, 0.04) + 0.25 * SWING)
    side = 9 / 20  # of images of 10 pixels
    one = report([better], 10)
    assert (one["films"], one["frames"], one["jitter_left"], one["halved"]) == (1, 40, pytest.approx(0.25), 1)
    assert one["jitter_found"] == pytest.approx(side * 0.04 * np.sqrt(2))  # of both coordinates
    assert one["jitter_smooth"] == pytest.approx(side * 0.01 * np.sqrt(2))
    assert one["error_smooth"] == pytest.approx(side * 0.05, rel=1e-2) and abs(one["lag"]) < 0.05

    worse = report([better, Film(BOTH, BOTH + SWING, BOTH + 0.6 * SWING)], 10)
    assert (worse["halved"], worse["jitter_left"]) == (0.5, pytest.approx((0.25 + 0.6) / 2))

    long = np.concatenate((BOTH, BOTH[::-1]))
    swing = np.concatenate((SWING, SWING))
    early = Film(long, long + swing, np.concatenate((long[2:], long[-2:])) + 0.6 * swing)
    both = report([better, early], 10)
    assert (both["films"], both["frames"]) == (2, 120)
    assert both["largest_lag"] == pytest.approx(2, abs=0.1) and both["lag"] == pytest.approx(-1, abs=0.1)
    # A film counts once, however long it is.
    assert both["error_found"] == pytest.approx((one["error_found"] + side * 0.01 * np.sqrt(2)) / 2)
    assert both["jitter_found"] == pytest.approx(side * 0.04 * np.sqrt(2), rel=1e-3)


def test_what_is_right_stays_so_and_short_films_have_no_lag() -> None:
    short = Film(BOTH[:39], BOTH[:39], BOTH[:39])
    numbers = report([short], 10)
    assert (numbers["jitter_found"], numbers["jitter_left"], numbers["halved"]) == (0, 1, 0)  # nothing to take away
    assert "lag" not in numbers and len(summary(numbers)) == 3


def test_frames_without_a_label_do_not_count() -> None:
    truth = BOTH.copy()
    truth[::7] = np.nan
    numbers = report([Film(truth, BOTH + 0.1, BOTH)], 10)
    assert numbers["error_found"] == pytest.approx(9 / 20 * 0.1 * np.sqrt(2)) and numbers["error_smooth"] == 0


def test_the_summary_says_it_in_words() -> None:
    numbers = {
        "films": 2, "frames": 80, "error_found": 0.0214, "error_smooth": 0.02, "jitter_found": 0.0123,
        "jitter_smooth": 0.005, "jitter_left": 0.374, "halved": 0.5, "lag": 0.08, "largest_lag": 0.18,
    }  # fmt: skip
    assert summary(numbers) == [
        "2 films, 80 frames",
        "error 2.14 % of the image side as found, 2.00 smooth",
        "jitter 1.23 % per frame² as found, 0.50 smooth: 0.37 of it is left, at most half in 50% of the films",
        "lag 0.08 frames, at most 0.18",
    ]
