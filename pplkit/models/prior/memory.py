"""The hierarchical memory: poses to tokens, tokens to the nearest vectors of their banks, and back (section 3.2)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers import collectives as ranks

EPSILON = 1e-5
IDLE = 0.1  # of its fair share: a vector that is taken more seldom starts anew where that is wanted


class MemoryOutput(NamedTuple):
    """What the memory makes of a batch of poses."""

    keypoints: Tensor  # T'_recon (B, N, 2)
    tokens: Tensor  # G (B, banks, dimension)
    quantized: Tensor  # G' (B, banks, dimension), without gradient
    assignments: Tensor  # (B, banks) int64, the vector of each bank that was taken


class Mixer(nn.Module):
    """One MLP-Mixer layer over (B, tokens, channels): x + token part + channel part."""

    def __init__(self, tokens: int, channels: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(channels)
        self.token_mlp = _mlp(tokens, token_hidden)
        self.channel_norm = nn.LayerNorm(channels)
        self.channel_mlp = _mlp(channels, channel_hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, channels) to the same shape."""
        x = x + self.token_mlp(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mlp(self.channel_norm(x))


def _mlp(size: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))


class HierarchicalMemory(nn.Module):
    """Banks of vectors that moving averages keep in the middle of the tokens assigned to them.

    keypoints N, banks m, vectors k per bank, dimension d; `prior_from` is "all" or "used" (see `means`).
    The vectors change in training mode only: in eval mode the memory is frozen.
    """

    def __init__(
        self,
        keypoints: int,
        banks: int,
        vectors: int,
        dimension: int,
        *,
        decay: float = 0.9,
        encoder_layers: int = 4,
        token_hidden: int = 64,
        decoder_dimension: int = 32,
        prior_from: str = "all",
    ) -> None:
        super().__init__()
        self.decay = decay
        self.prior_from = prior_from
        self.embed = nn.Linear(2, dimension)
        self.encoder = nn.Sequential(
            *(Mixer(keypoints, dimension, token_hidden, dimension) for _ in range(encoder_layers)),
            nn.LayerNorm(dimension),
        )
        self.to_tokens = nn.Linear(keypoints, banks)
        self.token_embed = nn.Linear(dimension, dimension)
        self.from_tokens = nn.Linear(banks, keypoints)
        self.reduce = nn.Linear(dimension, decoder_dimension)
        self.decoder = nn.Sequential(
            Mixer(keypoints, decoder_dimension, token_hidden, 2 * decoder_dimension),
            nn.LayerNorm(decoder_dimension),
        )
        self.to_points = nn.Linear(decoder_dimension, 2)
        self.codebook: Tensor
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("codebook", torch.randn(banks, vectors, dimension))
        self.register_buffer("counts", torch.zeros(banks, vectors))
        self.register_buffer("sums", self.codebook.clone())

    def encode(self, keypoints: Tensor) -> Tensor:
        """Poses (B, N, 2) to tokens G (B, banks, dimension)."""
        features = self.encoder(self.embed(keypoints))
        return self.token_embed(self.to_tokens(features.transpose(1, 2)).transpose(1, 2))

    def nearest(self, tokens: Tensor) -> Tensor:
        """Index (B, banks) of the vector of each bank nearest (L2) to its token."""
        distances = torch.cdist(tokens.transpose(0, 1).float(), self.codebook)  # (banks, B, vectors)
        return distances.argmin(-1).T

    def look_up(self, index: Tensor) -> Tensor:
        """The vectors (B, banks, dimension) that `index` (B, banks) names."""
        return self.codebook[torch.arange(index.shape[1], device=index.device), index]

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, banks, dimension) to poses (B, N, 2)."""
        features = self.reduce(self.from_tokens(tokens.transpose(1, 2)).transpose(1, 2))
        return self.to_points(self.decoder(features))

    def forward(self, keypoints: Tensor) -> MemoryOutput:
        """Poses (B, N, 2) through the memory; straight-through gradient at the look-up.

        In training mode the vectors then move towards their tokens.
        """
        tokens = self.encode(keypoints)
        index = self.nearest(tokens.detach())
        quantized = self.look_up(index)
        out = MemoryOutput(self.decode(tokens + (quantized - tokens).detach()), tokens, quantized, index)
        if self.training:
            self.update(tokens.detach(), index)
        return out

    @torch.no_grad()
    def update(self, tokens: Tensor, index: Tensor) -> None:
        """One step of the moving averages for tokens (B, banks, dimension) assigned to `index` (B, banks)."""
        chosen = F.one_hot(index, self.codebook.shape[1]).to(self.codebook)  # (B, banks, vectors)
        hits = ranks.total(chosen.sum(0))
        sums = ranks.total(torch.einsum("bmk,bmd->mkd", chosen, tokens.to(self.codebook)))
        counts = self.counts * self.decay + hits * (1 - self.decay)
        total = counts.sum(-1, keepdim=True)
        smooth = (counts + EPSILON) / (total + counts.shape[-1] * EPSILON) * total
        self.counts.copy_(smooth)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.codebook.copy_(self.sums / smooth[..., None])

    @torch.no_grad()
    def reset_dead_codes(self, keypoints: Tensor) -> None:
        """Vectors that next to nothing takes start anew as tokens of the poses (B, N, 2), one pose after the other.

        They count as if they had been taken as often as the others in the mean, so that they are not lost at once.
        """
        tokens = ranks.gather(self.encode(keypoints).to(self.codebook))
        idle = self.usage() < IDLE / self.codebook.shape[1]  # (banks, vectors)
        order = (idle.cumsum(1) - 1) % len(tokens)
        banks = torch.arange(len(idle), device=idle.device)[:, None]
        self.codebook[idle] = tokens[order, banks][idle]
        self.counts.copy_(torch.where(idle, self.counts.mean(1, keepdim=True), self.counts))
        self.sums.copy_(self.codebook * self.counts[..., None])

    def usage(self) -> Tensor:
        """Share (banks, vectors) of recent look-ups that each vector took; uniform before the first update."""
        counts = self.counts + EPSILON
        return counts / counts.sum(-1, keepdim=True)

    def in_use(self, steps: int = 20) -> Tensor:
        """Share (banks,) of each bank's vectors that some pose took within about the last `steps` updates.

        A hit adds 1 - decay to a vector's count, which falls by the decay with every update: one that was taken once,
        `steps` updates ago, is the last to be counted. Many hits at once are remembered a little longer.
        """
        return (self.counts > (1 - self.decay) * self.decay**steps).float().mean(-1)

    def means(self, over: str | None = None) -> Tensor:
        """The mean vector of every bank (banks, dimension), by the rule `over`, or the one given at construction.

        "all" averages all vectors of a bank, as published. "used" weights them with their usage: vectors that no
        token takes are sums that faded divided by counts that faded, and have no meaning.
        """
        over = over or self.prior_from
        return self.codebook.mean(1) if over == "all" else (self.usage()[..., None] * self.codebook).sum(1)

    def distil(self, over: str | None = None) -> Tensor:
        """The keypoint prior T (N, 2): the mean vector of every bank (see `means`), decoded (section 3.2)."""
        return self.decode(self.means(over)[None])[0]
