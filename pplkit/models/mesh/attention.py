"""Layers of point networks: attention by vectors among neighbors, layers for each point, and set abstraction.

B sets of N points are stored as one list of M = B N points, and neighbors are numbers in that list. Names of the
parameters are those of the released code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

QUERIES_AT_ONCE = 512  # for which neighborhoods are held in memory


class BatchNorm(nn.BatchNorm1d):
    """Batch norm of features (M, C), whose statistics torch sums more exactly along contiguous channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(M, C) to (M, C)."""
        if not self.training:
            return super().forward(x)
        return super().forward(x.t()[None].contiguous())[0].t()


def two_layers(inputs: int, width: int) -> nn.Sequential:
    """Linear, ReLU, linear."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Linear(width, width))


def gather(values: Tensor, numbers: Tensor) -> Tensor:
    """Rows of values (M, C) by numbers (Q, K): (Q, K, C)."""
    return values.index_select(0, numbers.flatten()).view(*numbers.shape, -1)


def weighted(scores: Tensor, values: Tensor) -> Tensor:
    """The sum over neighbors of values (Q, K, C), weighted channel by channel with the softmax of scores (Q, K, C)."""
    return (scores.softmax(1) * values).sum(1)


def in_chunks(function: Callable[..., Tensor], *queries: Tensor) -> Tensor:
    """A function of rows of `queries`, for QUERIES_AT_ONCE rows at a time; backward computes each chunk again."""
    if len(queries[0]) <= QUERIES_AT_ONCE:
        return function(*queries)
    parts = zip(*(query.split(QUERIES_AT_ONCE) for query in queries), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(function, *part, use_reentrant=False, preserve_rng_state=False) for part in parts])
    return torch.cat([function(*part) for part in parts])


class VectorAttention(nn.Module):
    """x + attention of each point over its neighbors, and a batch norm (Point Transformer, Zhao et al., ICCV 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bn = BatchNorm(width)
        self.fc_delta = two_layers(3, width)
        self.fc_gamma = two_layers(width, width)
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, points: Tensor, x: Tensor, neighbors: Tensor) -> Tensor:
        """Features (M, C) of points (M, 3) with neighbors (M, K) to (M, C)."""
        keys, values = self.w_ks(x), self.w_vs(x)

        def attended(places: Tensor, queries: Tensor, numbers: Tensor) -> Tensor:
            delta = self.fc_delta(places[:, None] - gather(points, numbers))
            scores = self.fc_gamma(queries[:, None] - gather(keys, numbers) + delta)
            return weighted(scores, gather(values, numbers) + delta)

        return self.bn(x + in_chunks(attended, points, self.w_qs(x), neighbors))  # type: ignore[no-any-return]


class Pointwise(nn.Module):
    """x + two layers for each point, with three batch norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)
        self.bn1, self.bn2, self.bn3 = (BatchNorm(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Features (M, C) to (M, C)."""
        hidden = self.bn1(per_point(self.conv1, x)).relu()
        return self.bn3(x + self.bn2(per_point(self.conv2, hidden)).relu())  # type: ignore[no-any-return]


class SetAbstraction(nn.Module):
    """Features of fewer points: each attends, in two rounds, over the nearest points of the full set."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bnorm0, self.bnorm1, self.bnorm2, self.bn1 = (BatchNorm(width) for _ in range(4))
        self.conv1, self.conv2 = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)
        self.fc_delta1 = two_layers(3, width)
        self.fc_gamma1, self.fc_gamma2 = two_layers(width, width), two_layers(width, width)
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.w_qs2, self.w_ks2, self.w_vs2 = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, points: Tensor, x: Tensor, centers: Tensor, neighbors: Tensor) -> Tensor:
        """Features (M, C) of points (M, 3), numbers (m,) of the centers, their neighbors (m, K) to (m, C)."""
        own, around = x[centers], gather(x, neighbors)
        delta = self.fc_delta1(gather(points, neighbors) - points[centers, None])
        scores = self.fc_gamma1(self.w_qs(own)[:, None] - self.w_ks(around) + delta)
        first = weighted(scores, self.w_vs(around) + delta)
        first = self.bnorm0(first + per_point(self.conv2, self.bn1(per_point(self.conv1, first)).relu()))
        scores = self.fc_gamma2(self.w_qs2(first)[:, None] - self.w_ks2(around) + delta)
        second = weighted(scores, self.w_vs2(around) + delta)
        return self.bnorm2(self.bnorm1(first + second) + own)  # type: ignore[no-any-return]


def per_point(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of width 1 over features (M, C)."""
    return F.linear(x, layer.weight[..., 0], layer.bias)
