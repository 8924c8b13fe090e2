"""Muon: its orthogonal matrices beside exact ones, a first step by hand, and what it leaves alone."""

from pathlib import Path

import pytest
import torch
from torch import nn
from trainings import assert_same_end

from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.logger import Progress
from pplkit.training.muon import Muon, is_matrix, orthogonal, orthogonal_blocks
from pplkit.training.tasks.prior import build, train


@pytest.mark.parametrize("shape", [(3, 6, 40), (3, 40, 6), (1, 5, 5)])
def test_singular_values_become_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    u, values, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    values = torch.linspace(0.2, 5, values.shape[-1]).expand_as(values)
    in_theirs = u.mT @ torch.stack(orthogonal(list(u @ torch.diag_embed(values) @ v))) @ v.mT
    kept = torch.diagonal(in_theirs, dim1=1, dim2=2)
    assert kept.min() > 0.6 and kept.max() < 1.25
    assert (in_theirs - torch.diag_embed(kept)).abs().max() < 1e-4


def test_size_does_not_count_and_nothing_stays_nothing() -> None:
    matrix = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(orthogonal([1000 * matrix])[0], orthogonal([matrix])[0], atol=1e-4)
    assert torch.equal(orthogonal([torch.zeros(3, 5)])[0], torch.zeros(3, 5))


def test_matrices_of_different_widths_are_done_together_as_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in ((4, 9), (4, 30), (7, 4))]
    for together, matrix in zip(orthogonal(matrices), matrices, strict=True):
        assert torch.allclose(together, orthogonal([matrix])[0], atol=1e-5)


def test_blocks_of_rows_or_columns_are_matrices_of_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    tall, wide = torch.randn(8, 6, generator=generator), torch.randn(6, 12, generator=generator)
    for matrix, turn in zip((tall, wide), orthogonal_blocks([tall, wide], 4), strict=True):
        parts = matrix.split(4) if matrix is tall else matrix.mT.split(4)
        expected = torch.cat([orthogonal([part])[0] for part in parts])
        assert torch.allclose(turn if matrix is tall else turn.mT, expected, atol=1e-5)


def test_a_step_of_blocks_has_the_size_of_the_learning_rate() -> None:
    """A block of 4 rows with gradients 3 times orthonormal ones moves by -lr U Vᵀ, up to the rounds' accuracy."""
    rows = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    weights = nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([{"params": [weights], "matrices": True, "block": 4}], lr=0.1, weight_decay=0.0, fused=True)
    weights.grad = 3 * rows
    optimizer.step()
    expected = torch.cat([orthogonal([part])[0] for part in rows.split(4)])
    assert torch.allclose(weights, -0.1 * expected, atol=1e-5)


def alone(shape: tuple[int, ...], **options: float) -> tuple[nn.Parameter, Muon]:
    parameter = nn.Parameter(torch.ones(shape))
    return parameter, Muon([{"params": [parameter], "matrices": True}], lr=0.1, fused=True, **options)


@pytest.mark.parametrize("rows", [8, 16])
def test_a_first_step_by_hand(rows: int) -> None:
    """The gradient is three times a matrix with orthonormal columns: all singular values start as 1 / sqrt(8)."""
    q = torch.linalg.qr(torch.randn(rows, 8, generator=torch.Generator().manual_seed(1)))[0]
    parameter, optimiser = alone((rows, 8, 1, 1), weight_decay=0.5)
    parameter.grad = 3 * q[..., None, None]
    optimiser.step()
    value = 8**-0.5
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    wanted = 1 - 0.1 * 0.5 - 0.1 * (rows / 8) ** 0.5 * value * q
    assert torch.allclose(parameter[..., 0, 0], wanted, atol=1e-5)
    assert torch.allclose(optimiser.state[parameter]["momentum"][..., 0, 0], 0.05 * 3 * q)


def test_the_mean_of_gradients_decides() -> None:
    """After many steps one way, one step the other way turns nothing round."""
    way = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2)))[0][..., None, None]
    parameter, optimiser = alone((8, 8, 1, 1), weight_decay=0.0)
    for _ in range(60):
        parameter.grad = way.clone()
        optimiser.step()
    before = parameter.detach().clone()
    parameter.grad = -way.clone()
    optimiser.step()
    assert ((before - parameter) * way).sum() > 0


def test_a_step_that_is_marked_changes_nothing() -> None:
    parameter, optimiser = alone((8, 8, 3, 3), weight_decay=0.5)
    parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    optimiser.step()
    before, momentum = parameter.detach().clone(), optimiser.state[parameter]["momentum"].clone()
    optimiser.found_inf = torch.ones(())  # type: ignore[attr-defined]
    parameter.grad = torch.full_like(parameter, torch.nan)
    optimiser.step()
    assert torch.equal(parameter, before) and torch.equal(optimiser.state[parameter]["momentum"], momentum)


def test_gradients_that_were_scaled_are_divided() -> None:
    gradient = torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(4))
    (plain, one), (scaled, other) = alone((8, 8, 3, 3)), alone((8, 8, 3, 3))
    other.grad_scale = torch.tensor(1024.0)  # type: ignore[attr-defined]
    for factor, parameter, optimiser in ((1, plain, one), (1024, scaled, other)):
        parameter.grad = factor * gradient
        optimiser.step()
    assert torch.equal(one.state[plain]["momentum"], other.state[scaled]["momentum"])
    assert torch.equal(plain, scaled)


def test_others_go_by_adam() -> None:
    first = nn.Parameter(torch.ones(3))
    second = nn.Parameter(torch.ones(3))
    ours, theirs = Muon([first], lr=0.1), torch.optim.AdamW([second], lr=0.1)
    for number in range(3):
        for parameter, optimiser in ((first, ours), (second, theirs)):
            parameter.grad = torch.tensor([1.0, -2.0, 0.5 * number])
            optimiser.step()
    assert torch.equal(first, second)


def test_it_is_for_convolutions_between_many_channels_and_off_unless_wanted(tiny: Config) -> None:
    model, optimiser = build(tiny.replace(convolution_learning_rate=0.02))
    names = {id(value): name for name, value in model.named_parameters()}
    matrices = {names[id(value)] for value in optimiser.param_groups[2]["params"]}
    assert matrices == {name for name, value in model.named_parameters() if is_matrix(value)}
    assert "regressor.up.1.weight" in matrices and "decoder.paint.weight" not in matrices
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(names)
    assert build(tiny)[1].param_groups[2]["params"] == []


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    tiny: Config, puppets: Dataset, tmp_path: Path
) -> None:
    config = tiny.replace(convolution_learning_rate=0.02, steps=40)

    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 20 else None

    train(config, puppets, tmp_path / "whole", device="cpu", bar=False)
    assert train(config, puppets, tmp_path / "two", device="cpu", bar=False, watch=stop).steps == 20
    train(config, puppets, tmp_path / "two", device="cpu", bar=False)
    assert_same_end(tmp_path / "two", tmp_path / "whole")
