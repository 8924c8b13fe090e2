"""The memory's look-up, its moving averages by hand, what learns and what does not, and the distilled prior."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pplkit.models.prior.memory import HierarchicalMemory, Mixer


def memory(**changes: Any) -> HierarchicalMemory:
    torch.manual_seed(0)
    sizes = {"keypoints": 4, "banks": 3, "vectors": 2, "dimension": 6, "encoder_layers": 2, "token_hidden": 5}
    return HierarchicalMemory(**{**sizes, "decoder_dimension": 4, **changes})


def buffers(of: HierarchicalMemory) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in of.named_buffers()}


def poses(count: int = 5) -> Tensor:
    return torch.rand(count, 4, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_nearest_vector_of_its_own_bank_by_hand() -> None:
    small = memory(banks=2, dimension=2)
    small.codebook.copy_(torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[5.0, 5.0], [0.9, 0.0]]]))
    tokens = torch.tensor([[[0.9, 0.0], [0.9, 0.0]], [[1.1, 0.0], [4.0, 4.0]]])
    result = small.nearest(tokens)  # bank 1 holds (0.9, 0) itself, but token 0 may look in bank 0 alone
    assert result.tolist() == [[0, 1], [1, 0]]
    assert small.look_up(result).tolist() == [[[0.0, 0.0], pytest.approx([0.9, 0.0])], [[2.0, 0.0], [5.0, 5.0]]]


def test_one_update_by_hand() -> None:
    """One bank of two vectors in one dimension, decay 0.75; tokens 1, 3 and 8 go to vectors 0, 0 and 1."""
    small = memory(banks=1, dimension=1, decay=0.75)
    small.counts.copy_(torch.tensor([[4.0, 2.0]]))
    small.sums.copy_(torch.tensor([[[4.0], [12.0]]]))
    small.update(torch.tensor([[[1.0]], [[3.0]], [[8.0]]]), torch.tensor([[0], [0], [1]]))
    # Counts: 0.75 * (4, 2) + 0.25 * (2, 1) = (3.5, 1.75), in all 5.25; sums: 0.75 * (4, 12) + 0.25 * (4, 8) = (4, 11)
    counts = torch.tensor([(3.5 + 1e-5) / (5.25 + 2e-5) * 5.25, (1.75 + 1e-5) / (5.25 + 2e-5) * 5.25])
    torch.testing.assert_close(small.counts[0], counts)
    torch.testing.assert_close(small.sums.flatten(), torch.tensor([4.0, 11.0]))
    torch.testing.assert_close(small.codebook.flatten(), torch.tensor([4.0, 11.0]) / counts)


def test_a_vector_that_was_never_used_is_divided_by_its_smoothed_count() -> None:
    small = memory(banks=1, dimension=1, decay=0.75)
    small.sums.copy_(torch.tensor([[[4.0], [8.0]]]))
    small.update(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[0], [0]]))
    # Counts are (0.5, 0): the smoothing leaves the second 1e-5 / (0.5 + 2e-5) * 0.5, not zero.
    assert small.codebook[0, 1, 0].item() == pytest.approx(0.75 * 8 / (1e-5 / (0.5 + 2e-5) * 0.5), rel=1e-5)


def test_vectors_move_to_the_mean_of_their_tokens() -> None:
    kept = memory()
    token = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(2))
    for _ in range(200):
        kept.update(token, torch.ones(1, 3, dtype=torch.int64))
    torch.testing.assert_close(kept.codebook[:, 1], token[0], atol=1e-3, rtol=1e-3)


def test_eval_mode_freezes_the_vectors_and_training_moves_them() -> None:
    kept = memory()
    before = buffers(kept)
    kept.eval()(poses())
    assert all(torch.equal(value, before[name]) for name, value in kept.named_buffers())
    kept.train()(poses())
    assert all(not torch.equal(value, before[name]) for name, value in kept.named_buffers())


def test_the_gradient_passes_the_look_up_unchanged() -> None:
    """The encoder's gradient through the memory equals that of decoding the tokens shifted by a constant."""
    kept = memory().eval()
    pull = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(3))
    result = kept(poses())
    (result.keypoints * pull).sum().backward()
    through = kept.embed.weight.grad
    kept.zero_grad()
    tokens = kept.encode(poses())
    shift = (result.quantized - tokens).detach()
    (kept.decode(tokens + shift) * pull).sum().backward()
    assert through is not None and kept.embed.weight.grad is not None
    torch.testing.assert_close(through, kept.embed.weight.grad)
    assert through.abs().max() > 0


def test_distilling_all_decodes_the_mean_vector_of_each_bank() -> None:
    kept = memory(vectors=3)
    kept.counts.copy_(torch.arange(9.0).reshape(3, 3))  # use does not matter
    expected = kept.decode(torch.stack([bank.sum(0) / 3 for bank in kept.codebook])[None])[0]
    torch.testing.assert_close(kept.distil(), expected)
    assert kept.distil().shape == (4, 2)


def test_distilling_used_weights_vectors_by_their_use() -> None:
    kept = memory(prior_from="used")
    kept.counts.copy_(torch.tensor([[3.0, 1.0], [0.0, 5.0], [2.0, 2.0]]))
    bank = kept.codebook
    mean = torch.stack([0.75 * bank[0, 0] + 0.25 * bank[0, 1], bank[1, 1], (bank[2, 0] + bank[2, 1]) / 2])
    torch.testing.assert_close(kept.distil(), kept.decode(mean[None])[0], atol=1e-4, rtol=1e-4)


def test_a_faded_vector_moves_the_prior_of_all_and_not_that_of_used() -> None:
    priors = {}
    for over in ("all", "used"):
        kept = memory(prior_from=over)
        kept.counts.copy_(torch.tensor([1.0, 0.0]).repeat(3, 1))
        before = kept.distil()
        kept.codebook[:, 1] += torch.arange(6.0)
        priors[over] = (kept.distil() - before).abs().max().item()
    assert priors["all"] > 1e-2 and priors["used"] < 1e-3


def test_idle_vectors_start_anew_from_poses_by_hand() -> None:
    """Two of three vectors of bank 0 and none of bank 1 are idle: they become the tokens of the first two poses."""
    small, given = memory(banks=2, vectors=3).eval(), poses(5)
    small.counts.copy_(torch.tensor([[0.0, 9.0, 0.1], [3.0, 1.0, 2.0]]))
    small.sums.copy_(small.codebook * small.counts[..., None])
    before, tokens = buffers(small), small.encode(given).detach()
    small.reset_dead_codes(given)
    torch.testing.assert_close(small.codebook[0], torch.stack((tokens[0, 0], before["codebook"][0, 1], tokens[1, 0])))
    torch.testing.assert_close(small.codebook[1], before["codebook"][1])
    torch.testing.assert_close(small.counts, torch.tensor([[9.1 / 3, 9.0, 9.1 / 3], [3.0, 1.0, 2.0]]))
    torch.testing.assert_close(small.sums, small.codebook * small.counts[..., None])


def test_more_idle_vectors_than_poses_take_poses_again() -> None:
    small = memory(banks=1, vectors=5).eval()
    small.counts.copy_(torch.tensor([[8.0, 0, 0, 0, 0]]))
    small.reset_dead_codes(poses(2))
    tokens = small.encode(poses(2)).detach()[:, 0]
    torch.testing.assert_close(small.codebook[0, 1:], tokens[[0, 1, 0, 1]])


def test_a_vector_is_in_use_for_so_many_updates_after_it_was_taken() -> None:
    memory = HierarchicalMemory(3, 2, 4, 8)
    tokens = torch.zeros(2, 2, 8)
    assert memory.in_use().tolist() == [0, 0]
    memory.update(tokens, torch.tensor([[0, 1], [2, 1]]))
    assert memory.in_use(5).tolist() == [0.5, 0.25]
    for _ in range(4):
        memory.update(tokens, torch.tensor([[0, 1], [0, 1]]))
    assert memory.in_use(5).tolist() == [0.5, 0.25]  # vector 2 of the first bank was taken four updates ago
    for _ in range(2):
        memory.update(tokens, torch.tensor([[0, 1], [0, 1]]))
    assert memory.in_use(5).tolist() == [0.25, 0.25]


def test_a_mixer_adds_both_parts_to_its_input() -> None:
    torch.manual_seed(0)
    layer = Mixer(4, 6, 5, 7)
    x = torch.randn(2, 4, 6)
    for part in (layer.token_mlp, layer.channel_mlp):
        torch.nn.init.zeros_(part[-1].weight)  # type: ignore[arg-type]
        torch.nn.init.zeros_(part[-1].bias)  # type: ignore[arg-type]
    assert torch.equal(layer(x), x)
    torch.nn.init.ones_(layer.token_mlp[-1].bias)  # type: ignore[arg-type]
    torch.testing.assert_close(layer(x), x + 1)
