import numpy as np
import pytest

from pplkit.geometry.placement import root_path


def view(frames: int = 40, focal_length: float = 2.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (T, 6, 3) relative to the root, their keypoints, and the path of the root: a slow walk past."""
    rng, time = np.random.default_rng(0), np.linspace(0, 1, frames)[:, None]
    positions = rng.normal(0, 0.4, (1, 6, 3)) + 0.05 * np.sin(5 * time)[..., None]
    positions[:, 0] = 0
    path = np.concatenate((time - 0.5, 0.3 + 0 * time, 4 + time), axis=1)
    points = positions + path[:, None]
    return positions, focal_length * points[..., :2] / points[..., 2:], path


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_the_path_is_found_from_true_poses(frames: int) -> None:
    positions, keypoints, path = view(frames)
    found = root_path(positions, keypoints, np.ones(keypoints.shape[:2]), 2.2, 30)
    assert np.abs(found - path).max() < (0.02 if frames > 3 else 0.2)


def test_missing_joints_and_frames_do_not_count() -> None:
    positions, keypoints, path = view()
    weights = np.ones(keypoints.shape[:2])
    weights[:, 2], keypoints[:, 2] = 0, 99
    keypoints[10:15], keypoints[30, 1] = np.nan, np.nan
    found = root_path(positions, keypoints, weights, 2.2, 30)
    assert np.isfinite(found).all() and np.abs(found - path).max() < 0.03
    nothing = root_path(positions, np.full_like(keypoints, np.nan), weights, 2.2, 30)
    assert np.isfinite(nothing).all()


def test_noise_is_smoothed_most_in_depth() -> None:
    positions, keypoints, path = view(100)
    noisy = keypoints + np.random.default_rng(1).normal(0, 0.01, keypoints.shape)
    error = np.abs(root_path(positions, noisy, np.ones(keypoints.shape[:2]), 2.2, 30) - path).mean(0)
    assert error[:2].max() < 0.01 and error[2] < 0.06


def test_a_wrong_focal_length_changes_the_distance_in_proportion() -> None:
    positions, keypoints, path = view()
    found = root_path(positions, keypoints, np.ones(keypoints.shape[:2]), 4.4, 30)
    assert np.median(found[:, 2] / path[:, 2]) == pytest.approx(2, rel=0.15)
