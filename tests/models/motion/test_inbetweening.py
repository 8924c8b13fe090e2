import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.geometry.coordinates import mirror
from pplkit.geometry.kinematics import axis_rotation
from pplkit.models.motion.inbetweening import (
    InBetween,
    InBetweening,
    fill,
    foot_contacts,
    heading,
    interpolate,
    joints_of,
    losses,
    pinned,
    poses_of,
)
from pplkit.models.motion.inbetweening_config import InBetweeningConfig

GAP, FEET = 8, [3, 6]
CONFIG = InBetweeningConfig(width=16, layers=1)


@pytest.fixture(scope="module")
def windows() -> Tensor:
    return torch.from_numpy(motion_windows(0, 6, 10 + GAP + 2, rule="gait"))


def parts(windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    past, gap, future = windows.split([10, GAP, 2], 1)
    return past, gap, future


def trained() -> InBetweening:
    """A network that corrects something."""
    torch.manual_seed(0)
    model = InBetweening(CONFIG).eval()
    torch.nn.init.normal_(model.leave.weight, std=0.1)
    return model


def test_poses_come_back(windows: Tensor) -> None:
    assert torch.allclose(joints_of(poses_of(windows, H36M17), H36M17), windows, atol=1e-5)


def test_before_training_it_is_interpolation(windows: Tensor) -> None:
    past, _, future = parts(windows)
    made = InBetweening(CONFIG)(past, future, GAP).positions
    assert torch.allclose(made, joints_of(interpolate(past[:, -1], future[:, 0], GAP, H36M17), H36M17), atol=1e-5)


def test_interpolation_of_a_turning_body_turns_it(windows: Tensor) -> None:
    before = windows[:, 0] - windows[:, 0, :1]
    angles = np.linspace(0, 2.0, GAP + 2)
    turned = torch.from_numpy(np.stack([before.numpy() @ axis_rotation(np.array(a), 1).T for a in angles], 1)).float()
    made = joints_of(interpolate(turned[:, 0], turned[:, -1], GAP, H36M17), H36M17)
    assert torch.allclose(made, turned[:, 1:-1], atol=1e-4)


def test_bones_keep_their_lengths_and_corrections_fade_towards_known_frames(windows: Tensor) -> None:
    past, _, future = parts(windows)
    made = trained()(past, future, GAP).positions
    lengths = poses_of(made, H36M17).lengths
    assert torch.allclose(lengths, poses_of(past[:, -1:], H36M17).lengths.expand_as(lengths), atol=1e-5)
    plain = joints_of(interpolate(past[:, -1], future[:, 0], GAP, H36M17), H36M17)
    size = (made - plain).norm(dim=-1).mean((0, 2))
    assert size[0] < size[GAP // 2] > size[-1] > 0


def test_turned_and_shifted_motion_is_filled_alike(windows: Tensor) -> None:
    turn = torch.from_numpy(axis_rotation(np.array(1.1), 1)).float()
    shift = torch.tensor([3.0, 0, -2])
    past, _, future = parts(windows)
    other = trained()(past @ turn.T + shift, future @ turn.T + shift, GAP).positions
    assert torch.allclose(trained()(past, future, GAP).positions @ turn.T + shift, other, atol=1e-4)
    side = heading(past[:, 0] @ turn.T, H36M17) @ turn @ heading(past[:, 0], H36M17).mT
    assert torch.allclose(side, torch.eye(3).expand_as(side), atol=1e-4)


def test_doubted_corrections_are_left_out_and_mirror_images_filled_alike(windows: Tensor) -> None:
    past, _, future = parts(windows)
    plain = joints_of(interpolate(past[:, -1], future[:, 0], GAP, H36M17), H36M17)
    assert torch.allclose(fill(trained(), past, future, GAP).positions, plain, atol=1e-4)  # random weights disagree
    model = trained()
    torch.nn.init.zeros_(model.leave.weight)
    with torch.no_grad():
        model.leave.bias[1] = 1.0  # upwards, in the image as well
    made = fill(model, past, future, GAP)
    assert torch.allclose(made.positions, model(past, future, GAP).positions, atol=1e-4)
    other = fill(model, *(mirror(part, H36M17.flip_pairs) for part in (past, future)), GAP)
    assert torch.allclose(mirror(other.positions, H36M17.flip_pairs), made.positions, atol=1e-4)
    assert torch.allclose(other.contacts[..., [1, 0]], made.contacts)


def test_losses_by_hand() -> None:
    truth, before = torch.zeros(1, 2, 17, 3), torch.zeros(1, 17, 3)
    output = InBetween(truth.clone(), torch.zeros(1, 2, 2))
    output.positions[:, 1, 3] = torch.tensor([3.0, 1.0, 4.0])
    contact = torch.tensor([[[1.0, 1], [1, 0]]])
    made = losses(output, truth, before, contact, FEET)
    assert made["position"] == pytest.approx(26**0.5 / 34)
    assert made["slide"] == pytest.approx(5 / 3)  # along the ground, over three touches
    assert made["contact"] == pytest.approx(np.log(2))


def test_feet_touch_where_they_stand_low() -> None:
    joints = torch.zeros(6, 17, 3)
    joints[:, 6, 1], joints[3:, 3, 0] = 0.2, 0.1
    assert foot_contacts(joints, FEET).T.tolist() == [[1, 1, 0, 0, 1, 1], [0] * 6]


def test_pinned_feet_stay_and_legs_keep_their_lengths(windows: Tensor) -> None:
    past, _, future = parts(windows)
    made = trained()(past, future, GAP)
    contacts = torch.full((6, GAP, 2), -1.0)
    contacts[:, :4, 0] = 1.0
    result = pinned(past, made._replace(contacts=contacts), future, H36M17)
    shift = (result[:, :4, 3] - past[:, -1:, 3])[..., [0, 2]].norm(dim=-1)
    free = (made.positions[:, :4, 3] - past[:, -1:, 3])[..., [0, 2]].norm(dim=-1)
    assert shift.mean() < 0.2 * free.mean()
    assert torch.allclose(result[:, :, 6], made.positions[:, :, 6])
    lengths, old = (poses_of(joints, H36M17).lengths for joints in (result, made.positions))
    assert torch.allclose(lengths, old, atol=1e-3)


def test_what_does_not_fit_is_refused(windows: Tensor) -> None:
    past, _, future = parts(windows)
    with pytest.raises(PplkitError, match="give 10 frames before the gap, 2 after it"):
        trained()(past[:, 1:], future, GAP)
    with pytest.raises(PplkitError, match="no pairs of sides or no ankles"):
        InBetweening(InBetweeningConfig(joint_names=("a", "b"), parents=(-1, 0), flip_pairs=()))
