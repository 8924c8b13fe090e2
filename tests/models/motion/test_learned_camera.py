from pathlib import Path

import pytest
import torch

from pplkit.models.motion.learned_camera import (
    LearnedCamera,
    PairDiscriminator,
    camera_loss,
    discriminator_loss,
    random_scale,
)
from tests.helpers.motion_parity import arrays, close, keys, state

WINDOWS = torch.randn(20, 27, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.5


@pytest.mark.parametrize(("wide", "turn", "farthest"), [(False, 0.5, 5.0), (True, 3.14, 6.0)])
def test_cameras_stay_within_their_reach(wide: bool, turn: float, farthest: float) -> None:
    view = LearnedCamera(wide)(WINDOWS)
    assert view.turns[:, 0].abs().max() < turn and not view.turns[:, 1:].any()
    assert ((view.places[:, 2] > 2) & (view.places[:, 2] < farthest)).all()
    assert (view.places[:, :2].abs() < torch.tensor([3.0, 1.5])).all()
    assert not torch.equal(LearnedCamera(wide)(WINDOWS).turns, view.turns)  # other noise, other camera


def test_losses_by_hand() -> None:
    real, made = torch.tensor([[1.0], [0.5]]), torch.tensor([[0.0], [1.0]])
    assert camera_loss(real, made) == pytest.approx((1 + 0.25) / 2)
    assert discriminator_loss(real, made) == pytest.approx(0.125 + 0.5)


def test_the_discriminator_sees_two_frames() -> None:
    discriminator, keypoints = PairDiscriminator(), WINDOWS[..., :2].clone()
    score = discriminator(keypoints)
    keypoints[:, 5] += 1
    assert torch.equal(discriminator(keypoints), score)
    keypoints[:, -1] += 1
    assert not torch.equal(discriminator(keypoints), score)


def test_real_windows_are_scaled() -> None:
    ratios = random_scale(WINDOWS, torch.Generator().manual_seed(0)) / WINDOWS
    assert torch.allclose(ratios, ratios[:, :1, :1, :1].expand_as(ratios))
    assert ratios.min() > 0.499 and ratios.max() < 1.401 and ratios.max() - ratios.min() > 0.5


def test_published_camera_and_discriminator(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    camera, discriminator = LearnedCamera().eval(), PairDiscriminator().eval()
    for model, key in ((camera, "virtual_camera"), (discriminator, "pair_discriminator")):
        model.load_state_dict(state(parity, key))
        assert {name: list(value.shape) for name, value in model.state_dict().items()} == keys(parity)[key]
    noise = torch.from_numpy(stored["vc_noise_r"]), torch.from_numpy(stored["vc_noise_t"])
    with torch.no_grad():
        view = camera(torch.from_numpy(stored["vc_input"]), noise)
        close(view.turns, stored["vc_r"], 1e-4)
        close(view.places, stored["vc_t"], 1e-4)
        close(view.keypoints, stored["vc_pose2d"], 1e-4)
        close(view.positions[:, ::9], stored["vc_pose3d"], 1e-4)
        close(discriminator(view.keypoints), stored["vc_discriminator"], 1e-4)
