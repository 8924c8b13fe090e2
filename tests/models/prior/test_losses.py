"""Every loss by hand, and the weighted total."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers.perceptual import PerceptualFeatures, perceptual_features
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import (
    boundary_loss,
    equivariance_loss,
    length_loss,
    link_loss,
    losses,
    pose_loss,
    reconstruction_loss,
    separation_loss,
    separation_weight,
    token_loss,
)


def doubling(blocks: int) -> PerceptualFeatures:
    """Features x, 2x, 4x … of the pixels in [0, 1]: what the sum over maps is can be seen at a glance."""

    class Double(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * x

    layers = [nn.Sequential(Double(1.0 if number == 0 else 2.0)) for number in range(blocks)]
    return PerceptualFeatures(layers, 0, [0.0] * 3, [1.0] * 3)


def test_reconstruction_by_hand() -> None:
    """Images differ by 0.5 in [-1, 1], so by 0.25 in [0, 1]: maps differ by 0.25, 0.5 and 1."""
    images, reconstruction = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert reconstruction_loss(doubling(3), images, reconstruction).item() == pytest.approx(0.25 + 0.5 + 1)
    assert reconstruction_loss(doubling(3), images, reconstruction, "l2").item() == pytest.approx(0.0625 + 0.25 + 1)
    reconstruction[1] = 0  # one of two images is right
    assert reconstruction_loss(doubling(1), images, reconstruction).item() == pytest.approx(0.125)


def test_reconstruction_without_features_compares_pixels() -> None:
    images, reconstruction = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    reconstruction[0, 0] = 0.5  # a sixth of all numbers is off by 0.5
    assert reconstruction_loss(None, images, reconstruction).item() == pytest.approx(0.25 / 6)


def plain(features: PerceptualFeatures, images: Tensor, reconstruction: Tensor, distance: str) -> Tensor:
    """The reconstruction loss as it is written, with the gradient that autograd finds."""
    compare = F.l1_loss if distance == "l1" else F.mse_loss
    pairs = zip(features(reconstruction), features(images), strict=True)
    return torch.stack([compare(seen, wanted.detach()) for seen, wanted in pairs]).sum()


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("pixels", [1, 3 * 16 * 16, 10**6])
def test_the_reconstruction_is_that_of_the_formula_however_many_images_at_once(
    monkeypatch: pytest.MonkeyPatch, distance: str, pixels: int
) -> None:
    """Seven images: one after the other, three, three and one, all together; taken three times."""
    monkeypatch.setattr("pplkit.models.prior.losses.CPU_PIXELS", pixels)
    features = perceptual_features("random", 16)
    assert features is not None
    generator = torch.Generator().manual_seed(0)
    images, reconstruction = (torch.rand(7, 3, 16, 16, generator=generator) * 2 - 1 for _ in range(2))
    gradients, values = [], []
    for loss in (reconstruction_loss, plain):
        start = reconstruction.clone().requires_grad_()
        value = loss(features, images, start, distance)
        (3 * value).backward()
        assert start.grad is not None
        gradients.append(start.grad)
        values.append(value)
    torch.testing.assert_close(values[0], values[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=2e-8)


def test_half_precision_is_summed_in_float32() -> None:
    """Maps of 21 x 21 pixels and three channels that differ by 1/256: 1323/256 in all, which bfloat16 cannot hold."""
    images, reconstruction = torch.zeros(3, 3, 21, 21), torch.full((3, 3, 21, 21), 2 / 256)
    half = doubling(3).to(torch.bfloat16)
    result = reconstruction_loss(half, images.to(torch.bfloat16), reconstruction.to(torch.bfloat16).requires_grad_())
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(7 / 256, rel=1e-6)


def test_boundary_by_hand() -> None:
    """One image has x = 1.5 and y = -3 outside, two have nothing: (1.5 + 3) / (3 images · 2 axes)."""
    keypoints = torch.zeros(3, 4, 2)
    keypoints[1, 0], keypoints[1, 2] = torch.tensor([1.5, 0.9]), torch.tensor([-1.0, -3.0])
    assert boundary_loss(keypoints).item() == pytest.approx(4.5 / 6)
    assert boundary_loss(torch.tensor([[[-1.0, 1.0], [0.0, 0.3]]])) == 0  # the border itself is inside


def test_links_by_hand() -> None:
    """Lengths of the prior: 3, 4, 5 (a right angle); of the pose: 3, 0, 3. Each pair counts twice."""
    prior = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    pose = torch.tensor([[[1.0, 1.0], [4.0, 1.0], [1.0, 1.0]]])
    weights = torch.tensor([[0.0, 7.0, 0.5], [7.0, 0.0, 2.0], [0.5, 2.0, 0.0]])
    expected = 2 * (7 * 0 + 0.5 * 4 + 2 * 2)
    assert link_loss(prior, pose, weights).item() == pytest.approx(expected)
    both = torch.cat((pose, prior[None] + 0.5))  # a moved prior costs nothing; the mean over two images is half
    assert link_loss(prior, both, weights).item() == pytest.approx(expected / 2)


def test_pose_and_tokens_by_hand() -> None:
    pose, decoded = torch.zeros(2, 3, 2, requires_grad=True), torch.zeros(2, 3, 2)
    decoded[0, 1] = torch.tensor([3.0, 4.0])
    decoded.requires_grad_()
    loss = pose_loss(pose, decoded)
    assert loss.item() == pytest.approx(25 / 12)  # mean over 12 coordinates
    loss.backward()
    assert pose.grad is None and decoded.grad is not None
    tokens, vectors = torch.full((1, 2, 4), 2.0, requires_grad=True), torch.zeros(1, 2, 4, requires_grad=True)
    loss = token_loss(tokens, vectors)
    assert loss.item() == pytest.approx(4)
    loss.backward()
    assert vectors.grad is None and tokens.grad is not None


def black() -> Batch:
    zeros = torch.zeros(1, 3, 4, 4)
    return Batch(zeros, zeros, zeros)


def output(config: Config) -> Any:
    """An output with different losses, each known: 0.25, 1.5 / 2, 2 · 0.5 · 1.5, 1, 4."""
    pose = torch.tensor([[[0.0, 0.0], [1.5, 0.0]]])
    memory = SimpleNamespace(keypoints=pose + 1, tokens=torch.full((1, 3, 2), 2.0), quantized=torch.zeros(1, 3, 2))
    return SimpleNamespace(
        parts=None,
        prior=torch.zeros(2, 2),
        keypoints=pose,
        connectivity=torch.tensor([[0.0, 0.5], [0.5, 0.0]]),
        reconstruction=torch.full((1, 3, 4, 4), 0.5),
        memory=memory,
    )


def test_the_total_is_the_weighted_sum(tiny: Config) -> None:
    weights = {"reconstruction": 3.0, "boundary": 5.0, "links": 7.0, "pose": 11.0, "tokens": 13.0}
    config = tiny.replace(**{f"weight_{name}": weight for name, weight in weights.items()})
    total, parts = losses(config, doubling(1), black(), output(config))
    expected = {"reconstruction": 0.25, "boundary": 0.75, "links": 1.5, "pose": 1.0, "tokens": 4.0}
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(expected)
    assert total.item() == pytest.approx(sum(weights[name] * expected[name] for name in weights))


def test_a_part_without_weight_is_left_out(tiny: Config) -> None:
    config = tiny.replace(weight_links=0.0, weight_boundary=0.0, distance="l2")
    broken = output(config)
    del broken.connectivity  # it is not even looked at
    total, parts = losses(config, doubling(1), black(), broken)
    assert set(parts) == {"reconstruction", "pose", "tokens"}
    assert total.item() == pytest.approx(0.0625 + 1 + 4)


def test_parts_carry_no_gradient_and_the_total_does(tiny: Config) -> None:
    made = output(tiny)
    made.reconstruction.requires_grad_()
    total, parts = losses(tiny, doubling(1), black(), made)
    assert total.requires_grad and not any(value.requires_grad for value in parts.values())


def test_separation_counts_only_pairs_nearer_than_the_radius() -> None:
    points = torch.tensor([[[0.0, 0.0], [0.1, 0.0], [0.9, 0.9]]])
    assert separation_loss(points, radius=0.2) == pytest.approx((1 - 0.25) / 3)  # one of three pairs, at half of r
    assert separation_loss(points * 4, radius=0.2) == 0


def test_length_is_the_mean_length_of_a_link_by_weight() -> None:
    """Sides 3, 4 and 5 of a triangle; weights 2, 1 and 1 of them: (6 + 4 + 5) / 4."""
    points = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]], requires_grad=True)
    weights = torch.tensor([[0.0, 2.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]], requires_grad=True)
    loss = length_loss(points, weights)
    assert loss.item() == pytest.approx(15 / 4)
    assert length_loss(points, 7 * weights).item() == pytest.approx(15 / 4)
    loss.backward()
    assert points.grad is not None and weights.grad is not None
    assert points.grad[0, 1, 0] > 0  # the loss falls when the point comes nearer
    assert weights.grad[0, 1] < 0 < weights.grad[1, 2]  # and when weight goes from long links to short ones


def test_links_are_shortened_only_at_full_resolution(tiny: Config) -> None:
    config = tiny.replace(weight_length=0.5, coarse_fraction=0.6)
    before, parts = losses(config, doubling(1), black(), output(config), 0.59)
    after, later = losses(config, doubling(1), black(), output(config), 0.6)
    assert "length" not in parts and later["length"].item() == pytest.approx(1.5)
    assert (after - before).item() == pytest.approx(0.5 * 1.5)


def test_separation_fades_over_its_share(tiny: Config) -> None:
    config = tiny.replace(weight_separation=2.0)
    results = [separation_weight(config, share) for share in (0, 0.25, 0.5, 1)]
    assert results == pytest.approx([2, 1, 0, 0])
    longer = config.replace(separation_share=1.0)
    assert [separation_weight(longer, share) for share in (0, 0.25, 1)] == pytest.approx([2, 1.5, 0])
    stays = config.replace(separation_share=0.0)
    assert [separation_weight(stays, share) for share in (0, 0.25, 1)] == [2, 2, 2]


def test_equivariance_by_hand() -> None:
    """A quarter turn to (-y, x), and one of two keypoints found 0.3 beside: 0.09 over the extent of 4 x 0.5²."""
    keypoints = torch.tensor([[[0.5, 0.5], [-0.5, -0.5]]])
    moves = torch.tensor([[[0.0, -1.0, 0.1], [1.0, 0.0, 0.0]]])
    right = torch.tensor([[[-0.4, 0.5], [0.6, -0.5]]])
    assert equivariance_loss(keypoints, right, moves).item() == pytest.approx(0, abs=1e-6)
    beside = right + torch.tensor([[[0.3, 0.0], [0.0, 0.0]]])
    assert equivariance_loss(keypoints, beside, moves).item() == pytest.approx(0.09)


def test_smaller_poses_are_not_easier_to_find_again() -> None:
    generator = torch.Generator().manual_seed(0)
    keypoints, again = torch.rand(2, 3, 5, 2, generator=generator)
    same = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(3, 2, 3)
    loss = equivariance_loss(keypoints, again, same)
    torch.testing.assert_close(equivariance_loss(0.1 * keypoints, 0.1 * again, same), loss)
