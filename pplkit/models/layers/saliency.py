"""Where the object of an image is: cells whose frozen features differ from the border's (see `objectness`).

The classifier is trained on all images of a folder, or frames of a video, together: on at most MAX_TRAINING of them,
evenly spaced. Images are squeezed to a square. There is no object where the inside of an image differs from its border
hardly more than noise does.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from pplkit.models.layers.backbone import Backbone
from pplkit.models.layers.objectness import Classifier, border, border_distances, components, fit_classifier

NAME = "efficientnet-lite0"
SIDE = 256  # pixels of the square that the network sees
CELLS = 16  # a side, of the map of features
MAX_TRAINING = 256  # images that train the classifier
BATCH = 8
ZOOM = 4  # of the map of cells, for a finer border of a blob
DIMENSIONS = 16  # principal components in which an image is compared with its border
DISTINCT = 5.3  # inside to border, squared distances at QUANTILE; noise had up to 5.2, photographs at least 5.6
QUANTILE = 0.9
MAX_BLOBS = 4  # of an image


@cache
def network() -> Backbone:
    """The frozen network; raises PplkitError if its weights are missing."""
    return Backbone(NAME, SIDE)


class Finder:
    """A classifier of object or background, trained on some images, for these and others like them."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        """`images` uint8 (SIDE, SIDE, 3), those of `training_indices`.

        Raises PplkitError if the network's weights are missing.
        """
        cells = features(images)
        self.mean = cells.mean((0, 2, 3), keepdim=True)
        self.spread = cells.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
        self.classifier: Classifier = fit_classifier((cells - self.mean) / self.spread)

    def blobs(self, image: np.ndarray) -> np.ndarray:
        """Regions of an image uint8 (SIDE, SIDE, 3) that may be the object: (k, 5), largest weight first.

        A row has left, top, right and bottom as fractions of the sides, and the weight. (0, 5) where nothing is
        distinct from the border.
        """
        with torch.no_grad():
            cells = features([image])
            logits = self.classifier.logits((cells - self.mean) / self.spread)[0]
            if distinctness(cells[0]) < DISTINCT:
                return np.empty((0, 5))
        fine = ndimage.zoom(logits.numpy(), ZOOM, order=1, grid_mode=True, mode="nearest")
        labels, count = ndimage.label(fine > 0)
        rows = []
        for number, (down, across) in enumerate(ndimage.find_objects(labels), start=1):
            weight = float(fine[labels == number].sum())
            rows.append([across.start, down.start, across.stop, down.stop, weight])
        rows.sort(key=lambda row: -row[4])
        return np.array(rows[:MAX_BLOBS]).reshape(-1, 5) / np.array([*[len(fine)] * 4, 1.0])


@torch.no_grad()
def features(images: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Frozen features (n, C, CELLS, CELLS) of square images uint8 (n, S, S, 3)."""
    parts = []
    for first in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.stack([*images[first : first + BATCH]])).permute(0, 3, 1, 2).float() / 127.5 - 1
        if batch.shape[-1] != SIDE:
            batch = F.interpolate(batch, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        parts.append(network().stacked(network()(batch), CELLS))
    return torch.cat(parts)


def distinctness(features: torch.Tensor) -> float:
    """How far the inside of an image's features (C, h, h) is from their border, relative to the border's own spread."""
    cells = features.flatten(1).T
    spread = cells.std(0).clamp_min(1e-4)
    standard = (cells - cells.mean(0)) / spread
    mean, axes = components(standard, DIMENSIONS)
    side = features.shape[-1]
    inner = border_distances(((standard - mean) @ axes).T.unflatten(1, (side, side))[None])[0]
    inside, edge = inner[~border(side, 2)], inner[border(side)]
    return float(inside.quantile(QUANTILE) / edge.quantile(QUANTILE).clamp_min(1e-6))


def training_indices(count: int) -> list[int]:
    """Positions of the images, of `count`, that train the classifier."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_TRAINING)).round().astype(int)).tolist()
