"""Lifters beside baselines: what is hidden, how gaps are filled, what the table says."""

import numpy as np
import pytest

from data_prep.motion_synthetic import lift_batch
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.lifting import (
    Baselines,
    Clip,
    action_errors,
    clips_of,
    compare,
    degraded,
    joint_errors,
    mean_errors,
    table_lines,
)


@pytest.fixture(scope="module")
def baselines() -> Baselines:
    return Baselines(lift_batch(3, 2000, frames=1, noise=0.0), H36M17)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return clips_of(lift_batch(4, 40, frames=30, noise=0.0, held_out=True))


def test_as_much_is_hidden_as_asked_for_and_the_same_each_time(clips: list[Clip]) -> None:
    hidden = degraded(clips, H36M17, hidden=0.3)
    lost = np.stack([clip.confidence == 0 for clip in hidden])
    assert not lost[..., 0].any()  # the root
    assert lost[..., 1:].mean() == pytest.approx(1 - (1 - 0.3) * (1 - 0.15), abs=0.03)
    assert lost[..., 1:].all(1).mean() == pytest.approx(0.15, abs=0.04)  # in the whole clip
    assert all(np.isnan(clip.keypoints[clip.confidence == 0]).all() for clip in hidden)
    again = degraded(clips, H36M17, hidden=0.3)
    assert all((one.confidence == two.confidence).all() for one, two in zip(hidden, again, strict=True))


def test_noise_has_the_deviation_asked_for(clips: list[Clip]) -> None:
    noisy = degraded(clips, H36M17, noise=0.01)
    errors = np.stack([one.keypoints - two.keypoints for one, two in zip(noisy, clips, strict=True)])
    # Every twentieth error is four times as large: 0.95 + 0.05 * 16 = 1.75.
    assert errors.std() == pytest.approx(0.01 * np.sqrt(1.75), rel=0.05)


def test_gaps_are_filled_relative_to_the_root(baselines: Baselines) -> None:
    """The root moves by 1 a frame; a joint is 2 and then 6 away from it, with one frame missing between."""
    keypoints = np.zeros((3, 17, 2))
    keypoints[:, :, 0] = np.arange(3)[:, None]
    keypoints[:, 5, 0] += [2, np.nan, 6]
    confidence = np.isfinite(keypoints).all(-1).astype(float)
    assert baselines.filled(keypoints, confidence)[:, 5, 0].tolist() == [2, 1 + 4, 2 + 6]


def test_a_joint_that_no_frame_shows_lies_where_it_does_on_average(baselines: Baselines) -> None:
    keypoints = np.tile(np.random.default_rng(0).normal(size=(1, 17, 2)), (4, 1, 1))
    confidence = np.ones((4, 17))
    confidence[:, 7] = 0
    filled = baselines.filled(keypoints, confidence)
    relative = np.delete(keypoints[0] - keypoints[0, 0], 7, axis=0)
    size = np.sqrt((relative**2).sum() / 16)
    assert np.allclose(filled[:, 7] - keypoints[:, 0], size * baselines.standing[7], atol=1e-5)


def test_the_linear_map_is_better_than_the_mean_pose(baselines: Baselines, clips: list[Clip]) -> None:
    mean, linear = (mean_errors(method, clips) for method in (baselines.mean_pose, baselines.linear))
    assert linear.mpjpe < 0.75 * mean.mpjpe
    assert mean.mpjve > 0


def test_errors_by_joint_and_action_by_hand() -> None:
    """A joint that is 3 mm off in one clip and 5 mm in the other, of twice the frames."""

    def off(distance: float) -> np.ndarray:
        return np.array([[0.0, 0, 0], [0, distance, 0]])

    clips = [
        Clip("walk 0", np.zeros((2, 2, 2)), np.ones((2, 2)), np.tile(off(0.003), (2, 1, 1))),
        Clip("run 0", np.zeros((4, 2, 2)), np.ones((4, 2)), np.tile(off(0.005), (4, 1, 1))),
    ]

    def zero(keypoints: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.zeros((*keypoints.shape[:2], 3))

    assert joint_errors(zero, clips) == pytest.approx([0, (2 * 3 + 4 * 5) / 6])
    assert {name: errors.mpjpe for name, errors in action_errors(zero, clips).items()} == pytest.approx(
        {"walk": 1.5, "run": 2.5}
    )
    rows = compare({"zero": zero, "zero, gaps interpolated": zero}, {("both", "clean"): clips})
    assert table_lines(rows)[2:] == ["| both | clean | zero | 2.2 | 2.2 | 2.2 | 0.0 |"]  # aligned: both 2.5 and 1.5 off
