import numpy as np
import pytest
from figures import person, standing

from pplkit.geometry.quaternions import from_rotation_vectors
from pplkit.models.motion.body_pose import BodyKinematics, speeds
from pplkit.models.motion.mjcf import compiled

mujoco = pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')


def test_points_and_rotations_are_those_of_mujoco() -> None:
    body, rng = person(), np.random.default_rng(0)
    model = compiled(body)
    data = mujoco.MjData(model)
    qpos = rng.normal(0, 0.7, (6, body.position_count))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    pose = BodyKinematics(body)(qpos)
    for number, values in enumerate(qpos):
        data.qpos[:] = values
        mujoco.mj_kinematics(model, data)
        assert np.allclose(pose.rotations[number], data.xmat[1:].reshape(-1, 3, 3), atol=1e-12)
        for (segment, place), point in zip(body.points.values(), pose.points[number], strict=True):
            expected = data.xpos[segment + 1] + data.xmat[segment + 1].reshape(3, 3) @ place
            assert np.allclose(point, expected, atol=1e-12)


def test_float32_and_any_leading_axes() -> None:
    body = person()
    qpos = np.tile(standing(body), (4, 1)).reshape(2, 2, -1)
    pose = BodyKinematics(body, np.float32)(qpos)
    assert pose.points.shape == (2, 2, 19, 3) and pose.points.dtype == np.float32
    assert np.allclose(pose.points, BodyKinematics(body)(qpos[0, 0]).points, atol=1e-6)


def test_speeds_of_a_body_that_moves_and_turns_evenly() -> None:
    body, fps = person(), 50.0
    time = np.arange(9) / fps
    qpos = np.tile(standing(body), (9, 1))
    qpos[:, 0] += 2 * time
    qpos[:, 3:7] = from_rotation_vectors(np.stack([0 * time, 0 * time, 3 * time], -1))
    qpos[:, 10] = -1.5 * time
    expected = np.zeros(body.speed_count)
    expected[[0, 5, 9]] = 2, 3, -1.5
    assert np.allclose(speeds(qpos, fps), expected, atol=1e-9)


def test_speeds_are_those_with_which_mujoco_moves_on() -> None:
    """A turn of the root is in its own axes."""
    body, rng, step = person(), np.random.default_rng(1), 1e-3
    model = compiled(body)
    qpos, qvel = standing(body)[0], rng.normal(size=body.speed_count)
    qpos[3:7] = from_rotation_vectors(np.array([0.4, -0.8, 1.0]))
    moved = [qpos.copy() for _ in range(3)]
    for number, values in enumerate(moved):
        mujoco.mj_integratePos(model, values, qvel, step * (number - 1))
    assert np.allclose(speeds(np.array(moved), 1 / step)[1], qvel, atol=1e-5)


def test_a_single_frame_stands_still() -> None:
    assert not speeds(standing(person()), 30).any()
