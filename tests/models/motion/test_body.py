import dataclasses

import numpy as np
import pytest
from figures import LENGTHS, person

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.models.motion.body import Body, Box, Capsule, Segment, bone_lengths, humanoid, segment_mass
from pplkit.models.motion.body_pose import BodyKinematics


def test_masses_by_hand() -> None:
    ball = Segment("ball", -1, (0, 0, 0), (), (Capsule((0, 0, 0), (0, 0, 0), 0.1),))
    assert segment_mass(ball) == pytest.approx(1000 * 4 / 3 * np.pi * 0.001)
    rod = dataclasses.replace(ball, shapes=(Capsule((0, 0, 0), (0, 0, 2), 0.1), Box((0, 0, 0), (0.1, 0.2, 0.3))))
    assert segment_mass(rod) == pytest.approx(1000 * (np.pi * 0.01 * (2 + 0.4 / 3) + 0.048))
    assert segment_mass(dataclasses.replace(ball, mass=2.5)) == 2.5


def test_a_person_weighs_what_people_of_that_size_weigh() -> None:
    body = person()
    assert 50 < body.mass < 70
    assert (body.position_count, body.speed_count) == (35, 34)
    assert list(body.points)[:17] == list(H36M17.joints)


def test_angles_lie_where_the_body_says() -> None:
    body = person()
    assert body.column("chest") == slice(7, 10)
    assert body.column("left foot") == slice(32, 35)
    with pytest.raises(PplkitError, match="no segment tail"):
        body.column("tail")


def test_bone_lengths_come_back_from_the_joints_of_a_body() -> None:
    body = person()
    rng = np.random.default_rng(0)
    qpos = np.concatenate([np.zeros((5, 3)), np.tile([1, 0, 0, 0], (5, 1)), rng.normal(0, 0.3, (5, 28))], axis=1)
    lengths = bone_lengths(BodyKinematics(body)(qpos).points[:, :17])
    # The nose lies ahead of the line to the top of the head, at about its distance from the neck.
    assert lengths == pytest.approx(LENGTHS, abs=2e-3)


def test_a_bone_without_length_and_missing_joints_are_named() -> None:
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    flat = joints.copy()
    for side in ("right", "left"):
        flat[:, H36M17.joints.index(f"{side} ankle")] = flat[:, H36M17.joints.index(f"{side} knee")]
    with pytest.raises(PplkitError, match="right knee to right ankle has a length of 0.000"):
        bone_lengths(flat)
    joints[:, 0] = np.nan
    with pytest.raises(PplkitError, match="none missing"):
        bone_lengths(joints)


def test_segments_that_form_no_body_are_refused() -> None:
    root = Segment("root", -1, (0, 0, 0), (), (), mass=1.0)
    first, second = (dataclasses.replace(root, name=name, parent=0) for name in ("first", "second"))
    late = dataclasses.replace(root, name="late", parent=1)
    assert Body((root, first, late, second), {}).mass == 4
    with pytest.raises(PplkitError, match="depth first"):
        Body((root, first, second, late), {})
    with pytest.raises(PplkitError, match="first with parent -1"):
        Body((first, root), {})
    with pytest.raises(PplkitError, match="same name"):
        Body((root, first, first), {})
    with pytest.raises(PplkitError, match="a shape or a mass"):
        Body((dataclasses.replace(root, mass=None),), {})
    with pytest.raises(PplkitError, match="without volume"):
        Body((root, dataclasses.replace(first, mass=None, shapes=(Box((0, 0, 0), (1, 1, 0)),))), {})


def test_longer_legs_make_a_heavier_person() -> None:
    tall = {name: 1.1 * length for name, length in LENGTHS.items()}
    assert humanoid(tall).mass == pytest.approx(1.1**3 * humanoid(LENGTHS).mass, rel=0.01)
