import numpy as np
import pytest
from figures import SHARED, person, standing, swinging

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.geometry.quaternions import from_rotation_vectors
from pplkit.models.motion.body import ANKLE, TOE, bone_lengths, humanoid
from pplkit.models.motion.body_pose import BodyKinematics
from pplkit.models.motion.retarget import floor_height, followed, from_body_axes, retargeted, to_body_axes

CLIPS = SHARED / "data" / "motion" / "deepmimic_joints17.npz"


def test_axes_are_turned_and_turned_back() -> None:
    assert np.allclose(to_body_axes(np.array([1.0, 2, 3])), [1, -3, 2])
    points = np.random.default_rng(0).normal(size=(4, 3))
    assert np.allclose(from_body_axes(to_body_axes(points)), points)


def test_the_motion_of_a_body_comes_back_from_its_joints() -> None:
    body = person()
    qpos = swinging(body)
    joints = followed(body, qpos)
    found = retargeted(body, joints)
    assert np.abs(followed(body, found) - joints).max() < 1e-6
    assert np.allclose(found, qpos, atol=3e-3)  # the pitch of the feet is searched in steps of 0.002


def test_any_pose_within_the_limits_is_reached() -> None:
    """How a limb is turned about itself shows in its bend, so that its joints are enough."""
    body, rng = person(), np.random.default_rng(0)
    qpos = np.tile(standing(body), (200, 1))
    qpos[:, 3:7] = from_rotation_vectors(rng.normal(0, 1, (200, 3)))
    qpos[:, 7:] += rng.normal(0, 0.25, (200, 28))
    qpos[:, 7:] = np.clip(qpos[:, 7:], [h.low for h in body.hinges], [h.high for h in body.hinges])
    qpos[:, 2] = 3  # so that no foot reaches the ground
    joints = followed(body, qpos)
    error = np.linalg.norm(followed(body, retargeted(body, joints)) - joints, axis=-1)
    nose = H36M17.joints.index("nose")  # which shows how the head is turned, and is not asked
    others = np.delete(error, nose, axis=1)
    assert others.mean() < 5e-4 and others.max() < 0.025  # where a limb is almost straight


def test_angles_do_not_jump_when_an_arm_circles() -> None:
    body = person()
    qpos = np.tile(standing(body), (60, 1))
    qpos[:, body.column("right upper arm").start] = np.linspace(0, 5.5, 60)
    found = retargeted(body, followed(body, qpos))
    assert np.abs(np.diff(found[:, 7:], axis=0)).max() < 0.2
    assert np.allclose(followed(body, found), followed(body, qpos), atol=1e-3)


def test_feet_stay_above_the_ground() -> None:
    """On shins that lean ahead by 0.5 radians, with their ankles as high as those of someone who stands."""
    body = person()
    qpos = standing(body)
    for side in ("right", "left"):
        qpos[:, body.column(f"{side} thigh").start] = -0.2
        qpos[:, body.column(f"{side} shin").start] = 0.7
        qpos[:, body.column(f"{side} foot").start] = -0.5
    joints = followed(body, qpos)
    joints[..., 2] += 0.06 - joints[:, H36M17.joints.index("right ankle"), 2]
    found = retargeted(body, joints)
    toes = BodyKinematics(body)(found).points[:, 17:, 2]
    assert np.abs(toes).max() < 5e-3
    joints[..., 2] += 1  # in the air they hang at a right angle to the shin
    assert retargeted(body, joints)[0, body.column("left foot").start] == pytest.approx(0, abs=0.02)


def test_a_body_of_another_size_takes_the_same_angles() -> None:
    body = person()
    qpos = swinging(body)
    found = retargeted(body, 1.3 * followed(body, qpos))
    assert np.allclose(found[:, 7:29], qpos[:, 7:29], atol=1e-6)
    assert np.allclose(found[:, :3], qpos[:, :3], atol=1e-6)


def test_the_floor_is_one_for_the_clip() -> None:
    """A jump is none of its business."""
    joints = np.zeros((100, 17, 3))
    joints[..., 2] = 0.31
    joints[40:60, :, 2] += 0.5
    assert floor_height(joints, 0.06) == pytest.approx(0.25)


def test_missing_joints_are_refused() -> None:
    joints = np.zeros((2, 17, 3))
    joints[1, 4] = np.nan
    with pytest.raises(PplkitError, match="complete missing joints"):
        retargeted(person(), joints)
    with pytest.raises(PplkitError, match="17 joints"):
        retargeted(person(), joints[:, :16])


@pytest.mark.skipif(not CLIPS.is_file(), reason="no ../shared/data/motion")
@pytest.mark.parametrize(("clip", "most"), [("walk", 0.003), ("run", 0.003), ("cartwheel", 0.01), ("backflip", 0.02)])
def test_recorded_motion_is_followed_to_millimeters(clip: str, most: float) -> None:
    joints = to_body_axes(np.load(CLIPS)[clip])
    body = humanoid(bone_lengths(joints))
    joints[..., 2] -= floor_height(joints, ANKLE * body.points["left toe"][1][0] / TOE)
    error = np.linalg.norm(followed(body, retargeted(body, joints)) - joints, axis=-1)
    assert error.mean() < most
