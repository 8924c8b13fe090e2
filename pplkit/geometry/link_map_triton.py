"""The link map on an NVIDIA GPU: one Triton kernel forward, one backward. Definition and reference: `link_map`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256  # pixels per program


def draw(keypoints: Tensor, weights: Tensor, pairs: Tensor, size: int, thickness: float) -> tuple[Tensor, Tensor]:
    """Heat (B, size * size) float32 and the winning link's index into `pairs`, int32 of the same shape.

    keypoints (B, N, 2), weights (links,), pairs (2, links); all on one device.
    """
    segments, line = _segments(keypoints, pairs), torch.linspace(-1, 1, size, device=keypoints.device)
    heat = torch.empty(len(keypoints), size * size, device=keypoints.device)
    winner = torch.empty_like(heat, dtype=torch.int32)
    grid = (triton.cdiv(size * size, BLOCK), len(keypoints))
    costs = -weights.float().log()
    _draw[grid](segments, weights.float(), costs, line, heat, winner, size, len(weights), 1 / thickness, BLOCK)
    return heat, winner


def gradients(
    gradient: Tensor, keypoints: Tensor, weights: Tensor, pairs: Tensor, winner: Tensor, size: int, thickness: float
) -> Tensor:
    """Gradients (B, links, 5) of start x, y, end x, y and weight, from that of the heat (B, size * size).

    Each link adds up its own pixels, in one order: the same numbers each time, which atomic additions would not give.
    """
    sums = torch.empty(len(keypoints), len(weights), 5, device=keypoints.device)
    line = torch.linspace(-1, 1, size, device=keypoints.device)
    _collect[(len(weights), len(keypoints))](
        _segments(keypoints, pairs), weights.float(), line, gradient.float().contiguous(), winner, sums, size,
        len(weights), 1 / thickness, 4 * BLOCK,
    )  # fmt: skip
    return sums


def _segments(keypoints: Tensor, pairs: Tensor) -> Tensor:
    """Start x, y and end x, y (B, links, 4) of every link."""
    points = keypoints.float()
    return torch.cat((points[:, pairs[0]], points[:, pairs[1]]), dim=-1).contiguous()


@triton.jit
def _foot(x, y, start_x, start_y, end_x, end_y):  # type: ignore[no-untyped-def]
    """From the foot on the link to the pixel, and the foot's fraction of the link."""
    along_x, along_y = end_x - start_x, end_y - start_y
    away_x, away_y = x - start_x, y - start_y
    length = tl.maximum(along_x * along_x + along_y * along_y, 1e-12)
    fraction = tl.minimum(tl.maximum((away_x * along_x + away_y * along_y) / length, 0.0), 1.0)
    return away_x - fraction * along_x, away_y - fraction * along_y, fraction


@triton.jit
def _draw(segments, weights, costs, line, heat, winner, size, links, sharp, PIXELS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """One block of pixels of one image: the link with the least d²/σ - log W, the first of equal ones."""
    image = tl.program_id(1)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = pixel < size * size
    x, y = tl.load(line + pixel % size), tl.load(line + pixel // size, inside, 0.0)
    best = tl.full((PIXELS,), 3.4e38, tl.float32)
    index = tl.zeros((PIXELS,), tl.int32)
    for link in range(links):
        at = segments + (image * links + link) * 4
        right, down, _ = _foot(x, y, tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3))
        cost = (right * right + down * down) * sharp + tl.load(costs + link)
        better = cost < best
        best = tl.where(better, cost, best)
        index = tl.where(better, link, index)
    at = segments + (image * links + index) * 4
    right, down, _ = _foot(x, y, tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3))
    value = tl.load(weights + index) * tl.exp(-(right * right + down * down) * sharp)
    position = image * size * size + pixel
    tl.store(heat + position, value, inside)
    tl.store(winner + position, index, inside)


@triton.jit
def _collect(segments, weights, line, gradient, winner, sums, size, links, sharp, PIXELS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """One link of one image: the gradients of its ends and weight, summed over the pixels that it won."""
    link, image = tl.program_id(0), tl.program_id(1)
    at = segments + (image * links + link) * 4
    start_x, start_y, end_x, end_y = tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3)
    zero = tl.zeros((PIXELS,), tl.float32)
    from_x, from_y, to_x, to_y, strength = zero, zero, zero, zero, zero
    for first in range(0, size * size, PIXELS):
        pixel = first + tl.arange(0, PIXELS)
        position = image * size * size + pixel
        inside = pixel < size * size
        won = tl.load(winner + position, inside, -1) == link
        x, y = tl.load(line + pixel % size), tl.load(line + pixel // size, inside, 0.0)
        right, down, fraction = _foot(x, y, start_x, start_y, end_x, end_y)
        fall = tl.exp(-(right * right + down * down) * sharp)
        pull = tl.where(won, tl.load(gradient + position, inside, 0.0) * fall, 0.0)
        strength += pull
        from_x += pull * (1 - fraction) * right
        from_y += pull * (1 - fraction) * down
        to_x += pull * fraction * right
        to_y += pull * fraction * down
    factor = 2 * sharp * tl.load(weights + link)
    out = sums + (image * links + link) * 5
    tl.store(out, factor * tl.sum(from_x))
    tl.store(out + 1, factor * tl.sum(from_y))
    tl.store(out + 2, factor * tl.sum(to_x))
    tl.store(out + 3, factor * tl.sum(to_y))
    tl.store(out + 4, tl.sum(strength))
