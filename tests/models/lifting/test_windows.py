"""Sequences of any length: windows that cover them, blended without seams."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pplkit.geometry.coordinates import mirror
from pplkit.models.lifting import Lifter, LiftingConfig, PoseFormer
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.windows import (
    blend_weights,
    flip_mean,
    lift_centers,
    lift_flipped,
    lift_sequence,
    window_starts,
)

PAIRS = ((1, 2), (3, 4))
FIVE: dict[str, Any] = {"joint_names": tuple("abcde"), "parents": (-1, 0, 0, 2, 3), "flip_pairs": ()}


def lifter(**settings: Any) -> Lifter:
    torch.manual_seed(0)
    return Lifter(LiftingConfig(**{"frames": 9, **FIVE, "width": 16, "depth": 2, "heads": 2, **settings})).eval()


class Offset(Lifter):
    """The keypoints, with a depth that is the same in a window and differs a lot between windows."""

    def forward(self, keypoints: Tensor, confidence: Tensor | None = None, real: Tensor | None = None) -> Lifted:
        depth = (100 * keypoints[:, :1, :1, :1]).sin().expand(*keypoints.shape[:3], 1)
        return Lifted(torch.cat((keypoints, depth), dim=-1), None)


def test_windows_cover_a_sequence() -> None:
    assert window_starts(20, 9, 3).tolist() == [0, 3, 6, 9, 11]
    assert window_starts(9, 9, 3).tolist() == [0]
    assert window_starts(4, 9, 3).tolist() == [0]
    assert blend_weights(5).tolist() == [1, 2, 3, 2, 1]
    assert blend_weights(4).tolist() == [1, 2, 2, 1]
    assert blend_weights(3, causal=True).tolist() == [1, 2, 3]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9, 10, 50])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"frequency_tokens": 3, "uncertainty": True}])
def test_every_frame_has_one_pose(length: int, options: dict[str, Any]) -> None:
    lifted = lift_sequence(lifter(**options), torch.randn(length, 5, 2), flip_pairs=PAIRS, batch_size=3)
    assert lifted.positions.shape == (length, 5, 3)
    assert lifted.positions.isfinite().all()
    assert (lifted.spread is None) != ("uncertainty" in options)
    assert lifted.spread is None or (lifted.spread.shape == (length, 5) and (lifted.spread > 0).all())


def test_a_sequence_of_one_window_is_what_the_model_says() -> None:
    model, keypoints, confidence = lifter(uncertainty=True), torch.randn(7, 5, 2), torch.rand(7, 5)
    plain = model(keypoints[None], confidence[None])
    lifted = lift_sequence(model, keypoints, confidence)
    assert torch.allclose(lifted.positions, plain.positions[0], atol=1e-6)
    assert lifted.spread is not None and torch.allclose(lifted.spread, plain.spread[0], atol=1e-6)


def test_blending_leaves_no_seam() -> None:
    """Each window has a depth of its own, from -1 to 1; neighboring frames differ by a few steps of the triangle."""
    keypoints = torch.linspace(0, 3, 40)[:, None, None].expand(40, 5, 2)
    lifted = lift_sequence(Offset(LiftingConfig(frames=27, **FIVE)), keypoints, stride=9).positions
    assert torch.allclose(lifted[..., :2], keypoints, atol=1e-6)
    depths = lifted[:, 0, 2]
    assert depths.max() - depths.min() > 0.5
    assert depths.diff().abs().max() < 0.25


def test_a_stride_of_one_frame_and_batches_give_the_same() -> None:
    model, keypoints = lifter(), torch.randn(30, 5, 2)
    single = lift_sequence(model, keypoints, stride=1, batch_size=1).positions
    assert torch.allclose(lift_sequence(model, keypoints, stride=1, batch_size=100).positions, single, atol=1e-6)


def test_a_causal_model_stays_causal_over_windows() -> None:
    model, keypoints = lifter(causal=True), torch.randn(40, 5, 2)
    later = keypoints.clone()
    later[25:] += 1
    assert torch.allclose(lift_sequence(model, later)[0][:25], lift_sequence(model, keypoints)[0][:25], atol=1e-6)


def test_the_mean_over_mirror_images_is_symmetric() -> None:
    model, keypoints, confidence = lifter(), torch.randn(2, 9, 5, 2), torch.rand(2, 9, 5)
    lifted = lift_flipped(model, keypoints, confidence, PAIRS).positions
    turned = lift_flipped(model, mirror(keypoints, PAIRS), confidence[..., [0, 2, 1, 4, 3]], PAIRS).positions
    assert torch.allclose(mirror(turned, PAIRS), lifted, atol=1e-6)
    assert not torch.allclose(model(keypoints, confidence).positions, lifted, atol=1e-3)


def test_centers_of_windows_by_hand() -> None:
    torch.manual_seed(0)
    model, keypoints = PoseFormer(5, joints=5, width=8, depth=1, heads=2).eval(), torch.randn(4, 5, 2)
    poses = lift_centers(model, keypoints, batch_size=3)
    assert poses.shape == (4, 5, 3)
    with torch.no_grad():
        assert torch.allclose(poses[1], model(keypoints[[0, 0, 1, 2, 3]][None])[0, 0], atol=1e-6)
        mean = flip_mean(model, keypoints[[0, 1, 2, 3, 3]][None], PAIRS)[0, 0]
    assert torch.allclose(lift_centers(model, keypoints, PAIRS)[2], mean, atol=1e-6)
