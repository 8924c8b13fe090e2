from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import COCO17, MPII16, standing_pose
from pplkit.models.motion.skeleton import (
    BODY,
    JOINTS,
    MOTION16,
    TEMPLATES,
    ankle_contacts,
    bone_cosines,
    bone_lengths,
    bone_vectors,
    from_coco17,
    joints_from_bones,
    with_lengths,
)
from tests.helpers.motion_parity import arrays, close

POINTS = np.random.default_rng(0).normal(size=(6, 16, 3))


def test_sides_are_the_published_pairs() -> None:
    pairs = {tuple(sorted(pair)) for pair in MOTION16.flip_pairs}
    assert pairs == {(1, 4), (2, 5), (3, 6), (10, 13), (11, 14), (12, 15)}


def test_bones_point_to_the_parent_and_come_back() -> None:
    assert np.array_equal(bone_vectors(POINTS)[:, 0], POINTS[:, 0] - POINTS[:, 1])
    assert np.allclose(joints_from_bones(bone_vectors(POINTS)), POINTS - POINTS[:, :1])


def test_another_body_keeps_directions_and_scales_the_path_by_the_right_leg() -> None:
    other = with_lengths(POINTS, TEMPLATES[5])
    assert np.allclose(bone_lengths(other), TEMPLATES[5])
    cosines = (bone_vectors(other) * bone_vectors(POINTS)).sum(-1) / bone_lengths(other) / bone_lengths(POINTS)
    assert np.allclose(cosines, 1)
    ratio = (TEMPLATES[5, 1] + TEMPLATES[5, 2]) / bone_lengths(POINTS)[0, 1:3].sum()
    assert np.allclose(other[:, 0], POINTS[:, 0] * ratio)
    with pytest.raises(PplkitError, match="no length"):
        with_lengths(np.zeros((2, 16, 3)))


def test_a_foot_that_stands_still_and_low_is_in_contact() -> None:
    points = np.tile(POINTS[0], (6, 1, 1))
    points[:, 3], points[:, 6], points[:, 0] = (0.1, 0, 0), (-0.1, 0, 0.02), (0, 0, 1)
    points[3:, 6, 0] += 0.05  # a step between the frames 2 and 3
    assert ankle_contacts(points).T.tolist() == [[1] * 6, [1, 1, 0, 0, 1, 1], [0] * 6]


def test_joints_of_coco17_by_hand() -> None:
    points = standing_pose(COCO17)[None]
    body = dict(zip(JOINTS, from_coco17(points, COCO17)[0], strict=True))
    assert body["hips"].tolist() == [0, 100] and body["neck"].tolist() == [0, 52] and body["spine"].tolist() == [0, 76]
    assert np.allclose(body["head"], [0.1 * 3, 0.1 * 32 + 0.6 * (52 - 24) + 0.1 * 30 + 0.2 * 31])
    assert body["left knee"].tolist() == points[0, COCO17.joints.index("left knee")].tolist()
    with pytest.raises(PplkitError, match="mpii16 lacks"):
        from_coco17(standing_pose(MPII16)[None], MPII16)


def test_published_bodies(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    world = stored["world"]
    close(bone_vectors(world), stored["bone_vectors"])
    close(bone_lengths(world), stored["bone_lengths"])
    close(joints_from_bones(bone_vectors(world)), stored["pose_from_bones"])
    close(with_lengths(world, BODY), stored["reset_to_body"])
    close(TEMPLATES, stored["bone_templates"])
    close(with_lengths(world, TEMPLATES[4]), stored["augmented_template_4"])
    close(bone_cosines(world[:4]), stored["kcs"])
    assert np.array_equal(ankle_contacts(stored["contact_motion"]), stored["contacts"])
