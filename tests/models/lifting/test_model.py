"""The network for all frames: its inputs by hand, what must not matter, and that it learns."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.models.lifting import Lifter, LiftingConfig
from pplkit.models.lifting.features import cosine_basis, frame_features, root_path, sine_positions
from pplkit.models.lifting.losses import position_loss

OPTIONS: list[dict[str, Any]] = [{}, {"frequency_tokens": 4}, {"causal": True}, {"uncertainty": True}]

FIVE: dict[str, Any] = {"joint_names": tuple("abcde"), "parents": (-1, 0, 0, 2, 3), "flip_pairs": ()}


def tiny(**settings: Any) -> Lifter:
    torch.manual_seed(0)
    return Lifter(LiftingConfig(**{"frames": 9, **FIVE, "width": 16, "depth": 2, "heads": 2, **settings})).eval()


@pytest.fixture
def keypoints() -> Tensor:
    return torch.randn(2, 9, 5, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("frames", [1, 2, 9, 30])
def test_any_number_of_frames(options: dict[str, Any], frames: int) -> None:
    positions, spread = tiny(**options)(torch.randn(3, frames, 5, 2))
    assert positions.shape == (3, frames, 5, 3)
    assert positions.isfinite().all()
    assert not positions[:, :, 0].any()  # the root
    assert (spread is not None) == ("uncertainty" in options)
    assert spread is None or (spread.shape == (3, frames, 5) and (spread > 0).all())


@pytest.mark.parametrize("frames", [1, 4, 9, 10])
def test_frames_that_share_a_token_keep_their_places(frames: int) -> None:
    """The last frame fills the last token up, so that repeating it by hand changes nothing."""
    model, keypoints = tiny(frames_per_token=3), torch.randn(2, frames, 5, 2)
    lifted = model(keypoints).positions
    assert lifted.shape == (2, frames, 5, 3)
    filled = torch.cat((keypoints, keypoints[:, -1:].expand(-1, -frames % 3, -1, -1)), dim=1)
    assert torch.allclose(model(filled).positions[:, :frames], lifted, atol=1e-6)


def test_features_by_hand() -> None:
    """Two frames of a root and a joint that is 3 and then 4 from it, and one that is missing."""
    keypoints = torch.tensor([[[0.0, 1], [3, 1], [9, 9]], [[1, 1], [1, 5], [9, 9]]])[None]
    confidence = torch.tensor([[1.0, 0.5, 0], [1, 0.8, 0]])[None]
    size = math.sqrt((9 + 16) / 4)  # of four seen joints, two of them the root
    expected = [
        [0, 0, 1, 3 / size, 0, 0.5, 0, 0, 0, 0, 1, math.log(size)],
        [0, 0, 1, 0, 4 / size, 0.8, 0, 0, 0, 1, 1, math.log(size)],
    ]
    assert torch.allclose(frame_features(keypoints, confidence, 0), torch.tensor(expected)[None])
    causal = frame_features(keypoints, confidence, 0, causal=True)
    assert causal[0, :, -1].tolist() == pytest.approx([math.log(math.sqrt(9 / 2)), math.log(size)])


def test_a_missing_root_is_interpolated() -> None:
    keypoints = torch.zeros(1, 6, 2, 2)
    keypoints[0, :, 0, 0] = torch.tensor([9.0, 2, 9, 9, 8, 9])
    keypoints[0, :, 1, 1] = torch.arange(6.0)
    seen = torch.ones(1, 6, 2, dtype=torch.bool)
    seen[0, [0, 2, 3, 5], 0] = False
    assert root_path(keypoints, seen, 0)[0].tolist() == [[2, 0], [2, 0], [4, 0], [6, 0], [8, 0], [8, 0]]
    held = [[0, 0], [2, 0], [2, 0], [2, 0], [8, 0], [8, 0]]  # at first the mean of the seen joints
    assert root_path(keypoints, seen, 0, causal=True)[0].tolist() == held
    seen[..., 0] = False
    assert root_path(keypoints, seen, 0)[0].tolist() == [[0, t] for t in range(6)]


def test_a_missing_joint_lies_where_it_is_interpolated_relative_to_the_root() -> None:
    """The root moves by 10 a frame; the joint is 1 above it, then missing, then 3 above it."""
    keypoints = torch.tensor([[[0.0, 0], [0, 1], [0, 2]], [[10, 0], [50, 50], [10, 2]], [[20, 0], [20, 3], [20, 2]]])
    confidence = torch.tensor([[1.0, 1, 1], [1, 0, 1], [1, 1, 1]])
    features = frame_features(keypoints[None], confidence[None], 0)[0]
    size = features[0, -1].exp().item()
    assert size == pytest.approx(math.sqrt((1 + 9 + 3 * 4) / 8))
    assert (size * features[:, 4]).tolist() == pytest.approx([1, 2, 3])
    assert features[:, 5].tolist() == [1, 0, 1]
    held = frame_features(keypoints[None], confidence[None], 0, causal=True)[0]
    assert (held[1, 4] * held[1, -1].exp()).item() == pytest.approx(1)


def test_cosine_coefficients_are_those_of_scipy() -> None:
    signal = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    expected = dct(signal, axis=0)[:4] / 7
    assert torch.allclose(cosine_basis(4, 7)[0] @ torch.from_numpy(signal), torch.from_numpy(expected), atol=1e-6)
    assert not cosine_basis(9, 7)[0, 7:].any()


def test_position_embeddings_differ_from_frame_to_frame() -> None:
    positions = sine_positions(50, 16)
    assert positions[0].tolist() == [0] * 8 + [1] * 8
    assert torch.pdist(positions).min() > 0.3
    assert torch.equal(sine_positions(20, 16), positions[:20])


@pytest.mark.parametrize("options", OPTIONS)
def test_padding_changes_nothing(options: dict[str, Any], keypoints: Tensor) -> None:
    model, real = tiny(**options), torch.ones(2, 9, dtype=torch.bool)
    real[0, 6:] = False
    changed = keypoints.clone()
    changed[0, 6:] = float("nan")
    assert torch.allclose(model(changed, real=real).positions[:1, :6], model(keypoints[:1, :6]).positions, atol=1e-6)
    assert torch.allclose(model(changed, real=real).positions[1:], model(keypoints[1:]).positions, atol=1e-6)
    assert model(changed, real=real).positions.isfinite().all()


def test_a_missing_joint_is_missing_whatever_its_place(keypoints: Tensor) -> None:
    model, confidence, other = tiny(), torch.ones(2, 9, 5), keypoints.clone()
    confidence[:, 3, 2] = 0
    other[:, 3, 2] = 100
    plain = model(keypoints, confidence).positions
    assert torch.equal(model(other, confidence).positions, plain)
    other[:, 3, 2] = float("nan")
    assert torch.equal(model(other).positions, plain)
    assert not torch.allclose(model(keypoints).positions, plain)
    nothing = model(torch.full_like(keypoints, float("nan")))
    assert nothing.positions.isfinite().all()


def test_confidence_is_an_input(keypoints: Tensor) -> None:
    model = tiny()
    assert not torch.allclose(model(keypoints, torch.full((2, 9, 5), 0.3)).positions, model(keypoints).positions)


def test_a_causal_model_does_not_look_ahead(keypoints: Tensor) -> None:
    later = keypoints.clone()
    later[:, 5:] = torch.randn(2, 4, 5, 2) * 3
    later[:, 7, 0] = float("nan")
    model = tiny(causal=True)
    assert torch.allclose(model(later).positions[:, :5], model(keypoints).positions[:, :5], atol=1e-6)
    assert not torch.allclose(tiny()(later).positions[:, :5], tiny()(keypoints).positions[:, :5], atol=1e-2)


def test_place_and_size_enter_through_their_own_inputs_alone(keypoints: Tensor) -> None:
    model = tiny()
    with torch.no_grad():
        model.embed.weight[:, -3:] = 0
    moved = 0.3 * keypoints + torch.tensor([2.0, -1.0])
    assert torch.allclose(model(moved).positions, model(keypoints).positions, atol=1e-5)


def test_keypoints_of_another_shape_are_refused() -> None:
    for shape in ((2, 9, 4, 2), (9, 5, 2), (2, 0, 5, 2), (2, 9, 5, 3)):
        with pytest.raises(PplkitError, match=r"this model takes \(B, F, 5, 2\)"):
            tiny()(torch.zeros(shape))


def test_it_learns(keypoints: Tensor) -> None:
    """Depths that follow from the keypoints, in 40 steps."""
    model = tiny(width=32).train()
    target = torch.cat((keypoints, keypoints.sum(-1, keepdim=True)), dim=-1)
    target = target - target[:, :, :1]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    values = []
    for _ in range(40):
        loss = position_loss(model(keypoints).positions, target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.3 * values[0]
