"""The fit: nearer to the truth, smooth, feet that stand, bones of one length; and its terms by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from strides import lifted, walk

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.pose_views import random_views
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.geometry import plausibility
from pplkit.inference.imitation.clip import prepared
from pplkit.inference.imitation.fit import backward_bend, imitate_clip, robust
from pplkit.inference.imitation.methods import imitate


def test_one_output_has_less_of_all_errors_than_a_lifter() -> None:
    """The bars of motion with a lifter's errors, MPJPE by 20 %, acceleration and skating by 70 %, bones to 1e-6."""
    truth = walk(45)
    clip = prepared(lifted(truth))
    result, true = imitate_clip(clip, iterations=120), clip.placed(truth.points)
    feet, stands = clip.legs[:, 2], walk_contact(truth)

    def errors(points: np.ndarray) -> np.ndarray:
        skate = plausibility.foot_skate(points[:, feet], stands, 30)
        return np.array(
            [plausibility.joint_error(points, true, 0), plausibility.acceleration_error(points, true), skate]
        )

    assert (errors(result.points) / errors(clip.points) < [0.8, 0.3, 0.3]).all()
    assert plausibility.bone_lengths(result.points, H36M17.bones).std(0).max() < 1e-6
    rotations = result.arrays["rotations"]
    assert rotations @ np.swapaxes(rotations, -1, -2) == pytest.approx(
        np.broadcast_to(np.eye(3), rotations.shape), abs=1e-5
    )


def walk_contact(truth: PoseSequence) -> np.ndarray:
    """Where feet stand still, bool (T, 2), left and right."""
    feet = truth.points[:, [6, 3]].astype(float)
    return np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * truth.fps < 0.2


def test_a_jump_stays_in_the_air() -> None:
    truth = walk(45, rule="jump", seed=5)
    clip = prepared(lifted(truth))
    points = imitate_clip(clip, iterations=60).points
    height = truth.points[..., 1].min(1).max()
    assert height > 0.2 and points[..., 1].min(1).max() == pytest.approx(height, abs=0.06)
    assert points[..., 1].min() > -0.02


@pytest.mark.parametrize("joint", [7, 16])
def test_a_bone_without_length_and_gaps_still_give_finite_poses(joint: int) -> None:
    truth = walk(20)
    points = truth.points.copy()
    points[:, joint] = points[:, H36M17.parents[joint]]
    points[5:8, 3] = np.nan
    clip = prepared(replace(truth, points=points))
    result = imitate_clip(clip, iterations=10).points
    assert np.isfinite(result).all()
    assert np.linalg.norm(result[:, joint] - result[:, H36M17.parents[joint]], axis=-1).max() < 0.05


def test_errors_far_off_count_less_than_their_square() -> None:
    error = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [300, 0, 0]])
    assert robust(error)[:, 0].numpy() == pytest.approx([0, 0.01 / (1 + 0.01 / 27), 27], rel=1e-3)


def test_knees_that_bend_to_the_back_are_found() -> None:
    points = torch.zeros(1, 6, 3, dtype=torch.float64)
    points[0, :, 0] = torch.tensor([0.1, 0.1, 0.1, -0.1, -0.1, -0.1])  # left at positive x: faces z
    points[0, :, 1] = torch.tensor([1.0, 0.5, 0, 1, 0.5, 0])
    points[0, 1, 2], points[0, 4, 2] = 0.5, -0.5  # the left knee is before the body, the right one behind it
    bend = backward_bend(points, np.array([[0, 1, 2], [3, 4, 5]]))
    assert bend[0].numpy() == pytest.approx([0, 1])  # a right angle


def test_with_sight_errors_of_depth_are_undone_by_bones_of_one_length() -> None:
    motion = motion_windows(4, 1, 40, rule="planted")
    true = random_views(np.random.default_rng(0), motion).positions[0].astype(float)
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(0, 0.02, (40, 17, 1)), 0) - 0.01
    wrong = true * (1 + slow / true[..., 2:])  # along the lines of sight
    seen = PoseSequence(points=wrong, fps=30, skeleton=H36M17, space="camera")
    errors = {}
    for sight in (False, True):
        made, report = imitate(seen, "fit", iterations=60, contact="thresholds", sight=sight)
        errors[sight] = plausibility.joint_error(made.points.astype(float), report.clip.placed(true), 0)
    assert errors[True] < 0.85 * plausibility.joint_error(wrong, true, 0)
    assert errors[True] < errors[False]


def test_sight_and_sizes_are_checked() -> None:
    motion = walk(10)
    with pytest.raises(PplkitError, match="sight=True is a setting for motion in camera space"):
        imitate(motion, "fit", sight=True)
    with pytest.raises(PplkitError, match="size 'pos' of the fit is unknown"):
        imitate(motion, "fit", sizes={"pos": 1.0})
    loose, _ = imitate(motion, "fit", sizes={"acceleration": 0.1}, iterations=20)
    tight, _ = imitate(motion, "fit", iterations=20)
    assert np.abs(np.diff(loose.points, 2, axis=0)).mean() < np.abs(np.diff(tight.points, 2, axis=0)).mean()
