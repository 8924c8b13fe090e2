import numpy as np
import pytest
from lifters import TINY, FlatLifter, flat_lifter

from pplkit.inference.lifting.frames import at_times, keypoints_at, poses_at, poses_of_frames
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.model import build_model
from pplkit.training.saved_lifter import LifterRun


def screen(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints that move evenly."""
    start = np.random.default_rng(0).uniform(-0.2, 0.2, (1, 17, 2))
    return start + 0.01 * np.arange(frames)[:, None, None] * np.linspace(0, 1, 17)[:, None], np.ones((frames, 17))


def seen_by(run: LifterRun) -> int:
    """The frames of the last window."""
    assert isinstance(run.model, FlatLifter)
    return run.model.seen[-1][1]


@pytest.mark.parametrize("fps", [10.0, 24.0, 30.0, 31.0, 120.0])
def test_even_movement_is_lifted_alike_at_all_rates(fps: float) -> None:
    run, (points, sure) = flat_lifter(), screen(9)
    poses = poses_at(run, points, sure, np.arange(9) / fps)
    expected = 2 * (points - points[:, :1])
    assert np.allclose(poses.positions[..., :2], expected, atol=1e-5) and np.allclose(poses.spread, 0.1)
    assert seen_by(run) == {10: 25, 24: 11, 30: 9, 31: 9, 120: 3}[int(fps)]
    poses_at(run, points, sure, np.arange(9) / fps, resample=False)
    assert seen_by(run) == 9


def test_uneven_times_are_made_even() -> None:
    run, (points, sure) = flat_lifter(), screen(4)
    times = np.array([0, 1, 4, 5]) / 30
    poses = poses_at(run, points[[0, 1, 2, 3]] * 0 + points[:1] + 0.03 * 30 * times[:, None, None], sure, times)
    assert seen_by(run) == 6 and np.allclose(poses.positions[..., :2], 2 * (points[0] - points[0, :1]), atol=1e-5)


def test_values_between_frames() -> None:
    times, values = np.array([0.0, 1, 3]), np.array([[0.0], [2], [4]])
    assert at_times(values, times, np.array([-1, 0, 0.5, 2, 3, 9])).ravel().tolist() == [0, 0, 1, 3, 4, 4]
    assert at_times(values[:1], times[:1], np.array([0.0, 5])).ravel().tolist() == [0, 0]


def test_the_nearer_frame_counts_where_the_other_lacks_a_joint() -> None:
    points = np.array([[[0.0, 0]], [[np.nan, np.nan]], [[4, 4]]])
    sure = np.array([[1.0], [0], [0.5]])
    found, weight = keypoints_at(points, sure, np.arange(3.0), np.array([0.4, 0.6, 1.4, 1.6]))
    assert weight.ravel().tolist() == [1, 0, 0, 0.5]
    assert found[0].tolist() == [[0, 0]] and np.isnan(found[1:3]).all() and found[3].tolist() == [[4, 4]]


@pytest.mark.parametrize("frames", [1, 3, 30])
def test_poseformer_is_given_complete_keypoints(frames: int) -> None:
    config = LiftingConfig.preset("poseformer-27").replace(frames=9, width=8, depth=1, heads=2, drop_path=0.0)
    run = LifterRun(build_model(config).eval(), config, config.skeleton, 50.0, 0)
    points, sure = screen(frames)
    sure[:, 3], points[:, 3] = 0, np.nan
    sure[0, 4], points[0, 4] = 0, np.nan
    poses = poses_of_frames(run, points, sure)
    assert poses.positions.shape == (frames, 17, 3) and np.isfinite(poses.positions).all() and poses.spread is None


def test_missing_joints_have_no_confidence_for_the_lifter() -> None:
    run = LifterRun(build_model(TINY).eval(), TINY, TINY.skeleton, 30.0, 0)
    points, sure = screen(5)
    sure[:, 3], moved = 0, points.copy()
    moved[:, 3] = np.nan
    assert np.allclose(poses_of_frames(run, points, sure).positions, poses_of_frames(run, moved, sure).positions)
