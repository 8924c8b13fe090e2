"""Keypoints and connectivity to a link map: the exact maximum over all links, without a map per link."""

import importlib.util
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import pixel_grid

MAX_BAND_PIXELS = 2**17  # of a batch, that a CPU searches together
MIN_SQUARED_LENGTH = 1e-12  # of a link, where something is divided by it


def link_map_reference(keypoints: Tensor, connectivity: Tensor, size: int, thickness: float) -> Tensor:
    """The link map as the paper writes it (section 3.2): the maximum over the maps of all links, held at once.

    H(p) = max over links (i, j) of W_ij exp(-d²(p, link) / σ²), d the distance from pixel p to the line from P_i to
    P_j. keypoints (B, N, 2) in [-1, 1], connectivity (N, N), `thickness` σ² in squared [-1, 1] units, to
    (B, 1, size, size). `link_map` gives the same with a fraction of the time and memory.
    """
    first, second = torch.triu_indices(connectivity.shape[0], connectivity.shape[0], 1, device=keypoints.device)
    start, end = keypoints[:, first, None], keypoints[:, second, None]  # (B, links, 1, 2)
    offset = pixel_grid(size, keypoints.device).to(keypoints) - start  # (B, links, S * S, 2)
    along = end - start
    length = along.square().sum(-1)
    fraction = ((offset * along).sum(-1) / torch.where(length > 0, length, 1)).clamp(0, 1)
    distance = (offset - fraction[..., None] * along).square().sum(-1)
    maps = connectivity[first, second][:, None] * torch.exp(-distance / thickness)
    return maps.amax(1).reshape(-1, 1, size, size)


def link_map(keypoints: Tensor | np.ndarray, connectivity: Tensor | np.ndarray, size: int, thickness: float) -> Tensor:
    """Draw the strongest link at each pixel: S(p) = max_ij W_ij exp(-d²(p, segment P_i P_j) / σ)  (section 3.3).

    keypoints (B, N, 2) in [-1, 1], such as `prior.keypoints[None]`; connectivity (N, N), symmetric weights W, of which
    the upper triangle is read;
    size in pixels; thickness σ in squared [-1, 1] units. Returns (B, 1, size, size).

    The maximum passes its gradient to one link per pixel, the first of equally strong ones, so only the winner is kept:
    memory does not grow with the number of links. NVIDIA GPUs have kernels of their own where Triton is installed.

    >>> ends = torch.tensor([[[-0.5, 0.0], [0.5, 0.0]]])
    >>> pplkit.link_map(ends, torch.ones(2, 2), size=32, thickness=5e-3).shape
    torch.Size([1, 1, 32, 32])
    """
    keypoints, connectivity = torch.as_tensor(keypoints), torch.as_tensor(connectivity)
    count = connectivity.shape[0]
    if keypoints.ndim != 3 or keypoints.shape[1:] != (count, 2) or connectivity.shape != (count, count):
        raise PplkitError(
            f"keypoints {tuple(keypoints.shape)} and connectivity {tuple(connectivity.shape)} do not fit: give "
            "(B, N, 2) and (N, N), such as prior.keypoints[None] and prior.connectivity."
        )
    pairs = torch.triu_indices(count, count, 1, device=keypoints.device)
    weights = connectivity[pairs[0], pairs[1]]
    heat: Tensor = _LinkMap.apply(keypoints, weights, pairs, size, thickness)  # type: ignore[no-untyped-call]
    return heat.reshape(-1, 1, size, size)


class _LinkMap(torch.autograd.Function):
    """Forward: the winner of each pixel and its heat. Backward: written out, so that nothing else is kept.

    With r the vector from the foot on the link to the pixel and t the foot's position on it (0 start, 1 end),
    d² = r² changes by -2 (1 - t) r with the start and by -2 t r with the end. t itself has no gradient: it either
    minimizes d² or stays at an end of the link.
    """

    @staticmethod
    def forward(ctx: Any, keypoints: Tensor, weights: Tensor, pairs: Tensor, size: int, thickness: float) -> Tensor:
        ctx.size, ctx.thickness, ctx.kernels = size, thickness, _kernels(keypoints)
        if ctx.kernels is not None:
            heat, winner = ctx.kernels.draw(keypoints, weights, pairs, size, thickness)
            ctx.save_for_backward(keypoints, weights, pairs, winner)
            return heat  # type: ignore[no-any-return]
        winner = _winners(keypoints, pairs, weights, size, thickness)
        x, y, fraction = _feet(keypoints, pairs, winner, size)
        fall = (x * x).addcmul_(y, y).mul_(-1 / thickness).exp_()
        ctx.save_for_backward(keypoints, weights, pairs, winner, x, y, fraction, fall)
        return weights[winner] * fall

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        keypoints, weights, pairs, winner, *rest = ctx.saved_tensors
        if ctx.kernels is not None:
            parts = ctx.kernels.gradients(gradient, keypoints, weights, pairs, winner, ctx.size, ctx.thickness)
        else:
            parts = _gradients(gradient, weights, winner, rest, ctx.thickness)
        # Every keypoint collects from its links: a product with 0 and 1 adds in the same order each time.
        ends = torch.nn.functional.one_hot(pairs, keypoints.shape[1]).to(parts)  # (2, links, N)
        moved = torch.einsum("aln,blac->bnc", ends, parts[..., :4].unflatten(-1, (2, 2)))
        return moved.to(keypoints), parts[..., 4].sum(0).to(weights), None, None, None


def _kernels(keypoints: Tensor) -> Any:
    """The module with the GPU's kernels, or None where they cannot be used."""
    if not keypoints.is_cuda or torch.version.cuda is None or importlib.util.find_spec("triton") is None:
        return None
    from pplkit.geometry import link_map_triton

    return link_map_triton


def _feet(keypoints: Tensor, pairs: Tensor, winner: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """From each pixel's foot on its winning link to the pixel, x and y, and the foot's position: (B, S²)."""
    grid = pixel_grid(size, keypoints.device).to(keypoints)
    points = keypoints.transpose(1, 2)
    start, end = points[:, :, pairs[0]], points[:, :, pairs[1]]
    along = end - start
    scaled = along / along.square().sum(1, keepdim=True).clamp_min(MIN_SQUARED_LENGTH)
    x, y = (grid[:, axis] - start[:, axis].gather(1, winner) for axis in (0, 1))
    fraction = (x * scaled[:, 0].gather(1, winner)).addcmul_(y, scaled[:, 1].gather(1, winner)).clamp_(0, 1)
    return x - fraction * along[:, 0].gather(1, winner), y - fraction * along[:, 1].gather(1, winner), fraction


def _gradients(gradient: Tensor, weights: Tensor, winner: Tensor, saved: list[Tensor], thickness: float) -> Tensor:
    """Gradients (B, links, 5) of start x, y, end x, y and weight, from that of the heat (B, S * S)."""
    x, y, fraction, fall = saved
    of_weight = gradient * fall
    pull = of_weight * weights[winner] * (2 / thickness)
    end_x, end_y = pull * fraction * x, pull * fraction * y
    parts = torch.zeros(5, len(winner), len(weights), dtype=pull.dtype, device=pull.device)
    values = (pull * x - end_x, pull * y - end_y, end_x, end_y, of_weight)
    for part, value in zip(parts, values, strict=True):
        part.scatter_add_(1, winner, value)  # along rows, one thread each: always in the same order on a CPU
    return parts.permute(1, 2, 0)


def _winners(keypoints: Tensor, pairs: Tensor, weights: Tensor, size: int, thickness: float) -> Tensor:
    """Index (B, size * size) into `pairs` of the link with the least d²/σ - log W at each pixel.

    Each link has axes of its own, u along it from its middle and v across: d² = v² + max(0, |u| - half length)².
    Coordinates are divided by √σ. A CPU searches one band of rows after the other, whose buffers stay in its cache.
    """
    scale = thickness**-0.5
    points = keypoints.float() * scale
    line = torch.linspace(-scale, scale, size, device=keypoints.device)
    start, end = points[:, pairs[0]], points[:, pairs[1]]
    middle, along = (start + end) / 2, end - start
    length = along.square().sum(-1, keepdim=True).sqrt()
    x, y = torch.where(length > 0, along / length, along.new_tensor([1.0, 0.0])).unbind(-1)  # a point has any axes
    # Both coordinates are a part of each column plus a part of each row: (B, links, 1, S) and (B, links, S, 1).
    u_columns = (line * x[..., None])[:, :, None]
    u_rows = (line * y[..., None] - (middle[..., 0] * x + middle[..., 1] * y)[..., None])[..., None]
    v_columns = (line * -y[..., None])[:, :, None]
    v_rows = (line * x[..., None] + (middle[..., 0] * y - middle[..., 1] * x)[..., None])[..., None]
    halves, costs = (length / 2)[..., None], -weights.float().log()[None]
    band_rows = max(1, MAX_BAND_PIXELS // (len(points) * size)) if keypoints.device.type == "cpu" else size
    bands = zip(u_rows.split(band_rows, 2), v_rows.split(band_rows, 2), strict=True)
    indices = [_least((u_columns, u_band, v_columns, v_band, halves, costs)) for u_band, v_band in bands]
    return torch.cat(indices, 1).flatten(1).long()


def _least(parts: tuple[Tensor, ...]) -> Tensor:
    """Number (B, rows, S), int32, of the link with the least cost; `parts` as `_winners` computes them."""
    u_columns, u_rows = parts[:2]
    shape = (len(u_rows), u_rows.shape[2], u_columns.shape[3])
    best = u_rows.new_full(shape, torch.finfo(torch.float32).max)
    index = torch.zeros_like(best, dtype=torch.int32)
    u, v = torch.empty_like(best), torch.empty_like(best)
    # As tensors: bitwise operations would make one of a number each time.
    sign, numbers = torch.tensor(31, dtype=torch.int32, device=best.device), index.new_tensor(range(u_rows.shape[1]))
    parted = zip(*(part.unbind(1) for part in parts), strict=True)
    for link, (u_column, u_row, v_column, v_row, half, cost) in zip(numbers, parted, strict=True):
        torch.add(u_column, u_row, out=u)
        torch.add(v_column, v_row, out=v)
        u.abs_().sub_(half).clamp_min_(0)
        v = torch.addcmul(cost[0], v, v, out=v).addcmul_(u, u)
        # Where v < best the sign bit of v - best is set: shifted down it masks the link's number, the highest so far.
        masked = torch.sub(v, best, out=u).view(torch.int32).bitwise_right_shift_(sign).bitwise_and_(link)
        torch.maximum(index, masked, out=index)
        torch.minimum(best, v, out=best)
    return index
