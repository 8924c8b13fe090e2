"""Bodies of rigid parts: joints from rotations, rotations from joints."""

import numpy as np
import pytest
import torch
from strides import walk

from pplkit.data.skeletons import H36M17, Skeleton
from pplkit.geometry.kinematics import axis_rotation, forward_kinematics
from pplkit.geometry.plausibility import bone_lengths
from pplkit.inference.imitation.body import Joints, body_of, local_rotations, part_rotations, turned


def test_a_bent_arm_by_hand() -> None:
    arm = Skeleton("arm", ("shoulder", "elbow", "wrist"), (-1, 0, 1))
    body = body_of(np.array([[[0, 0, 0], [2, 0, 0], [3.0, 0, 0]]]), arm)
    assert body.parts == [0, 1] and body.offsets.tolist() == [[0, 0, 0], [2, 0, 0], [1, 0, 0]]
    rotations = torch.from_numpy(np.stack([axis_rotation(np.pi / 2 * np.arange(1, 3), 2)]))  # world: 90 and 180 degrees
    points = Joints(body)(torch.ones(1, 3).double(), rotations, torch.from_numpy(body.offsets))
    assert points[0].numpy() == pytest.approx(np.array([[1, 1, 1], [1, 3, 1], [0, 3, 1]]))


def test_joints_are_those_of_forward_kinematics_with_local_rotations() -> None:
    truth = walk(8)
    body = body_of(truth.points, H36M17)
    world = part_rotations(body, truth.points.astype(float))
    joints = Joints(body)(
        torch.from_numpy(truth.points[:, 0]).double(), torch.from_numpy(world), torch.from_numpy(body.offsets)
    )
    local = np.tile(np.eye(3), (8, 17, 1, 1))
    local[:, body.parts] = local_rotations(body, world)
    order = H36M17.order
    parents = [order.index(H36M17.parents[joint]) if joint else -1 for joint in order]
    chained = forward_kinematics(local[:, order], body.offsets[order], truth.points[:, 0].astype(float), parents)[0]
    assert joints.numpy()[:, order] == pytest.approx(chained, abs=1e-9)
    assert np.linalg.norm(joints.numpy() - truth.points, axis=-1).mean() < 0.05  # parts of several bones are rigid
    assert body.symmetric.all()
    assert bone_lengths(joints.numpy(), H36M17.bones).std(0).max() < 1e-12


def test_a_bone_without_length_and_a_skeleton_of_ones_own_have_a_body() -> None:
    own = Skeleton("own", ("a", "b", "c"), (-1, 0, 1))
    points = np.zeros((4, 3, 3))
    points[:, 2, 0] = 1
    body = body_of(points, own)
    assert not body.symmetric.any() and np.isfinite(body.offsets).all() and body.offsets[1] == pytest.approx(0)
    assert np.isfinite(part_rotations(body, points)).all()


def test_turns_are_rotations_about_axes_of_the_world() -> None:
    start = torch.from_numpy(axis_rotation(np.array([0.3, 1.0]), 0))
    vectors = torch.tensor([[0, 0, np.pi / 2], [0, 0, 0]], dtype=torch.float64)
    result = turned(start, vectors)
    assert result[0].numpy() == pytest.approx(axis_rotation(np.array(np.pi / 2), 2) @ start[0].numpy(), abs=1e-6)
    assert result[1].numpy() == pytest.approx(start[1].numpy(), abs=1e-6)
    assert (result @ result.transpose(-1, -2)).numpy() == pytest.approx(np.tile(np.eye(3), (2, 1, 1)), abs=1e-6)
