"""Losses of lifting, computed by hand."""

import pytest
import torch
from torch import Tensor

from pplkit.data.skeletons import Skeleton
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.losses import (
    bone_length_loss,
    bone_lengths,
    bone_variance_loss,
    losses,
    position_loss,
    symmetry_loss,
    uncertainty_loss,
    velocity_loss,
)

SKELETON = Skeleton("y", ("root", "left", "right"), (-1, 0, 0), ((1, 2),))


def poses(*lengths: tuple[float, float]) -> Tensor:
    """A window: frames whose left and right joints lie this far from the root, along x and along y."""
    frames = torch.zeros(1, len(lengths), 3, 3)
    for number, (left, right) in enumerate(lengths):
        frames[0, number, 1, 0], frames[0, number, 2, 1] = left, right
    return frames


def test_positions_and_velocities() -> None:
    """Errors of the left joint: 3, 5, 5; of its movement: 2, 0; the other joints are right."""
    prediction, target = poses((3, 1), (6, 1), (7, 1)), poses((0, 1), (1, 1), (2, 1))
    assert position_loss(prediction, target).item() == pytest.approx(13 / 9)
    assert velocity_loss(prediction, target).item() == pytest.approx(2 / 6)
    assert velocity_loss(prediction[:, :1], target[:, :1]).item() == 0


def test_frames_without_weight_do_not_count() -> None:
    prediction, target = poses((3, 1), (6, 1), (70, 1)), poses((0, 1), (1, 1), (2, 1))
    weights = torch.tensor([1.0, 1, 0])[None, :, None].expand(1, 3, 3)
    assert position_loss(prediction, target, weights).item() == pytest.approx(8 / 6)
    assert velocity_loss(prediction, target, weights).item() == pytest.approx(2 / 3)
    assert position_loss(prediction, target, torch.zeros(1, 3, 3)).item() == 0


def test_bones() -> None:
    prediction, target = poses((1, 2), (3, 2)), poses((2, 2), (2, 2))
    assert bone_lengths(prediction, SKELETON.bones).tolist() == [[[1, 2], [3, 2]]]
    assert bone_length_loss(prediction, target, SKELETON.bones).item() == (1 + 0 + 1 + 0) / 4
    assert bone_variance_loss(prediction, SKELETON.bones).item() == (1 + 0) / 2
    assert symmetry_loss(prediction, SKELETON.bones, SKELETON.flip_pairs).item() == (1 + 1) / 2
    assert symmetry_loss(prediction, SKELETON.bones, ()).item() == 0


def test_the_best_spread_is_the_mean_error() -> None:
    error = torch.tensor([[[0.1, 0.3]]])
    spreads = torch.linspace(0.05, 0.6, 111)
    values = [uncertainty_loss(error, spread.expand(1, 1, 2)).item() for spread in spreads]
    assert spreads[values.index(min(values))].item() == pytest.approx(0.2)
    assert uncertainty_loss(error, torch.ones(1, 1, 2)).item() == pytest.approx(0.2)


def test_the_total_has_the_weights_of_the_settings() -> None:
    config = LiftingConfig(weight_position=2.0, weight_velocity=0.5, weight_symmetry=3.0, uncertainty=True)
    prediction, target = poses((3, 1), (6, 1)).requires_grad_(), poses((0, 1), (1, 1))
    total, parts = losses(config, Lifted(prediction, torch.ones(1, 2, 3)), target, SKELETON)
    expected = {"position": 8 / 6, "velocity": 2 / 3, "symmetry": 7 / 2, "uncertainty": 8 / 6}
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(expected)
    assert total.item() == pytest.approx(2 * 8 / 6 + 0.5 * 2 / 3 + 3 * 7 / 2 + 0.1 * 8 / 6)
    total.backward()  # type: ignore[no-untyped-call]
    assert prediction.grad is not None and prediction.grad.isfinite().all()
