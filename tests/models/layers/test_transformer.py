"""Transformer blocks: attention against its formula, and what a mask hides."""

import math

import torch

from pplkit.models.layers.transformer import Attention, Block, blocks


def test_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(6, heads=2), torch.randn(3, 5, 6)
    query, key, value = attention.qkv(tokens).split(6, dim=-1)
    heads = []
    for channels in (slice(0, 3), slice(3, 6)):
        scores = query[..., channels] @ key[..., channels].transpose(1, 2) / math.sqrt(3)
        heads.append(scores.softmax(-1) @ value[..., channels])
    assert torch.allclose(attention(tokens), attention.proj(torch.cat(heads, dim=-1)), atol=1e-6)


def test_a_token_that_the_mask_hides_has_no_influence() -> None:
    torch.manual_seed(0)
    block, tokens = Block(8, 2, 2.0), torch.randn(1, 4, 8)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[:3, 3] = False
    other = tokens.clone()
    other[:, 3] = torch.randn(8)
    assert torch.equal(block(other, mask)[:, :3], block(tokens, mask)[:, :3])
    assert not torch.allclose(block(other)[:, :3], block(tokens)[:, :3])


def test_rates_of_dropped_paths_rise_evenly() -> None:
    assert [block.drop_path for block in blocks(3, 8, 2, 2.0, 0.2)] == [0, 0.1, 0.2]
    assert [block.drop_path for block in blocks(1, 8, 2, 2.0, 0.2)] == [0]
