"""Shapes, sizes and starts of the convolutional networks."""

import pytest
import torch
from torch import Tensor, nn

from pplkit.geometry.coordinates import apply_affine, pixel_grid
from pplkit.models.prior.networks import Completer, Decoder, Regressor, ResidualDown

CHANNELS = (8, 8, 8, 8)
PRIOR = torch.tensor([[-0.5, -0.5], [0.5, -0.25], [0.0, 0.75]])


def regressor(start: str = "random", features: int = 16) -> Regressor:
    torch.manual_seed(0)
    return Regressor(3, CHANNELS, features, start).eval()


def images(count: int = 2, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_published_sizes() -> None:
    """Parameters of the released networks: regressor 7.79 M, decoder 17.97 M."""
    count = [
        sum(p.numel() for p in network.parameters())
        for network in (Regressor(16, (64, 128, 256, 512), 128), Decoder((64, 128, 256, 512, 512)))
    ]
    assert [round(number / 1e6, 2) for number in count] == [7.79, 17.97]


def test_the_identity_start_answers_near_the_prior() -> None:
    affine, _ = regressor("identity")(images(), PRIOR)
    assert (apply_affine(affine, PRIOR) - PRIOR).abs().max() < 0.15
    far, _ = regressor("random")(images(), PRIOR)
    assert (apply_affine(far, PRIOR) - PRIOR).abs().max() > 0.3


def mean_place(attention: Tensor) -> Tensor:
    return attention @ pixel_grid(round(attention.shape[-1] ** 0.5))


@pytest.mark.parametrize(("start", "prior_counts"), [("place", 0.0), ("moved", 1.0)])
def test_the_other_starts_follow_the_attended_place(start: str, prior_counts: float) -> None:
    network = regressor(start, features=64)
    with torch.no_grad():
        # Attention that looks at a place: otherwise every mean place is near (0, 0).
        network.attention.weight.mul_(1000)
    affine, attention = network(images(4), PRIOR)
    expected = mean_place(attention) + prior_counts * PRIOR
    assert (apply_affine(affine, PRIOR) - expected).abs().mean() < 0.1
    assert mean_place(attention).abs().mean() > 0.1


def test_attention_pools_the_features_and_the_embedded_places() -> None:
    """With the last two layers replaced by reading off, the pooled vector is the attended one, by hand."""
    network = regressor()
    seen: list[Tensor] = []
    network.predict = nn.Sequential(nn.Flatten(0, 1), nn.Linear(48, 6))  # (B, N, 3 · 16) arrives here
    network.predict.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.predict[1].weight.data.zero_()
    network.predict.append(nn.Unflatten(0, (2, 3)))
    _, attention = network(images(), PRIOR)
    maps = network.up(network.down(images())).flatten(2)
    (joined,) = seen
    torch.testing.assert_close(joined[..., :16], torch.einsum("bnp,bcp->bnc", attention, maps), atol=1e-5, rtol=1e-4)
    place = torch.einsum("bnp,pc->bnc", attention, network.embed(pixel_grid(8)))  # embeds every place, then attends
    torch.testing.assert_close(joined[..., 16:32], place, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(joined[..., 32:], network.embed(PRIOR).expand(2, -1, -1))


def test_a_residual_block_adds_its_shortcut() -> None:
    torch.manual_seed(0)
    block = ResidualDown(3, 8).eval()
    x = images()
    total = block.body(x) + block.shortcut(x)
    torch.testing.assert_close(block(x), torch.where(total > 0, total, 0.2 * total))
    assert (total < 0).any()


def test_the_decoder_sees_both_reference_and_link_map() -> None:
    torch.manual_seed(0)
    decoder = Decoder((8, 8, 8, 8, 8)).eval()
    reference, heat = images().requires_grad_(), torch.rand(2, 1, 32, 32, requires_grad=True)
    decoder(reference, heat).square().sum().backward()
    assert reference.grad is not None and reference.grad.abs().min() > 0
    assert heat.grad is not None and heat.grad.abs().min() > 0


def test_convolutions_of_the_decoder_start_with_he_s_variance() -> None:
    torch.manual_seed(0)
    weight = Decoder((64, 64, 64, 64, 64)).paint.weight  # fan in 128 · 9, gain² = 2 / (1 + 0.2²)
    assert weight.std().item() == pytest.approx((2 / 1.04 / (128 * 9)) ** 0.5, rel=0.05)


def test_a_completer_starts_as_a_copy_with_two_numbers_more() -> None:
    network = regressor()
    completer = Completer(network).eval()
    affine, attention, distance, hidden = completer(images(), PRIOR)
    for actual, expected in zip((affine, attention), network(images(), PRIOR), strict=True):
        torch.testing.assert_close(actual, expected)
    assert distance.shape == hidden.shape == (2, len(PRIOR))
    (distance.sum() + hidden.sum()).backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert completer.regressor.embed.weight.grad is not None
    descriptors, _ = network.describe(images(), PRIOR)
    torch.testing.assert_close(completer.doubt(descriptors)[..., 0], distance)
