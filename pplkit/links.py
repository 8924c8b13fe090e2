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

    Coordinates are divided by the root of σ, and all work goes through the same few buffers, which stay in cache.
    """
    scale = thickness**-0.5
    points = keypoints.float() * scale
    line = torch.linspace(-scale, scale, size, device=keypoints.device)
    costs = -weights.float().log()
    start, along = points[:, pairs[0]], points[:, pairs[1]] - points[:, pairs[0]]
    per_length = along / along.square().sum(-1, keepdim=True).clamp_min(1e-12)
    best = torch.full((len(points), size, size), torch.inf, device=keypoints.device)
    index = torch.zeros_like(best, dtype=torch.uint8 if len(costs) < 256 else torch.int32)
    share, dx, dy = (torch.empty_like(best) for _ in range(3))
    for link in range(len(costs)):
        x = (line - start[:, link, 0:1])[:, None, :]
        y = (line - start[:, link, 1:2])[:, :, None]
        torch.add(x * per_length[:, link, 0:1, None], y * per_length[:, link, 1:2, None], out=share).clamp_(0, 1)
        torch.mul(share, -along[:, link, 0:1, None], out=dx).add_(x)
        torch.mul(share, -along[:, link, 1:2, None], out=dy).add_(y)
        cost = torch.addcmul(costs[link], dx, dx, out=share).addcmul_(dy, dy)
        index.masked_fill_(cost < best, link)
        torch.minimum(best, cost, out=best)
    return index.flatten(1).long()
