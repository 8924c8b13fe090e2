"""Landmarks by ridge regression: exact cases, images left out one by one, and what few labels leave to the guess."""

import numpy as np
import pytest

from pplkit.inference.landmarks import ridge


def scene(images: int, points: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (images, 1, points, 2))


def placed(fit: ridge.Fit, keypoints: np.ndarray) -> np.ndarray:
    return np.einsum("jckd,bkd->bjc", fit.weights, keypoints) + fit.offsets


def test_one_image_takes_the_nearest_keypoint_and_its_offset() -> None:
    """Offsets (0.1, 0) and (1, 0): s = 0.01 and 1, so the first keypoint has all but 1e-4 of the weight."""
    keypoints = np.array([[[[0.0, 0.0], [-0.9, 0.0]]]])
    fit = ridge.fit(keypoints, np.array([[[[0.1, 0.0]]]]))
    np.testing.assert_allclose(fit.weights[0, :, 0], np.eye(2), atol=2e-4)
    np.testing.assert_allclose(placed(fit, keypoints[:, 0] + 0.25), [[[0.35, 0.25]]], atol=1e-12)
    assert np.isnan(fit.left_out).all() and np.isnan(fit.score)


def test_a_mean_of_two_keypoints_is_found() -> None:
    keypoints = scene(12, 5)
    labels = 0.25 * keypoints[:, :, :1] + 0.75 * keypoints[:, :, 3:4] + (0.1, -0.2)
    fit = ridge.fit(keypoints, labels)
    fresh = scene(50, 5, 1)[:, 0]
    np.testing.assert_allclose(
        placed(fit, fresh)[:, 0], 0.25 * fresh[:, 0] + 0.75 * fresh[:, 3] + (0.1, -0.2), atol=5e-3
    )
    assert fit.score < 5e-3


def test_x_may_depend_on_y_where_images_ask_for_it() -> None:
    keypoints = scene(60, 3)
    labels = np.stack((keypoints[..., 1, 1], 0 * keypoints[..., 1, 1]), -1)[:, :, None]
    fit = ridge.fit(keypoints, labels)
    fresh = scene(50, 3, 1)[:, 0]
    np.testing.assert_allclose(placed(fit, fresh)[:, 0, 0], fresh[:, 1, 1], atol=0.02)


def test_moving_all_points_moves_the_landmarks() -> None:
    """Weights of each coordinate sum to 1 in the guess, and what leaves it is small: nearly equivariant."""
    keypoints = scene(1, 4)
    fit = ridge.fit(keypoints, keypoints[:, :, :1] + 0.05)
    np.testing.assert_allclose(fit.weights.sum(2), [np.eye(2)], atol=1e-12)


@pytest.mark.parametrize("coupling", [0.0, 0.3])
def test_images_left_out_by_the_hat_are_those_of_a_fit_without_them(coupling: float) -> None:
    """Two copies of each image; some labels of the second image are missing."""
    rng = np.random.default_rng(2)
    keypoints, labels = rng.normal(0, 0.3, (6, 2, 3, 2)), rng.normal(0, 0.3, (6, 2, 2))
    labels[1, 1] = np.nan
    missed = ridge._Ridge(keypoints, labels).errors(0.1, coupling)
    for image in range(6):
        alone = ridge._Ridge(keypoints, labels)  # guess and scale are those of all images
        alone.known[image], alone.scaled[image], alone.residuals[image] = False, 0, 0
        weights, offset = alone.map(0.1, coupling)
        expected = np.einsum("ckd,kd->c", weights, keypoints[image, 0]) + offset
        np.testing.assert_allclose(labels[image, 0] - missed[image], expected, atol=1e-10)


def test_a_landmark_with_one_label_does_not_spoil_the_others() -> None:
    keypoints = scene(12, 5)
    labels = np.concatenate((keypoints[:, :, :1], keypoints[:, :, 1:2] + 0.1), 2)
    labels[1:, :, 1] = np.nan
    fit = ridge.fit(keypoints, labels)
    fresh = scene(50, 5, 1)[:, 0]
    np.testing.assert_allclose(placed(fit, fresh)[:, 0], fresh[:, 0], atol=0.01)
    assert np.isnan(fit.left_out[:, 1]).all() and np.isfinite(fit.left_out[:, 0]).all()
    assert np.isfinite(fit.weights).all()


def test_better_strengths_count_more() -> None:
    shares = ridge._shares(np.array([[0.1, 0.1], [0.2, 0.4], [0.1, np.nan]]))
    np.testing.assert_allclose(shares.sum(0), 1)
    assert shares[0, 0] > shares[1, 0] and shares[0, 1] > shares[1, 1] > 0
    every = 0.1, 0.3, 0.1  # means; the first landmark's own errors are 1, 2 and 1 times its least
    worse = np.exp(-np.sqrt(np.array([1, 2 * every[1] / 0.1, 1])) / ridge.TEMPERATURE)
    np.testing.assert_allclose(shares[:, 0], worse / worse.sum(), rtol=1e-5)


def test_the_mean_leaves_out_what_is_no_number() -> None:
    result = ridge.mean(np.array([[1.0, np.nan], [3.0, np.nan]]), 0)
    assert result[0] == 2 and np.isnan(result[1])
