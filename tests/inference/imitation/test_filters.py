"""Filters: smoother, bones of one length, feet that stand where they touch."""

import numpy as np
from strides import lifted, walk

from pplkit.geometry import plausibility
from pplkit.inference.imitation.clip import prepared
from pplkit.inference.imitation.filters import imitate_clip


def test_bones_are_constant_feet_stand_and_paths_are_smooth() -> None:
    truth = walk(60)
    clip = prepared(lifted(truth))
    points, bones, feet = imitate_clip(clip).points, truth.skeleton.bones, clip.legs[:, 2]
    true = clip.placed(truth.points)
    assert plausibility.bone_deviation(points, bones) < 1e-9
    assert plausibility.acceleration_error(points, true) < 0.35 * plausibility.acceleration_error(clip.points, true)
    skate = [plausibility.foot_skate(motion[:, feet], clip.touches, 30) for motion in (clip.points, points)]
    assert skate[1] < 0.2 * skate[0]
    assert plausibility.floating(points[:, feet], clip.touches, clip.rest) < 0.005
    assert plausibility.joint_error(points, true, 0) < plausibility.joint_error(clip.points, true, 0)


def test_the_lock_can_be_left_out_and_moves_legs_alone() -> None:
    clip = prepared(lifted(walk(40)))
    locked, free = imitate_clip(clip).points, imitate_clip(clip, foot_lock=False).points
    moved = np.abs(locked - free).max((0, 2)) > 1e-9
    assert set(np.flatnonzero(moved)) <= {2, 3, 5, 6} and moved[[3, 6]].all()


def test_knees_bend_to_the_front() -> None:
    clip = prepared(walk(60))
    points = imitate_clip(clip).points
    left = points[:, 4] - points[:, 1]
    forward = np.cross(left, [0, 1.0, 0])
    for hip, knee, ankle in clip.legs:
        bend = points[:, knee] - (points[:, hip] + points[:, ankle]) / 2
        assert ((bend * forward).sum(-1) > -1e-3).all()
