import numpy as np
import pytest

from pplkit.data.pose_views import detector_noise, random_views
from pplkit.geometry.cameras import project_linear


def test_cameras_look_at_the_body_from_everywhere() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal([0, 1, 0], 0.3, (500, 3, 5, 3))
    views = random_views(rng, windows)
    distance = np.linalg.norm(views.positions.mean((1, 2)), axis=-1)
    assert distance.min() > 2.5 and distance.max() < 6.8 and views.focal_length.min() >= 2
    assert np.abs(views.keypoints.mean((1, 2))).max() < 0.5
    for frame in range(3):  # distances do not change in camera space, and up is up
        before = np.linalg.norm(windows[:, frame, 0] - windows[:, frame, 1], axis=-1)
        after = np.linalg.norm(views.positions[:, frame, 0] - views.positions[:, frame, 1], axis=-1)
        assert np.allclose(before, after, atol=1e-5)
    rise = windows[:, 0, 0, 1] - windows[:, 0, 1, 1]
    drop = views.positions[:, 0, 0, 1] - views.positions[:, 0, 1, 1]
    assert np.corrcoef(rise, drop)[0, 1] < -0.9
    # A right-handed body stays right-handed: camera space is a rotation of the world.
    sides = [np.linalg.det(np.diff(points[:, 0, :4], axis=1)) for points in (windows, views.positions)]
    assert np.allclose(*sides, atol=1e-4)
    intrinsics = np.zeros((500, 1, 1, 9))
    intrinsics[..., :2] = views.focal_length[:, None, None, None]
    assert np.allclose(project_linear(views.positions, intrinsics), views.keypoints, atol=1e-5)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    exact = np.zeros((200, 27, 17, 2))
    jitter, confidence = detector_noise(rng, exact, 0.01)
    assert np.median(np.abs(jitter)) == pytest.approx(0.0067, rel=0.1)
    assert np.median(np.linalg.norm(np.diff(jitter, axis=1), axis=-1)) > 0.01
    assert confidence.min() >= 0.05 and confidence.max() <= 1
    size = np.linalg.norm(jitter, axis=-1)
    assert confidence[size > 0.04].mean() < confidence[size < 0.01].mean() - 0.3
    drift, _ = detector_noise(rng, exact, 0.0, 0.01)
    assert 0.006 < drift.std() < 0.011
    assert np.linalg.norm(np.diff(drift, axis=1), axis=-1).max() < 0.01  # slow
    none, sure = detector_noise(rng, exact, 0.0)
    assert not none.any() and (sure >= 0.75).all()


def test_swaps_exchange_a_pair_for_a_third_of_the_frames() -> None:
    exact = np.broadcast_to(np.arange(4.0)[:, None], (50, 9, 4, 2)).copy()
    noisy, confidence = detector_noise(np.random.default_rng(0), exact, 0.0, swaps=1.0, swap_pairs=[(1, 3)])
    swapped = (noisy[..., 0] == [0, 3, 2, 1]).all(-1)
    assert (swapped.sum(1) == 3).all() and (noisy[~swapped] == exact[~swapped]).all()
    assert (confidence[swapped][:, [1, 3]] == 0.05).all()


def test_noise_differs_between_windows_when_asked() -> None:
    noisy, _ = detector_noise(np.random.default_rng(0), np.zeros((2, 500, 17, 2)), np.array([0.0, 0.01]))
    assert not noisy[0].any() and noisy[1].std() > 0.008
