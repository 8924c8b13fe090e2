"""Keypoints and connectivity to a link map: the exact maximum over all links, without a map per link."""

import torch
from torch import Tensor

from pplkit.geometry import pixel_grid


def link_map(keypoints: Tensor, connectivity: Tensor, size: int, thickness: float) -> Tensor:
    """Draw the strongest link at each pixel: S(p) = max_ij W_ij exp(-d²(p, segment P_i P_j) / σ)  (section 3.3).

    keypoints (B, N, 2) in [-1, 1]; connectivity (N, N), symmetric weights W, of which the upper triangle is read;
    size in pixels; thickness σ in squared [-1, 1] units. Returns (B, 1, size, size).

    The maximum passes its gradient to one link per pixel (the first of equals). So the winners are found without
    a graph, one link at a time, and only the winning link of each pixel is computed with gradients: memory does
    not grow with the number of links.
    """
    pairs = torch.triu_indices(connectivity.shape[0], connectivity.shape[0], 1, device=keypoints.device)
    weights = connectivity[pairs[0], pairs[1]]
    with torch.no_grad():
        winner = _winners(keypoints, pairs, weights, size, thickness)
    start = _gather(keypoints, pairs[0][winner])
    end = _gather(keypoints, pairs[1][winner])
    squared = segment_distance(pixel_grid(size, keypoints.device), start, end)
    # Indexing would add the gradients up in parallel, in an order that changes from run to run; gather does not.
    heat = weights.expand(len(keypoints), -1).gather(1, winner) * torch.exp(-squared / thickness)
    return heat.reshape(-1, 1, size, size)


def segment_distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distances of points (..., 2) to the segments from start (..., 2) to end (..., 2), broadcast: (...)."""
    along = end - start
    offset = points - start
    length = along.square().sum(-1)
    share = ((offset * along).sum(-1) / length.clamp_min(1e-12)).clamp(0, 1)
    return (offset - share[..., None] * along).square().sum(-1)


def _gather(keypoints: Tensor, index: Tensor) -> Tensor:
    return keypoints.gather(1, index[..., None].expand(-1, -1, 2))


def _winners(keypoints: Tensor, pairs: Tensor, weights: Tensor, size: int, thickness: float) -> Tensor:
    """Index (B, size * size) into `pairs` of the link with the least d²/σ - log W at each pixel.

    Each link has axes of its own, u along it from its middle and v across: d² = v² + max(0, |u| - half length)².
    Coordinates are divided by the root of σ, and all work goes through the same few buffers, which stay in cache.
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
    halves, costs = (length / 2)[..., None], -weights.float().log()
    parts = (u_columns, u_rows, v_columns, v_rows, halves, costs[None])
    best = torch.full((len(points), size, size), torch.finfo(torch.float32).max, device=keypoints.device)
    index = torch.zeros_like(best, dtype=torch.int32)
    u, v = torch.empty_like(best), torch.empty_like(best)
    parted = zip(*(part.unbind(1) for part in parts), strict=True)
    for link, (u_column, u_row, v_column, v_row, half, cost) in enumerate(parted):
        torch.add(u_column, u_row, out=u)
        torch.add(v_column, v_row, out=v)
        u.abs_().sub_(half).clamp_min_(0)
        v = torch.addcmul(cost[0], v, v, out=v).addcmul_(u, u)
        # Where v < best the sign bit of v - best is set: shifted down it masks the link's number, the highest so far.
        better = torch.sub(v, best, out=u).view(torch.int32).bitwise_right_shift_(31).bitwise_and_(link)
        torch.maximum(index, better, out=index)
        torch.minimum(best, v, out=best)
    return index.flatten(1).long()
