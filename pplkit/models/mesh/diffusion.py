"""Diffusion of pose codes in cascade, as Neural Pose Representation describes it: keypoints, then features given them.

The denoising transformer has the sizes of SALAD (Koo et al., ICCV 2023), from which the paper says it is adapted; its
own were not published. A model whose anchors lie at rest needs the second stage alone.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

TIME_CHANNELS = 128  # of the embedding of a step, as published
FIRST_BETA, LAST_BETA = 1e-4, 5e-2  # variance of the noise of the first and the last step, linear between, as published


class GatedLinear(nn.Module):
    """A linear layer whose output a context scales and shifts."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.layer, self.gate = nn.Linear(inputs, outputs), nn.Linear(context, outputs)
        self.shift = nn.Linear(context, outputs, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x (B, K, inputs), context (B, K or 1, channels)."""
        return self.layer(x) * self.gate(context).sigmoid() + self.shift(context)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention among all parts, without positions, and an MLP that sees the context."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.expand, self.contract = GatedLinear(width, 2 * width, context), GatedLinear(2 * width, width, context)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        y = self.first_norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = self.expand(self.second_norm(x), context)
        return x + self.contract(nn.functional.gelu(y), context)  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    """The noise in numbers (B, K, C), from them, the step, and, if there is one, a condition (B, K, D) of each part."""

    def __init__(self, channels: int, condition: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.condition: nn.ModuleList | None = None
        context = TIME_CHANNELS
        if condition:
            blocks = [_Block(width, heads, TIME_CHANNELS) for _ in range(layers)]
            self.condition = nn.ModuleList([GatedLinear(condition, width, TIME_CHANNELS), *blocks])
            context += width
        self.start = GatedLinear(channels, width, context)
        self.blocks = nn.ModuleList(_Block(width, heads, context) for _ in range(layers))
        self.end = GatedLinear(width, channels, context)

    def forward(self, noisy: Tensor, steps: Tensor, condition: Tensor | None = None) -> Tensor:
        """The noise, of the shape of `noisy`; `steps` (B,) count from 0."""
        context = time_embedding(steps)[:, None]
        if self.condition is not None:
            y = condition
            for layer in self.condition:
                y = layer(y, context)
            assert y is not None
            context = torch.cat([context.expand(-1, y.shape[1], -1), y], 2)
        x = self.start(noisy, context)
        for block in self.blocks:
            x = block(x, context)
        return self.end(x, context) + noisy  # type: ignore[no-any-return]


def time_embedding(steps: Tensor) -> Tensor:
    """Sines and cosines (B, TIME_CHANNELS) of steps (B,), of wavelengths from 2 pi to 20,000 pi."""
    half = TIME_CHANNELS // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=steps.device) / half)
    angles = steps[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


class PoseDiffusion(nn.Module):
    """Codes of poses, drawn in one or two stages.

    Numbers are scaled to mean 0 and variance 1 by buffers, which `fit_scale` fills from those to learn from.

    Args:
        channels: Of each stage; a stage has those before it as its condition.
        parts: K.
        anchors: (K, 3) where parts lie, a condition of every stage, if that is the same in all poses.
        width, layers, heads: of the denoisers.
        noise_steps: T.
    """

    anchors: Tensor
    mean: Tensor
    scale: Tensor
    betas: Tensor
    kept: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        parts: int,
        anchors: Tensor | None,
        width: int,
        layers: int,
        heads: int,
        noise_steps: int,
    ) -> None:
        super().__init__()
        self.channels, self.parts, self.noise_steps = tuple(channels), parts, noise_steps
        self.register_buffer("anchors", torch.zeros(parts, 0) if anchors is None else anchors.float())
        before = [self.anchors.shape[1] + sum(self.channels[:stage]) for stage in range(len(self.channels))]
        self.stages = nn.ModuleList(
            Denoiser(*sizes, width, layers, heads) for sizes in zip(self.channels, before, strict=True)
        )
        shape = (1 if anchors is None else parts, sum(self.channels))  # parts without a place have no order either
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        betas = torch.linspace(FIRST_BETA, LAST_BETA, noise_steps, dtype=torch.float64)
        self.register_buffer("betas", betas, persistent=False)
        self.register_buffer("kept", (1 - betas).cumprod(0), persistent=False)  # of the variance, up to a step

    def fit_scale(self, tokens: Tensor) -> None:
        """Take mean and scale from codes (N, K, C)."""
        rows = tokens if len(self.mean) > 1 else tokens.reshape(-1, 1, tokens.shape[2])
        self.mean.copy_(rows.mean(0))
        # What hardly varies is not blown up.
        self.scale.copy_(rows.std(0).clamp_min(0.01 * float(rows.std(0).max())))

    def forward(self, tokens: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """The noise (B, K, C) that each stage predicts in codes (B, K, C) at steps (B,) with noise (B, K, C).

        The condition of a stage is the true code, as the stages are trained one by one.
        """
        clean = (tokens - self.mean) / self.scale
        kept = self.kept[steps].to(clean)[:, None, None]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        parts = []
        for number, stage in enumerate(self.stages):
            span = self._span(number)
            parts.append(stage(noisy[..., span], steps, self._condition(clean[..., : span.start])))
        return torch.cat(parts, 2)

    @torch.no_grad()
    def draw(self, noise: Callable[[int], Tensor]) -> Tensor:
        """Codes (B, K, C) by ancestral sampling; `noise` makes new normal numbers (B, K, c) for c each time."""
        drawn = noise(0)
        for number, stage in enumerate(self.stages):
            condition, x = self._condition(drawn), noise(self.channels[number])
            for step in reversed(range(self.noise_steps)):
                predicted = stage(x, torch.full((len(x),), step, device=x.device), condition)
                x = self._before(x, predicted, step, noise(self.channels[number]))
            drawn = torch.cat([drawn, x], 2)
        return drawn * self.scale + self.mean

    def _before(self, x: Tensor, predicted: Tensor, step: int, noise: Tensor) -> Tensor:
        """What came a step before x, with the noise predicted in it."""
        beta, kept = float(self.betas[step]), float(self.kept[step])
        earlier = float(self.kept[step - 1]) if step else 1.0
        mean = (x - beta / math.sqrt(1 - kept) * predicted) / math.sqrt(1 - beta)
        return mean + math.sqrt(beta * (1 - earlier) / (1 - kept)) * noise

    def _span(self, stage: int) -> slice:
        start = sum(self.channels[:stage])
        return slice(start, start + self.channels[stage])

    def _condition(self, before: Tensor) -> Tensor | None:
        """What a stage knows of each part: its place, and the stages before it."""
        condition = torch.cat([self.anchors.expand(len(before), -1, -1), before], 2)
        return condition if condition.shape[2] else None
