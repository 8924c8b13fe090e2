"""Transformer blocks with fused attention, and dropped paths."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Attention of tokens among themselves: softmax(q kᵀ / √head size) v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, N, D); `mask`, bool and broadcast to (B, heads, N, N), says which token (row) sees which."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.proj(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Two linear layers with GELU between them, for each token alone."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., D) to (..., D)."""
        return self.fc2(F.gelu(self.fc1(tokens)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then an MLP, each of normalized tokens and added to them.

    In training each is left out with the probability `drop_path` for each entry of the first axis, and what remains is
    divided by 1 - drop_path.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width, round(width * mlp_ratio))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, N, D) to (B, N, D); for `mask` see `Attention`."""
        tokens = tokens + self._dropped(self.attn(self.norm1(tokens), mask))
        return tokens + self._dropped(self.mlp(self.norm2(tokens)))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or not self.drop_path:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


def blocks(depth: int, width: int, heads: int, mlp_ratio: float, drop_path: float = 0.0) -> nn.ModuleList:
    """Blocks whose rate of dropped paths rises evenly from 0 to `drop_path`."""
    rates = [drop_path * n / max(depth - 1, 1) for n in range(depth)]
    return nn.ModuleList(Block(width, heads, mlp_ratio, rate) for rate in rates)
