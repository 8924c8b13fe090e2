"""Parts of the object, without labels: clusters of frozen features on the object, as a start for keypoints.

Whitened features of the object's cells in all training images are clustered by k-means, with as many clusters as
keypoints. What a cluster covers in an image is a first guess of where a part is; `losses.parts_loss` teaches it to the
regressor's part maps. The clusters are fitted once, before training, and saved with the model.

Where objects lie alike in all images, such as hands on a table, the position of a cell in the upright image may count
beside its features: features do not tell fingers apart, positions do.
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
RESTARTS = 10  # of k-means, of which the best is taken
ITERATIONS = 30
MAX_CELLS = 20_000  # that are clustered
MIN_CELLS = 8  # for each cluster: with fewer on the object, all cells are clustered


class PartMaps(NamedTuple):
    """Part maps of h x h cells with their features, and the targets of g x g cells that they learn from."""

    maps: Tensor  # (B, N + 1, h, h) probabilities that sum to 1 over the channels; the last one is the background
    descriptors: Tensor  # (B, N, C) mean features of each part
    target: Tensor  # (B, N + 1, g, g) the assignment to clusters, with the background


class PartClusters(nn.Module):
    """Where the object is, and which of the N clusters its cells belong to; zeros until `fit`."""

    def __init__(self, keypoints: int, channels: int, position_weight: float = 0.0, flip: bool = False) -> None:
        """`position_weight`: of a position, relative to a component; `flip`: images are mirrored."""
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
        self.register_buffer("middle", torch.zeros(2))  # of the object's positions
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
        inside = inside if inside.sum() >= MIN_CELLS * len(self.centres) else torch.ones_like(inside)
        own, positions = cells[inside], cell_centers(features.shape[-1]).repeat(len(features), 1)[inside]
        mean, axes = components(own, DIMENSIONS)
        self.mean.copy_(mean)
        self.axes[:, : axes.shape[1]] = axes
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(own), generator=generator)[:MAX_CELLS]
        self.middle.copy_(positions.mean(0) * torch.tensor([1 - self.flip, 1]))
        self.spread.copy_(positions.std(0).clamp_min(1e-4))
        whitened, positions = (own[chosen] - mean) @ self.axes, self._weighted(positions[chosen])
        points = torch.cat((whitened, positions), 1)
        if self.flip and self.position_weight:  # the same features at the mirrored positions
            points = torch.cat((points, torch.cat((whitened, positions * torch.tensor([-1.0, 1.0])), 1)))
        self.centres.copy_(best_kmeans(points, len(self.centres)))

    def _weighted(self, positions: Tensor) -> Tensor:
        return (positions - self.middle) * (self.position_weight / self.spread)

    def objectness(self, backbone: Backbone, rows: Tensor) -> Tensor:
        """A backbone's rows (B, D) to the probability (B, h, h) that a cell shows the object."""
        logits = backbone.projected(rows, self.weight[:, None], backbone.middle)
        return (logits[:, 0] + self.bias).sigmoid()

    def forward(self, backbone: Backbone, rows: Tensor, upright: Tensor | None = None) -> Tensor:
        """A backbone's rows (B, D) to probabilities (B, N + 1, h, h) of the clusters and, last, the background.

        `upright` (B, 2, 3) leads from points of the images to those of upright ones, if they were turned or moved.
        """
        projected = backbone.projected(rows, torch.cat((self.axes, self.weight[:, None]), 1), backbone.middle)
        whitened = (projected[:, :-1].permute(0, 2, 3, 1) - self.mean @ self.axes).flatten(1, 2)
        positions = cell_centers(backbone.middle).to(whitened).expand(len(rows), -1, -1)
        positions = positions if upright is None else apply_affine(upright[:, None], positions)
        whitened = torch.cat((whitened, self._weighted(positions)), -1)
        distances = torch.cdist(whitened, self.centres.expand(len(rows), -1, -1)).square()
        objectness = (projected[:, -1] + self.bias).sigmoid().flatten(1)[..., None]
        parts = torch.cat(((-distances / TEMPERATURE).softmax(-1) * objectness, 1 - objectness), -1)
        return parts.transpose(1, 2).unflatten(2, (backbone.middle, backbone.middle))


def cell_centers(side: int) -> Tensor:
    """The centers (side * side, 2) of cells in [-1, 1], row by row."""
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def best_kmeans(points: Tensor, count: int) -> Tensor:
    """Centers (count, d) of k-means over points (n, d): the best of RESTARTS, always the same ones."""
    trials = [kmeans2(points.numpy(), count, minit="++", seed=s, iter=ITERATIONS)[0] for s in range(RESTARTS)]
    centers = [torch.from_numpy(trial).to(points) for trial in trials]
    return min(centers, key=lambda trial: float(torch.cdist(points, trial).amin(1).square().mean()))
