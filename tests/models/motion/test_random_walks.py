"""Motion without data: bodies that step along curves."""

import numpy as np

from pplkit.data.skeletons import H36M17
from pplkit.geometry.plausibility import bone_deviation, foot_skate, standing
from pplkit.models.motion.random_walks import SINK, random_walks

JOINT = H36M17.joints.index
FEET = [JOINT("left ankle"), JOINT("right ankle")]


def test_the_seed_decides() -> None:
    first = random_walks(3, 2, 40)
    assert first.shape == (2, 40, 17, 3) and first.dtype == np.float32 and np.isfinite(first).all()
    np.testing.assert_array_equal(first, random_walks(3, 2, 40))
    assert np.abs(first - random_walks(4, 2, 40)).max() > 0.1


def test_bones_are_rigid_feet_stand_and_knees_bend_to_the_front() -> None:
    for points in random_walks(0, 6, 120).astype(float):
        assert bone_deviation(points, H36M17.bones) < 2e-3  # a leg that cannot reach its print is shorter by nothing
        feet = points[:, FEET]
        contact = standing(feet, 30)
        assert contact.any(0).all() and contact.any(1).mean() > 0.8
        assert 100 * foot_skate(feet, contact, 30) < 12
        left = points[:, JOINT("left hip")] - points[:, JOINT("right hip")]
        for side in ("left", "right"):
            hip, knee, ankle = (points[:, JOINT(f"{side} {name}")] for name in ("hip", "knee", "ankle"))
            assert ((np.cross(knee - hip, ankle - knee) * left).sum(-1) > -1e-4).all()


def test_bodies_go_along_their_curve_facing_forward() -> None:
    points = random_walks(1, 8, 60)
    step = np.diff(points[:, :, 0], axis=1)[..., [0, 2]] * 30
    assert 0.2 < np.linalg.norm(step, axis=-1).mean() < 2.5
    across = (points[:, 1:, JOINT("left hip")] - points[:, 1:, JOINT("right hip")])[..., [0, 2]]
    forward = np.stack([-across[..., 1], across[..., 0]], -1)  # left is x, up is y, so forward is z
    assert ((forward * step).sum(-1) > 0).mean() > 0.95
    assert SINK < 1
