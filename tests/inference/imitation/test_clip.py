"""What a clip is made of: gaps, frame rates, gravity, floor; and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from strides import lifted, walk

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import Camera, PoseSequence
from pplkit.data.skeletons import COCO17, H36M17, Skeleton
from pplkit.geometry.kinematics import axis_rotation
from pplkit.inference.imitation.clip import prepared


def changed(sequence: PoseSequence, points: np.ndarray) -> PoseSequence:
    return replace(sequence, points=points)


def test_gaps_and_exploded_joints_are_interpolated() -> None:
    truth = walk()
    points = truth.points.copy()
    points[10, 3], points[20, 5], points[30, 0] = np.nan, np.inf, 1e30
    clip = prepared(changed(truth, points))
    given = clip.points + [0, clip.height, 0]
    assert clip.weight[10, 3] == clip.weight[20, 5] == clip.weight[30, 0] == 0 and clip.weight.sum() == 60 * 17 - 3
    assert given[10, 3] == pytest.approx((truth.points[9, 3] + truth.points[11, 3]) / 2, abs=1e-6)
    assert given[30, 0] == pytest.approx(truth.points[30, 0], abs=0.01)


def test_25_frames_a_second_become_30_with_the_same_speed() -> None:
    fast = walk(301, 150.0)
    slow = replace(fast, points=fast.points[::6], fps=25.0)
    clip = prepared(slow, fps=30)
    assert clip.fps == 30 and len(clip.points) == 61  # both last 2 s
    assert clip.points + [0, clip.height, 0] == pytest.approx(fast.points[::5], abs=0.02)  # 20 % off where relabelled


def test_the_floor_is_found_below_any_shift_and_a_jump_stays_a_jump() -> None:
    truth = walk(90, rule="jump", seed=5)
    clip = prepared(changed(truth, truth.points + [0, 2.5, 0]))
    assert clip.height == pytest.approx(2.5, abs=0.02)
    lowest = truth.points[..., 1].min(1)
    assert lowest.max() > 0.2
    assert clip.points[..., 1].min(1) == pytest.approx(lowest, abs=0.02)
    assert clip.placed(truth.points + [0, 2.5, 0]) == pytest.approx(clip.points, abs=1e-5)


@pytest.mark.parametrize("pitch", [0.0, 0.35])
def test_gravity_is_found_in_the_space_of_a_camera_that_looks_down(pitch: float) -> None:
    truth = lifted(walk(120, seed=4), scale=0.5)
    look = axis_rotation(np.array(pitch), 0) @ np.diag([1.0, -1, -1])
    seen = PoseSequence(points=truth.points @ look.T + [0, 0, 5], fps=30, skeleton=H36M17, space="camera")
    clip = prepared(seen)
    up = clip.rotation @ look @ [0, 1, 0]
    assert np.degrees(np.arccos(up @ [0, 1, 0])) < 5
    as_given = prepared(seen, gravity="given").rotation @ look @ [0, 1, 0]
    assert np.degrees(np.arccos(as_given @ [0, 1, 0])) == pytest.approx(np.degrees(pitch), abs=1e-4)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_known_camera_tells_which_way_is_up_in_worlds_of_both_kinds(axis: int) -> None:
    """Camera axes are turned into a world with y or z up by half or a quarter of a turn about x, and a little more."""
    angle = (np.pi if axis == 1 else -np.pi / 2) + 0.2
    camera = Camera(np.zeros(9), np.array([np.cos(angle / 2), np.sin(angle / 2), 0, 0]), np.zeros(3))
    into_world = axis_rotation(np.array(angle), 0)
    points = walk().points if axis == 1 else walk().points[..., [2, 0, 1]]
    seen = PoseSequence(points=points @ into_world, fps=30, skeleton=H36M17, space="camera", camera=camera)
    assert prepared(seen).rotation @ into_world.T @ np.eye(3)[axis] == pytest.approx([0, 1, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((5, 17, 3)), "legs of 0.0 cm"),
        (np.full((5, 17, 3), np.nan), "no finite joint"),
        (walk(5).points * np.where(np.arange(5) > 1, 1e20, 1)[:, None, None], "has exploded"),
        (np.where(np.arange(17)[:, None] == 4, np.nan, walk(5).points), "never shows the joint left hip"),
        (walk(5).points[:1], "at least two frames"),
        (walk(5).points[..., :2], "give .frames, joints, 3."),
    ],
)
def test_what_cannot_be_used_gives_one_sentence(points: np.ndarray, words: str) -> None:
    sequence = PoseSequence(points=points, fps=30, skeleton=H36M17, space="world" if points.shape[2] == 3 else "image")
    with pytest.raises(PplkitError, match=words) as error:
        prepared(sequence)
    assert str(error.value).count(". ") == 0


def test_settings_and_skeletons_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PplkitError, match="gravity is 'down'"):
        prepared(walk(5), gravity="down")
    with pytest.raises(PplkitError, match="fps is -1"):
        prepared(walk(5), fps=-1)
    with pytest.raises(PplkitError, match="leaves 1 frame"):
        prepared(walk(5), fps=1)
    snake = Skeleton("snake", ("a", "b"), (-1, 0))
    with pytest.raises(PplkitError, match="snake has no"):
        prepared(PoseSequence(points=np.zeros((5, 2, 3)), fps=30, skeleton=snake))


def test_legs_are_found_in_other_layouts() -> None:
    points = np.random.default_rng(0).normal(size=(9, 17, 3))
    clip = prepared(PoseSequence(points=points, fps=30, skeleton=COCO17, space="world"))
    names = [[COCO17.joints[joint] for joint in leg] for leg in clip.legs]
    assert names == [["left hip", "left knee", "left ankle"], ["right hip", "right knee", "right ankle"]]
