import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pplkit.geometry.kinematics import (
    axis_rotation,
    bend_limb,
    euler_angles,
    euler_rotation,
    fit_rotation,
    forward_kinematics,
    shortest_rotation,
)

RNG = np.random.default_rng(0)


def test_a_quarter_turn_by_hand() -> None:
    for axis in range(3):
        turned = axis_rotation(np.array(np.pi / 2), axis) @ np.eye(3)[(axis + 1) % 3]
        assert np.allclose(turned, np.eye(3)[(axis + 2) % 3])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_euler_angles_are_those_of_scipy_and_come_back(order: tuple[int, ...]) -> None:
    angles = RNG.uniform(-1, 1, (50, 3)) * [np.pi, np.pi / 2, np.pi]
    angles[:4, 1] = [np.pi / 2, -np.pi / 2, 0, np.pi / 2]
    rotations = euler_rotation(angles, order)
    expected = Rotation.from_euler("".join("XYZ"[axis] for axis in order), angles).as_matrix()
    assert np.allclose(rotations, expected, atol=1e-12)
    assert np.allclose(euler_angles(rotations, order)[4:], angles[4:])
    assert np.allclose(euler_rotation(euler_angles(rotations, order), order), rotations, atol=1e-6)


def test_forward_kinematics_of_an_arm_by_hand() -> None:
    quarter = axis_rotation(np.array(np.pi / 2), 2)
    rotations = np.stack([quarter, quarter, np.eye(3)])
    offsets = np.array([[9.0, 9, 9], [1, 0, 0], [2, 0, 0]])
    positions, world = forward_kinematics(rotations, offsets, np.array([0.0, 0, 5]), (-1, 0, 1))
    assert np.allclose(positions, [[0, 0, 5], [0, 1, 5], [-2, 1, 5]])
    assert np.allclose(world[2], quarter @ quarter)


def test_forward_kinematics_keeps_bone_lengths() -> None:
    rotations = Rotation.random(5 * 7 * 4, rng=1).as_matrix().reshape(5, 7, 4, 3, 3)
    offsets = RNG.normal(size=(5, 1, 4, 3))
    parents = (-1, 0, 0, 2)
    positions, _ = forward_kinematics(rotations, offsets, RNG.normal(size=(5, 7, 3)), parents)
    lengths = np.linalg.norm(positions[..., 1:, :] - positions[..., list(parents[1:]), :], axis=-1)
    assert np.allclose(lengths, np.linalg.norm(offsets, axis=-1)[..., 1:])


def test_a_limb_reaches_its_target_and_bends_forward() -> None:
    start, target = np.array([0.0, 1.4, 0]), np.array([0.0, 0, 0])
    upper = lower = np.array([1.0])
    knee, ankle = bend_limb(start, target, upper, lower, np.array([1.0, 0, 0]))
    assert np.allclose(ankle, target) and np.allclose(knee[:2], [0, 0.7])
    assert knee[2] == pytest.approx(np.sqrt(1 - 0.49))  # a knee bends forward: up, left and forward are y, x and z
    far = bend_limb(start, target, upper / 3, lower / 3, np.array([1.0, 0, 0]))
    assert far[1][1] == pytest.approx(1.4 - 2 / 3, abs=1e-3)
    for middle, end in (far, bend_limb(start, start, upper, lower / 2, np.array([1.0, 0, 0]))):
        assert np.isfinite(middle).all() and np.isfinite(end).all()


def test_the_shortest_rotation_turns_one_direction_into_the_other() -> None:
    first, second = RNG.normal(size=(2, 100, 3))
    second[:3] = [2 * first[0], -first[1], -3 * first[2]]
    rotations = shortest_rotation(first, second)
    assert np.allclose(np.linalg.det(rotations), 1) and np.allclose(rotations @ rotations.swapaxes(1, 2), np.eye(3))
    unit = second / np.linalg.norm(second, axis=1, keepdims=True)
    assert np.allclose((rotations @ first[..., None])[..., 0] / np.linalg.norm(first, axis=1, keepdims=True), unit)
    angle = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    between = np.arccos(np.clip((first * unit).sum(1) / np.linalg.norm(first, axis=1), -1, 1))
    assert np.allclose(angle, between, atol=1e-6)


def test_a_fitted_rotation_is_the_one_that_was_applied_and_never_a_mirror() -> None:
    rotations = Rotation.random(20, rng=2).as_matrix()
    vectors = RNG.normal(size=(20, 3, 3))
    assert np.allclose(fit_rotation(vectors, vectors @ rotations.swapaxes(1, 2)), rotations)
    assert np.allclose(np.linalg.det(fit_rotation(vectors, vectors * [-1, 1, 1])), 1)
    flat = vectors[:, :2]
    assert np.allclose(fit_rotation(flat, flat @ rotations.swapaxes(1, 2)), rotations)
