"""Figures of lifting, read back from what matplotlib is going to draw."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from pplkit import viz
from pplkit.data.skeletons import Skeleton
from pplkit.viz.drawing import BLACK, BLUE, GRAY, RED

FORK = Skeleton("fork", ("hip", "left", "right", "head"), (-1, 0, 0, 0), ((1, 2),))
POINTS = np.array([[0, 0], [-1, 1], [1, 1], [0, -1]], np.float32)
POSE = np.concatenate((POINTS, np.array([[0.0], [0.5], [0.25], [0.0]], np.float32)), axis=1)


def test_sides_have_their_colors_and_the_truth_lies_behind() -> None:
    figure = viz.lifted_poses(POINTS[None], {"truth": POSE[None], "lifted": POSE[None]}, FORK)
    keypoints, front, side = figure.axes
    assert [to_hex(line.get_color()).upper() for line in keypoints.lines] == [BLUE, RED, BLACK]
    assert [to_hex(line.get_color()) for line in front.lines[:3]] == [GRAY] * 3
    assert to_hex(front.lines[3].get_color()).upper() == BLUE
    assert np.allclose(front.lines[3].get_xydata(), POSE[[0, 1]][:, [0, 1]])
    assert np.allclose(side.lines[4].get_xydata(), POSE[[0, 2]][:, [2, 1]])  # depth to the right


def test_y_points_down() -> None:
    for axis in viz.lifted_poses(POINTS[None], {"lifted": POSE[None]}, FORK).axes:
        low, high = axis.get_ylim()
        assert low > high


def test_unseen_keypoints_are_left_out() -> None:
    figure = viz.lifted_poses(POINTS[None], {"lifted": POSE[None]}, FORK, np.array([[1.0, 0.0, 1.0, 1.0]]))
    drawn = [np.isfinite(line.get_xydata()).all() for line in figure.axes[0].lines]
    assert drawn == [False, True, True]


def test_the_largest_error_of_the_last_method_is_at_the_top() -> None:
    errors = {"linear": {"wrist": 9.0, "left_knee": 8.0}, "lift": {"wrist": 5.0, "left_knee": 2.0}}
    (axis,) = viz.lifting_errors(errors).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["left knee", "wrist"]
    assert [[bar.get_width() for bar in bars] for bars in axis.containers] == [[8.0, 9.0], [2.0, 5.0]]
    assert axis.get_xlabel() == "MPJPE (mm)"


def test_curves_are_in_per_cent() -> None:
    (axis,) = viz.hiding_curves([0.0, 0.5], {"lift": [50.0, 90.0], "mean pose": [200.0, 200.0]}).axes
    assert axis.lines[0].get_xydata().tolist() == [[0, 50], [50, 90]]
    assert axis.get_ylim()[0] == 0


@pytest.mark.parametrize("windows", [1, 9])
def test_a_training_shows_its_losses_and_poses_of_the_batch(windows: int) -> None:
    poses = torch.from_numpy(POSE).expand(windows, 3, 4, 3)
    progress = SimpleNamespace(output=SimpleNamespace(positions=poses), batch=SimpleNamespace(positions=poses))
    rows = [{"step": step, "loss": 1 / step, "position": 0.5 / step} for step in (1, 2, 3)]
    figure = viz.lifting_state(FORK, rows, progress, "step 3 of 9")
    curves = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.lines[0].get_ydata().tolist()[0] for axis in curves] == [1.0, 0.5]
    assert len([axis for axis in figure.axes if len(axis.lines) == 6]) == 2 * min(windows, 5)


def test_speed_of_a_joint_is_that_over_the_floor() -> None:
    """3 and 4 cm a frame sideways, 9 up: 5 cm a frame over the floor, 1.5 m/s at 30 frames a second."""
    path = np.arange(4)[:, None] * np.array([0.03, 0.09, 0.04])
    height, speed = viz.joint_paths({"fit": path}, 30.0).axes
    assert height.lines[0].get_ydata() == pytest.approx(path[:, 1])
    assert speed.lines[0].get_ydata() == pytest.approx([1.5] * 3)
