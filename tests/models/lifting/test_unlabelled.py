"""Losses without 3D labels: zero for true poses, above it for wrong ones, and gradients that go the right way."""

import math

import pytest
import torch
from torch import Tensor

from data_prep.motion_synthetic import lift_batch
from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17, Skeleton
from pplkit.models.lifting import Lifter, LiftingConfig
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.unlabelled import (
    Critic,
    bone_ratio_loss,
    hinge_loss,
    losses,
    projected,
    random_turns,
)
from pplkit.training.task import Rank
from pplkit.training.tasks.lifting import LiftingTask

TINY = LiftingConfig.preset("lift-2d").replace(width=24, depth=1, heads=2, batch_size=4)


@pytest.fixture(scope="module")
def poses() -> Tensor:
    positions = torch.from_numpy(lift_batch(0, 50, noise=0.0).positions)
    return positions - positions[:, :, :1]


def test_projection_fits_the_scale_and_starts_at_the_root() -> None:
    poses = torch.tensor([[0.0, 0, 0], [1, 2, 5], [-3, 1, 2]]).expand(1, 2, 3, 3)
    keypoints = torch.tensor([0.5, -0.5]) + 0.25 * poses[..., :2]
    flat, scale = projected(poses, keypoints, 0)
    assert torch.allclose(flat, keypoints, atol=1e-6)
    assert scale.item() == pytest.approx(0.25)


def test_turns_are_rotations_that_keep_the_vertical_nearly() -> None:
    torch.manual_seed(0)
    turns = random_turns(500, torch.zeros(1))
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand(500, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(500), atol=1e-5)
    assert turns[:, 1, 1].min() >= math.cos(0.35) - 1e-6
    assert turns[:, 0, 0].min() < -0.9 and turns[:, 0, 0].max() > 0.9


def test_bone_ratios_by_hand() -> None:
    """Bones of 1 and 3, then of 2 and 2: shares 1/4, 3/4 and 1/2, 1/2 around means of 3/8 and 5/8."""
    poses = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0]], [[0, 0, 0], [2, 0, 0], [4, 0, 0]]])[:, None]
    expected = (2 * ((1 / 8) / (3 / 8)) ** 2 + 2 * ((1 / 8) / (5 / 8)) ** 2) / 4
    assert bone_ratio_loss(poses, [(0, 1), (1, 2)]).item() == pytest.approx(expected)
    assert bone_ratio_loss(7 * poses[:1], [(0, 1), (1, 2)]).item() == pytest.approx(0)


def test_hinges_tell_a_pose_from_its_depth_mirror_image(poses: Tensor) -> None:
    mirrored = poses * torch.tensor([1, 1, -1])
    assert hinge_loss(poses, H36M17) < 0.02 < 0.3 < hinge_loss(mirrored, H36M17)
    assert hinge_loss(poses[..., :3, :], Skeleton("leg", ("a", "b", "c"), (-1, 0, 1))) == 0


def test_the_critic_learns_and_the_lifter_is_pushed_against_it(poses: Tensor) -> None:
    """One backward pass gives the critic a step down its loss, and the lifter a step up."""
    torch.manual_seed(0)
    config = TINY.replace(
        weight_reprojection=0.0, weight_scale=0.0, weight_cycle=0.0, weight_critic=1.0, weight_bone_ratio=0.0,
        weight_bone_variance=0.0, weight_symmetry=0.0, weight_hinge=0.0,
    )  # fmt: skip
    keypoints, confidence = poses[:8, :, :, :2].contiguous(), torch.ones(8, 27, 17)
    shift = torch.zeros(8, 1, 17, 3, requires_grad=True)
    critic = Critic(17, 0, width=16)
    values = [poses[:8] + shift]

    def forward(*_: Tensor) -> Lifted:
        return Lifted(values[0], None)

    def fooled() -> Tensor:
        torch.manual_seed(1)
        return losses(config, forward, critic, keypoints, confidence)[0]

    before = fooled()
    before.backward()
    assert shift.grad is not None
    values[0] = poses[:8] + (shift - 0.05 * shift.grad / shift.grad.norm()).detach()
    with torch.no_grad():
        assert fooled() > before  # the lifter's step makes it harder for the critic
        values[0] = poses[:8]
        for parameter in critic.parameters():
            parameter -= 0.01 * parameter.grad  # type: ignore[operator]
        assert fooled() < before


def test_true_poses_have_low_losses_and_flat_ones_high_ones(poses: Tensor) -> None:
    def parts(output: Tensor) -> dict[str, Tensor]:
        keypoints = poses[..., :2] / 4
        answer = Lifted(output, None)
        return losses(TINY, lambda *_: answer, Critic(17, 0), keypoints, torch.ones(keypoints.shape[:3]))[1]

    true, flat = parts(poses), parts(poses * torch.tensor([1, 1, 0]))
    assert true["reprojection"] < 1e-5 and flat["reprojection"] < 1e-5
    assert true["bone_ratio"] < 0.5 * flat["bone_ratio"]
    assert true["bone_variance"] < 1e-4 < flat["bone_variance"]
    assert true["hinge"] < 0.02


def test_a_step_reaches_lifter_and_critic() -> None:
    task = LiftingTask(TINY, lift_batch)
    task.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    assert isinstance(task.model, Lifter)
    total, parts, output = task.losses(task.model, task.batch(0), 0.0)
    total.backward()
    assert output.positions.shape == (4, 27, 17, 3) and len(parts) == 8
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_what_cannot_be_trained_without_labels() -> None:
    with pytest.raises(PplkitError, match="labels='2d' is not for network='mlp'"):
        LiftingConfig.preset("frame-mlp").replace(labels="2d")
    with pytest.raises(PplkitError, match="trained in one process: use --devices 1"):
        LiftingTask(TINY, lift_batch).check(2)
