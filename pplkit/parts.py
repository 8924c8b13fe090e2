"""Parts of the object, without labels: clusters of frozen features on what is object, for keypoints to start from.

Features of the object's cells in all training images, whitened, are clustered by k-means, as many clusters as
keypoints. What a cluster covers in an image is a first guess of where a part is; `losses.parts_loss` teaches it to the
regressor's part maps. Found once, before training, and kept with the model.
"""

from typing import NamedTuple

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from pplkit.backbones import Backbone
from pplkit.objectness import components, fit_classifier

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

    def __init__(self, keypoints: int, channels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.mean: Tensor
        self.axes: Tensor
        self.centres: Tensor
        self.register_buffer("weight", torch.zeros(channels))
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.zeros(channels, DIMENSIONS))
        self.register_buffer("centres", torch.zeros(keypoints, DIMENSIONS))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Find object and clusters in features (n, C, h, h), standardised per channel; the same at every call."""
        features = features.float()
        classifier = fit_classifier(features)
        self.weight.copy_(classifier.weight)
        self.bias.copy_(classifier.bias)
        cells = features.permute(0, 2, 3, 1).flatten(0, 2)
        own = cells[(classifier.logits(features) > 0).flatten()]
        own = own if len(own) >= LEAST * len(self.centres) else cells
        mean, axes = components(own, DIMENSIONS)
        self.mean.copy_(mean)
        self.axes[:, : axes.shape[1]] = axes
        spread = torch.Generator().manual_seed(0)
        some = own[torch.randperm(len(own), generator=spread)[:CELLS]]
        self.centres.copy_(clustered((some - mean) @ self.axes, len(self.centres)))

    def objectness(self, backbone: Backbone, rows: Tensor) -> Tensor:
        """A backbone's rows (B, D) to the probability (B, h, h) that a cell shows the object."""
        found = backbone.projected(rows, self.weight[:, None], backbone.middle)
        return (found[:, 0] + self.bias).sigmoid()

    def forward(self, backbone: Backbone, rows: Tensor) -> Tensor:
        """A backbone's rows (B, D) to probabilities (B, N + 1, h, h) of the clusters and, last, the background."""
        found = backbone.projected(rows, torch.cat((self.axes, self.weight[:, None]), 1), backbone.middle)
        whitened = (found[:, :-1].permute(0, 2, 3, 1) - self.mean @ self.axes).flatten(1, 2)
        away = torch.cdist(whitened, self.centres.expand(len(rows), -1, -1)).square()
        own = (found[:, -1] + self.bias).sigmoid().flatten(1)[..., None]
        joined = torch.cat(((-away / TEMPERATURE).softmax(-1) * own, 1 - own), -1)
        return joined.transpose(1, 2).unflatten(2, (backbone.middle, backbone.middle))


def clustered(points: Tensor, count: int) -> Tensor:
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
