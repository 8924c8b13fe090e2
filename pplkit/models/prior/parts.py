"""Parts of the object, without labels: clusters of frozen features on what is object, for keypoints to start from.

Features of the object's cells in all training images, whitened, are clustered by k-means, as many clusters as
keypoints. What a cluster covers in an image is a first guess of where a part is; `losses.parts_loss` teaches it to the
regressor's part maps. Found once, before training, and kept with the model.

Fingers look alike: features do not tell them apart, their places do. Where objects lie alike in all images, such as
hands that were laid down to be photographed, the place of a cell in the upright image may count beside its features.
"""

from typing import NamedTuple

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from pplkit.geometry.coordinates import apply_affine
from pplkit.models.layers.backbone import Backbone
from pplkit.models.layers.objectness import components, fit_classifier

DIMENSIONS = 16  # principal components of the object's features that are clustered
TEMPERATURE = 2.0  # of the assignment to clusters, in squared whitened units
RESTARTS = 10  # of k-means; the one with the least squared distance is taken
ITERATIONS = 30
CELLS = 20_000  # that are clustered, at most
LEAST = 8  # cells for each cluster: with fewer on the object, all cells are clustered


class PartMaps(NamedTuple):
    """What the regressor makes of images with a backbone, and what it is taught by; h cells a side."""

    maps: Tensor  # (B, N + 1, h, h) probabilities that sum to 1 over the channels; the last one is the background
    descriptors: Tensor  # (B, N, C) mean features of each part
    wanted: Tensor  # (B, N + 1, g, g) the assignment to clusters, with the background


class PartClusters(nn.Module):
    """Where the object is, and which of the N clusters its cells belong to; zeros until `fit`."""

    def __init__(self, keypoints: int, channels: int, position_weight: float = 0.0, flip: bool = False) -> None:
        """`position_weight`: what a place counts, each axis as so many components; `flip`: for mirrored images, too."""
        super().__init__()
        self.position_weight, self.flip = position_weight, flip
        self.weight: Tensor
        self.bias: Tensor
        self.mean: Tensor
        self.axes: Tensor
        self.centres: Tensor
        self.register_buffer("weight", torch.zeros(channels))
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.zeros(channels, DIMENSIONS))
        self.register_buffer("centres", torch.zeros(keypoints, DIMENSIONS + 2))
        self.middle: Tensor
        self.spread: Tensor
        self.register_buffer("middle", torch.zeros(2))  # of the object's places
        self.register_buffer("spread", torch.ones(2))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Find object and clusters in features (n, C, h, h), standardised per channel; the same at every call."""
        features = features.float()
        classifier = fit_classifier(features)
        self.weight.copy_(classifier.weight)
        self.bias.copy_(classifier.bias)
        cells = features.permute(0, 2, 3, 1).flatten(0, 2)
        inside = (classifier.logits(features) > 0).flatten()
        inside = inside if inside.sum() >= LEAST * len(self.centres) else torch.ones_like(inside)
        own, places = cells[inside], cell_centers(features.shape[-1]).repeat(len(features), 1)[inside]
        mean, axes = components(own, DIMENSIONS)
        self.mean.copy_(mean)
        self.axes[:, : axes.shape[1]] = axes
        spread = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(own), generator=spread)[:CELLS]
        self.middle.copy_(places.mean(0) * torch.tensor([1 - self.flip, 1]))
        self.spread.copy_(places.std(0).clamp_min(1e-4))
        whitened, places = (own[chosen] - mean) @ self.axes, self._weighted(places[chosen])
        points = torch.cat((whitened, places), 1)
        if self.flip and self.position_weight:  # the same features at the mirrored places
            points = torch.cat((points, torch.cat((whitened, places * torch.tensor([-1.0, 1.0])), 1)))
        self.centres.copy_(best_kmeans(points, len(self.centres)))

    def _weighted(self, places: Tensor) -> Tensor:
        """Places (..., 2) as coordinates of clusters."""
        return (places - self.middle) * (self.position_weight / self.spread)

    def objectness(self, backbone: Backbone, rows: Tensor) -> Tensor:
        """A backbone's rows (B, D) to the probability (B, h, h) that a cell shows the object."""
        found = backbone.projected(rows, self.weight[:, None], backbone.middle)
        return (found[:, 0] + self.bias).sigmoid()

    def forward(self, backbone: Backbone, rows: Tensor, upright: Tensor | None = None) -> Tensor:
        """A backbone's rows (B, D) to probabilities (B, N + 1, h, h) of the clusters and, last, the background.

        `upright` (B, 2, 3) leads from points of the images seen to those of upright ones, if they were turned or moved.
        """
        found = backbone.projected(rows, torch.cat((self.axes, self.weight[:, None]), 1), backbone.middle)
        whitened = (found[:, :-1].permute(0, 2, 3, 1) - self.mean @ self.axes).flatten(1, 2)
        places = cell_centers(backbone.middle).to(whitened).expand(len(rows), -1, -1)
        places = places if upright is None else apply_affine(upright[:, None], places)
        whitened = torch.cat((whitened, self._weighted(places)), -1)
        away = torch.cdist(whitened, self.centres.expand(len(rows), -1, -1)).square()
        own = (found[:, -1] + self.bias).sigmoid().flatten(1)[..., None]
        joined = torch.cat(((-away / TEMPERATURE).softmax(-1) * own, 1 - own), -1)
        return joined.transpose(1, 2).unflatten(2, (backbone.middle, backbone.middle))


def cell_centers(side: int) -> Tensor:
    """The middles (side * side, 2) of cells in [-1, 1], row by row."""
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def best_kmeans(points: Tensor, count: int) -> Tensor:
    """Centres (count, d) of k-means over points (n, d): the best of RESTARTS, always the same ones."""
    best, least = None, float("inf")
    for restart in range(RESTARTS):
        found, _ = kmeans2(points.numpy(), count, minit="++", seed=restart, iter=ITERATIONS)
        centres = torch.from_numpy(found).to(points)
        away = float(torch.cdist(points, centres).amin(1).square().mean())
        if away < least:
            best, least = centres, away
    assert best is not None
    return best
