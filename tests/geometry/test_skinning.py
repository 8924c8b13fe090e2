"""Bones that turn, and surfaces that follow them."""

import numpy as np

from pplkit.geometry.kinematics import axis_rotation, euler_rotation
from pplkit.geometry.skinning import bone_rotations, bone_weights, carried, skinned

ARM = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
CHAIN = (-1, 0, 1)
HIPS = np.array([[0.0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 2, 0]])
TREE = (-1, 0, 0, 0, 3)
QUARTER = axis_rotation(np.array(np.pi / 2), 2)


def test_an_elbow_bends_by_hand() -> None:
    bent = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 5, 0]]])  # the forearm is longer than at rest, and points up
    turns = bone_rotations(ARM, bent, CHAIN)
    assert np.allclose(turns[0, 0], np.eye(3)) and np.allclose(turns[0, 1:], QUARTER)
    places = carried(ARM, turns, bent[:, 0], CHAIN)
    assert np.allclose(places[0], [[0, 0, 0], [1, 0, 0], [1, 1, 0]])


def test_turns_of_a_whole_skeleton_come_back() -> None:
    turn = euler_rotation(np.array([[0.4, -1.2, 2.0]]), (0, 1, 2))
    turns = bone_rotations(HIPS, HIPS @ np.swapaxes(turn, -1, -2) + 3, TREE)
    assert np.allclose(turns, turn[:, None], atol=1e-9)


def test_a_mirrored_skeleton_gives_rotations() -> None:
    turns = bone_rotations(HIPS, HIPS[None] * [-1, 1, 1], TREE)
    assert np.allclose(np.linalg.det(turns), 1)


def test_points_follow_the_nearest_bone() -> None:
    weights = bone_weights(np.array([[0.3, 0.1, 0], [1.7, -0.1, 0], [1.0, 0.1, 0]]), ARM, CHAIN)
    assert np.allclose(weights.sum(1), 1) and (weights[:, 2] == 0).all()
    assert weights[0, 0] > 0.99 and weights[1, 1] > 0.99 and np.isclose(weights[2, 0], 0.5)


def test_a_surface_goes_with_its_bone() -> None:
    turns = np.stack([np.eye(3), QUARTER, QUARTER])[None]
    places = carried(ARM, turns, np.array([[0.0, 0, 1]]), CHAIN)
    points, weights = np.array([[0.5, 0.2, 0], [2, 0.1, 0]]), np.array([[1.0, 0, 0], [0, 1, 0]])
    moved = skinned(points, weights, ARM, turns, places)
    assert np.allclose(moved[0], [[0.5, 0.2, 1], [0.9, 1, 1]])
