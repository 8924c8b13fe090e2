"""Named landmarks: fits, errors of images left out, mirrored copies, points that change sides, files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.inference.landmarks.left_right import swap_sides

NAMES = ["nose", "left_hand", "right_hand"]


def bodies(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints in another order and a little away from the labels: right hand, left hand, nose, and a fourth."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(0, 0.2, (count, 1, 2))
    labels = middle + np.array([[0, -0.5], [0.4, 0], [-0.4, 0]]) + rng.normal(0, 0.1, (count, 3, 2))
    keypoints = np.concatenate((labels[:, ::-1] + (0, 0.1), rng.normal(0, 0.3, (count, 1, 2))), 1)
    return keypoints, labels


def mirrored(points: np.ndarray, order: list[int]) -> np.ndarray:
    return points[:, order] * (-1, 1)


def test_the_map_finds_the_landmarks_and_its_error() -> None:
    keypoints, labels = bodies(10)
    landmarks = fit_landmarks(keypoints, labels, NAMES, 64, made_by={"run": "a"})
    fresh, truth = bodies(200, 1)
    error = np.linalg.norm(landmarks.apply(fresh) - truth, axis=-1).mean(0) * 63 / 128
    assert (error < 0.01).all() and (landmarks.error < 0.01).all()
    assert landmarks.label_counts.tolist() == [10] * 3 and landmarks.pairs == [(1, 2)] and landmarks.sides is None
    assert landmarks.side_accuracy is None and not landmarks.mirrored and landmarks.made_by == {"run": "a"}


def test_the_error_is_that_of_images_left_out_of_the_fit() -> None:
    """Labels independent of the keypoints: the error is that of six maps without one image each."""
    keypoints = bodies(6)[0]
    labels = np.random.default_rng(5).normal(0, 0.3, (6, 1, 2))
    landmarks = fit_landmarks(keypoints, labels, ["nose"], 64)
    distances = []
    for image in range(6):
        rest = np.arange(6) != image
        expected = fit_landmarks(keypoints[rest], labels[rest], ["nose"], 64).apply(keypoints[[image]])
        distances.append(np.linalg.norm(expected - labels[image]))
    np.testing.assert_allclose(landmarks.error, np.mean(distances) * 63 / 128)
    others = [np.delete(labels, image, 0).mean(0) for image in range(6)]
    baseline = np.linalg.norm(np.array(others) - labels, axis=-1).mean(0) * 63 / 128
    np.testing.assert_allclose(landmarks.baseline_error, baseline)


def test_missing_labels_are_ignored() -> None:
    keypoints, labels = bodies(10)
    labels[1:, 0] = np.nan
    labels[3, 1] = np.nan
    landmarks = fit_landmarks(keypoints, labels, NAMES, 64)
    assert landmarks.label_counts.tolist() == [1, 9, 10]
    assert (
        np.isnan(landmarks.error[0])
        and np.isnan(landmarks.baseline_error[0])
        and np.isfinite(landmarks.error[1:]).all()
    )
    fresh, truth = bodies(50, 1)
    np.testing.assert_allclose(landmarks.apply(fresh)[:, 1:], truth[:, 1:], atol=0.05)


def test_mirrored_copies_are_used_where_they_help() -> None:
    """Each arm's label lies between two of its keypoints; in a mirrored image the arms have changed places."""
    rng = np.random.default_rng(3)
    arms = rng.normal(0, 0.2, (204, 2, 2, 2)) + np.array([[[0.4, 0]], [[-0.4, 0]]])  # image, side, joint, coordinate
    labels, keypoints = arms.mean(2), arms.reshape(-1, 4, 2)
    copies = mirrored(keypoints, [2, 3, 0, 1])
    names = ["left", "right"]
    with_copies = fit_landmarks(keypoints[:4], labels[:4], names, 64, copies[:4])
    without = fit_landmarks(keypoints[:4], labels[:4], names, 64)
    apart = [np.linalg.norm(one.apply(keypoints[4:]) - labels[4:], axis=-1).mean() for one in (with_copies, without)]
    assert with_copies.mirrored and apart[0] < apart[1]
    useless = rng.normal(0, 0.3, (4, 4, 2))
    assert not fit_landmarks(keypoints[:4], labels[:4], names, 64, useless).mirrored


def test_a_left_landmark_without_its_right_has_no_label_in_a_mirrored_image() -> None:
    keypoints, labels = bodies(6)
    names = ["nose", "left_hand"]
    copies = mirrored(keypoints, [1, 0, 2, 3])
    landmarks = fit_landmarks(keypoints, labels[:, :2], names, 64, copies)
    fresh, truth = bodies(50, 1)
    np.testing.assert_allclose(landmarks.apply(fresh), truth[:, :2], atol=0.05)


def test_sides_are_decided_where_keypoints_change_sides() -> None:
    """In every second image the two keypoints of the hands have changed places."""
    keypoints, labels = bodies(12)
    hands = [(0, 1)]  # of the keypoints
    changed = swap_sides(keypoints, hands, np.arange(12) % 2 == 1)
    landmarks = fit_landmarks(changed, labels, NAMES, 64)
    assert landmarks.sides is not None and landmarks.side_accuracy == 1.0 and (landmarks.error < 0.02).all()
    fresh, truth = bodies(100, 1)
    named = landmarks.apply(swap_sides(fresh, hands, np.arange(100) % 3 == 0))
    assert np.linalg.norm(named - truth, axis=-1).max() < 0.15  # a hand named the wrong way round is off by 0.8
    unswapped = landmarks.apply(fresh)
    assert np.linalg.norm(unswapped - truth, axis=-1).max() < 0.15


def test_undecidable_sides_stay_as_they_are() -> None:
    """People seen from the front and from behind: the hands' places alone do not say which is the left one."""
    keypoints, labels = bodies(12)
    behind = np.arange(12) % 2 == 1
    landmarks = fit_landmarks(keypoints, swap_sides(labels, [(1, 2)], behind), NAMES, 64)
    assert landmarks.sides is None and landmarks.side_accuracy is not None and landmarks.side_accuracy < 0.8
    assert landmarks.error[0] < 0.02 and landmarks.error[1] > 0.1  # and the error says so


def test_confidence_is_a_weighted_mean_over_keypoints() -> None:
    weights = np.zeros((2, 2, 3, 2))
    weights[0, :, 0] = np.eye(2)
    weights[1, :, 1], weights[1, :, 2] = 3 * np.eye(2), np.eye(2)
    zero = np.zeros(2)
    landmarks = LandmarkMap(["a", "b"], weights, np.zeros((2, 2)), zero, zero, zero)
    points = np.array([[[0.5, 0], [1, 1], [0.0, 1]]])
    np.testing.assert_allclose(landmarks.apply_with_confidence(points, np.array([[0.5, 0.8, 0.4]]))[1], [[0.5, 0.7]])
    sided = replace(landmarks, pairs=[(0, 1)], sides=np.array([[1.0, 0.0]]))  # the left one lies to the right
    named, sure = sided.apply_with_confidence(points, np.array([[0.5, 0.8, 0.4]]))
    np.testing.assert_allclose(
        (named, sure[..., None] * [1, 1]), (landmarks.apply(points)[:, ::-1], [[[0.7] * 2, [0.5] * 2]])
    )


def test_a_map_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    keypoints, labels = bodies(8)
    labels[1:, 0] = np.nan
    landmarks = fit_landmarks(
        swap_sides(keypoints, [(0, 1)], np.arange(8) % 2 == 1), labels, NAMES, 64, made_by={"run": "a"}
    )
    landmarks.save(tmp_path / "landmarks.json")
    assert [path.name for path in tmp_path.iterdir()] == ["landmarks.json"]
    content = json.loads((tmp_path / "landmarks.json").read_text())
    assert {"still", "told", "labelled"} <= content.keys()  # as of 0.1.0
    again = LandmarkMap.load(tmp_path / "landmarks.json")
    for name, value in vars(landmarks).items():
        np.testing.assert_array_equal(value, getattr(again, name))
    np.testing.assert_array_equal(again.apply(keypoints), landmarks.apply(keypoints))


def test_files_without_landmarks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.json"
    with pytest.raises(PplkitError, match="landmarks.json does not exist: run `pplkit landmarks`"):
        LandmarkMap.load(path)
    for content in ("{", "[]", json.dumps({"schema": "other"}), json.dumps({"schema": "pplkit-landmarks-1"})):
        path.write_text(content)
        with pytest.raises(PplkitError, match="landmarks.json (holds|is not|does not).*run `pplkit landmarks"):
            LandmarkMap.load(path)


def test_shapes_that_do_not_fit_are_refused() -> None:
    keypoints, labels = bodies(4)
    with pytest.raises(PplkitError, match=r"labels of shape \(4, 3, 2\) do not fit .* and 2 names"):
        fit_landmarks(keypoints, labels, NAMES[:2], 64)
    labels[:, 1] = np.nan
    with pytest.raises(PplkitError, match="landmark 'left_hand' is labeled on no image"):
        fit_landmarks(keypoints, labels, NAMES, 64)
    landmarks = fit_landmarks(keypoints, labels[:, :1], NAMES[:1], 64)
    with pytest.raises(PplkitError, match="do not fit landmarks of 4 keypoints"):
        landmarks.apply(keypoints[:, :3])
