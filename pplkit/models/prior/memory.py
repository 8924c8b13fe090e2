"""The hierarchical memory: poses to tokens, tokens to the nearest vectors of their banks, and back (section 3.2)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.models.layers import collectives

EPSILON = 1e-5
DEAD_USAGE = 0.1  # relative to equal usage: vectors below are dead codes


class MemoryOutput(NamedTuple):
    """A batch of poses through the memory."""

    keypoints: Tensor  # T'_recon (B, N, 2)
    tokens: Tensor  # G (B, banks, dimension)
    quantized: Tensor  # G' (B, banks, dimension), without gradient
    assignments: Tensor  # (B, banks) int64, number of the vector of each bank nearest to its token


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

    `prior_from` is "all" or "used" (see `means`). The vectors change in training mode only.
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
        """Assignments (B, banks): the vector of each bank nearest (L2) to its token."""
        distances = torch.cdist(tokens.transpose(0, 1).float(), self.codebook)  # (banks, B, vectors)
        return distances.argmin(-1).T

    def look_up(self, assignments: Tensor) -> Tensor:
        """The vectors (B, banks, dimension) of assignments (B, banks)."""
        return self.codebook[torch.arange(assignments.shape[1], device=assignments.device), assignments]

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, banks, dimension) to poses (B, N, 2)."""
        features = self.reduce(self.from_tokens(tokens.transpose(1, 2)).transpose(1, 2))
        return self.to_points(self.decoder(features))

    def forward(self, keypoints: Tensor) -> MemoryOutput:
        """Poses (B, N, 2) through the memory; straight-through gradient at the look-up.

        In training mode the vectors then move towards their tokens.
        """
        tokens = self.encode(keypoints)
        assignments = self.nearest(tokens.detach())
        quantized = self.look_up(assignments)
        output = MemoryOutput(self.decode(tokens + (quantized - tokens).detach()), tokens, quantized, assignments)
        if self.training:
            self.update(tokens.detach(), assignments)
        return output

    @torch.no_grad()
    def update(self, tokens: Tensor, assignments: Tensor) -> None:
        """One step of the moving averages for tokens (B, banks, dimension) and their assignments (B, banks)."""
        chosen = F.one_hot(assignments, self.codebook.shape[1]).to(self.codebook)  # (B, banks, vectors)
        hits = collectives.total(chosen.sum(0))
        sums = collectives.total(torch.einsum("bmk,bmd->mkd", chosen, tokens.to(self.codebook)))
        counts = self.counts * self.decay + hits * (1 - self.decay)
        total = counts.sum(-1, keepdim=True)
        smooth = (counts + EPSILON) / (total + counts.shape[-1] * EPSILON) * total
        self.counts.copy_(smooth)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.codebook.copy_(self.sums / smooth[..., None])

    @torch.no_grad()
    def reset_dead_codes(self, keypoints: Tensor) -> None:
        """Set dead codes to tokens of the poses (B, N, 2) in turn, with the mean count of their bank."""
        tokens = collectives.gather(self.encode(keypoints).to(self.codebook))
        dead = self.usage() < DEAD_USAGE / self.codebook.shape[1]  # (banks, vectors)
        order = (dead.cumsum(1) - 1) % len(tokens)
        banks = torch.arange(len(dead), device=dead.device)[:, None]
        self.codebook[dead] = tokens[order, banks][dead]
        self.counts.copy_(torch.where(dead, self.counts.mean(1, keepdim=True), self.counts))
        self.sums.copy_(self.codebook * self.counts[..., None])

    def usage(self) -> Tensor:
        """Codebook usage (banks, vectors): the fraction of recent tokens assigned to each vector."""
        counts = self.counts + EPSILON
        return counts / counts.sum(-1, keepdim=True)

    def in_use(self, steps: int = 20) -> Tensor:
        """Fraction (banks,) of each bank's vectors to which a token was assigned within about the last `steps` updates.

        A token adds 1 - decay to a vector's count, which falls by the decay with every update.
        """
        return (self.counts > (1 - self.decay) * self.decay**steps).float().mean(-1)

    def means(self, over: str | None = None) -> Tensor:
        """The mean vector of every bank (banks, dimension) over "all" vectors, as published, or the "used" ones.

        "used" weights vectors with their usage: dead codes are faded sums divided by faded counts, without meaning.
        """
        return (
            self.codebook.mean(1)
            if (over or self.prior_from) == "all"
            else (self.usage()[..., None] * self.codebook).sum(1)
        )

    def distil(self, over: str | None = None) -> Tensor:
        """The keypoint prior T (N, 2): the mean vector of every bank (see `means`), decoded (section 3.2)."""
        return self.decode(self.means(over)[None])[0]
