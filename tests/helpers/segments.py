"""Distances from segments, as the formula is written."""

from torch import Tensor


def segment_distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distances of points (..., 2) to the segments from start (..., 2) to end (..., 2), broadcast: (...)."""
    along = end - start
    offset = points - start
    length = along.square().sum(-1)
    share = ((offset * along).sum(-1) / length.clamp_min(1e-12)).clamp(0, 1)
    return (offset - share[..., None] * along).square().sum(-1)
