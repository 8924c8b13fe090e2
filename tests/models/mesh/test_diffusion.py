"""Diffusion of codes: noise and its removal by hand, stages that see those before them, learning of two modes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pplkit.models.mesh.diffusion import Denoiser, PoseDiffusion, time_embedding


def diffusion(channels: tuple[int, ...] = (2,), anchors: Tensor | None = None, noise_steps: int = 2) -> PoseDiffusion:
    torch.manual_seed(0)
    return PoseDiffusion(channels, 3, anchors, width=8, layers=1, heads=2, noise_steps=noise_steps)


def normal(seed: int, batch: int = 4) -> Callable[[int], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda channels: torch.randn(batch, 3, channels, generator=generator)


class Exact(nn.Module):
    """The noise in what was made from one known code."""

    def __init__(self, code: Tensor, kept: Tensor) -> None:
        super().__init__()
        self.code, self.kept = code, kept

    def forward(self, noisy: Tensor, steps: Tensor, condition: Tensor | None) -> Tensor:
        kept = self.kept[steps].float()[:, None, None]
        return (noisy - kept.sqrt() * self.code) / (1 - kept).sqrt()


def test_noise_is_added_as_published() -> None:
    """Of two steps the betas are 1e-4 and 5e-2."""
    model = diffusion()
    assert model.betas.tolist() == pytest.approx([1e-4, 5e-2]) and model.kept.tolist() == pytest.approx(
        [0.9999, 0.9999 * 0.95]
    )
    model.stages[0] = nn.Identity()
    model.stages[0].forward = lambda noisy, steps, condition: noisy  # type: ignore[assignment, misc]
    model.mean.fill_(1.0)
    model.scale.fill_(2.0)
    noisy = model(torch.full((1, 3, 2), 5.0), torch.tensor([1]), torch.full((1, 3, 2), 3.0))
    assert noisy.flatten().tolist() == pytest.approx([2 * 0.949905**0.5 + 3 * 0.050095**0.5] * 6)


def test_who_knows_the_noise_comes_back_to_the_code() -> None:
    model, code = diffusion(noise_steps=20), torch.randn(3, 2)
    model.stages[0] = Exact(code, model.kept)
    assert model.draw(normal(1)) == pytest.approx(code.expand(4, 3, 2), abs=1e-5)


def test_a_stage_sees_the_stages_before_it_and_the_anchors_alone() -> None:
    model = diffusion((2, 4), torch.randn(3, 3))
    tokens, steps, noise = torch.randn(2, 3, 6), torch.tensor([0, 1]), torch.randn(2, 3, 6)
    first = model(tokens, steps, noise)
    other = tokens.clone()
    other[..., :2] += 1
    second = model(other, steps, noise)
    assert not torch.allclose(first[..., 2:], second[..., 2:])
    other = tokens.clone()
    other[..., 2:] += 1
    assert torch.equal(model(other, steps, noise)[..., :2], first[..., :2])
    model.anchors += 1
    assert not torch.allclose(model(tokens, steps, noise)[..., :2], first[..., :2])


def test_parts_without_a_place_have_no_order() -> None:
    model = diffusion((2, 4))
    tokens, steps, noise = torch.randn(2, 3, 6), torch.tensor([0, 1]), torch.randn(2, 3, 6)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(
        model(tokens[:, order], steps, noise[:, order]), model(tokens, steps, noise)[:, order], atol=1e-5
    )
    model.fit_scale(torch.randn(50, 3, 6) * 3 + 1)
    assert model.scale.shape == (1, 6) and model.scale.flatten().tolist() == pytest.approx([3] * 6, rel=0.2)


def test_numbers_that_hardly_vary_are_not_blown_up() -> None:
    model, tokens = diffusion((2,), torch.randn(3, 3)), torch.randn(50, 3, 2)
    tokens[:, 1, 1] = 4.0
    model.fit_scale(tokens)
    assert model.mean[1, 1] == 4 and model.scale[1, 1] == pytest.approx(0.01 * float(model.scale.max()))


def test_embeddings_of_steps_differ_and_stay_in_range() -> None:
    rows = time_embedding(torch.arange(1000))
    assert rows.shape == (1000, 128) and rows.abs().max() <= 1
    assert torch.cdist(rows, rows).fill_diagonal_(9).min() > 0.1


def test_two_modes_are_learned() -> None:
    """All parts of a code are +1 or all are -1; drawn ones are near one of the two, and both occur."""
    torch.manual_seed(0)
    model = PoseDiffusion((1,), 2, torch.eye(2, 3), width=16, layers=1, heads=2, noise_steps=40)
    tokens = torch.tensor([1.0, -1.0])[:, None, None].expand(2, 2, 1)
    optimizer, generator = torch.optim.Adam(model.parameters(), 3e-3), torch.Generator().manual_seed(0)
    for _ in range(400):
        codes = tokens[torch.randint(2, (64,), generator=generator)]
        steps = torch.randint(40, (64,), generator=generator)
        noise = torch.randn(codes.shape, generator=generator)
        optimizer.zero_grad()
        (model(codes, steps, noise) - noise).square().mean().backward()
        optimizer.step()
    draws = torch.Generator().manual_seed(1)
    drawn = model.draw(lambda channels: torch.randn(64, 2, channels, generator=draws))
    assert (drawn.abs() - 1).abs().mean() < 0.2
    assert 10 < int((drawn[:, 0, 0] > 0).sum()) < 54 and (drawn[:, 0] * drawn[:, 1] > 0).float().mean() > 0.9


def test_a_denoiser_without_a_condition_needs_none() -> None:
    assert Denoiser(2, 0, 8, 1, 2)(torch.randn(1, 3, 2), torch.tensor([4])).shape == (1, 3, 2)
