"""Points chosen from a set: far from one another, or near to others."""

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

NEAR_ORIGIN = 1e-3  # square of the distance up to which the published sampling never chooses a point


def farthest_points(points: Tensor, count: int, skipped: float = NEAR_ORIGIN) -> Tensor:
    """Numbers (B, count) of points (B, N, 3): the first, then always the one farthest from those chosen before.

    Of equals the first. A point whose squared distance from the origin is at most `skipped` is not chosen, as in the
    published code, except as the first. Where there are fewer points than `count`, points repeat.
    """
    numbers = np.zeros((len(points), count), np.int64)
    for item, chosen in zip(points.detach().cpu().float().numpy(), numbers, strict=True):
        x, y, z = np.ascontiguousarray(item.T)
        distances = np.where(x * x + y * y + z * z > skipped, np.float32(np.inf), np.float32(-1))
        for step in range(1, count):
            last = chosen[step - 1]
            dx, dy, dz = x - x[last], y - y[last], z - z[last]
            np.minimum(distances, dx * dx + dy * dy + dz * dz, out=distances)
            chosen[step] = distances.argmax()
    return torch.from_numpy(numbers).to(points.device)


def nearest_points(points: Tensor, queries: Tensor, count: int) -> Tensor:
    """Numbers (B, Q, count) of the points (B, N, 3) nearest to queries (B, Q, 3), the nearest first.

    Where there are fewer points than `count`, all of them.
    """
    count = min(count, points.shape[1])
    pairs = zip(points.detach().cpu().numpy(), queries.detach().cpu().numpy(), strict=True)
    numbers = [KDTree(item).query(wanted, range(1, count + 1))[1] for item, wanted in pairs]
    return torch.from_numpy(np.stack(numbers)).to(points.device)
