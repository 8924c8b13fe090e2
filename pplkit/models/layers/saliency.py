"""Where the object of a picture is: where its frozen features are none of the border's, cell by cell (`objectness`).

The classifier is taught by all pictures of a folder or frames of a video together, by `TAUGHT` evenly spread ones at
most; a single picture teaches its own. Pictures are squeezed to a square. Nothing is found where the inside of a
picture differs from its border hardly more than noise does.
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
TAUGHT = 256  # pictures that teach the classifier
AT_ONCE = 8
FINER = 4  # parts of a cell's side to which a blob's border is interpolated
DIMENSIONS = 16  # principal components in which a picture is compared with its border
DISTINCT = (
    5.3  # inside to border, squared distances at quantile OUTSTANDING; 5.2 was the most of noise, photos begin at 5.6
)
OUTSTANDING = 0.9
BLOBS = 4  # of a picture that are kept


@cache
def network() -> Backbone:
    """The frozen network; raises PplkitError if its weights are missing."""
    return Backbone(NAME, SIDE)


class Finder:
    """The classifier that pictures have taught, for these and others like them."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        """`pictures` are uint8 (SIDE, SIDE, 3), evenly spread ones of those to search, `TAUGHT` at most.

        Raises PplkitError if the network's weights are not to be had.
        """
        cells = features(pictures)
        self.mean = cells.mean((0, 2, 3), keepdim=True)
        self.spread = cells.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
        self.classifier: Classifier = fit_classifier((cells - self.mean) / self.spread)

    def blobs(self, picture: np.ndarray) -> np.ndarray:
        """Left, top, right, bottom in shares of the sides, and weight (k, 5) of what may be the object; largest first.

        None (0, 5) where no part of the picture, uint8 (SIDE, SIDE, 3), is distinct from its border.
        """
        with torch.no_grad():
            found = features([picture])
            logits = self.classifier.logits((found - self.mean) / self.spread)[0]
            if distinctness(found[0]) < DISTINCT:
                return np.empty((0, 5))
        fine = ndimage.zoom(logits.numpy(), FINER, order=1, grid_mode=True, mode="nearest")
        labels, count = ndimage.label(fine > 0)
        rows = []
        for number, (down, across) in enumerate(ndimage.find_objects(labels), start=1):
            weight = float(fine[labels == number].sum())
            rows.append([across.start, down.start, across.stop, down.stop, weight])
        rows.sort(key=lambda row: -row[4])
        return np.array(rows[:BLOBS]).reshape(-1, 5) / np.array([*[len(fine)] * 4, 1.0])


@torch.no_grad()
def features(images: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Frozen features (n, C, CELLS, CELLS) of square images uint8 (n, S, S, 3)."""
    parts = []
    for first in range(0, len(images), AT_ONCE):
        batch = torch.from_numpy(np.stack([*images[first : first + AT_ONCE]])).permute(0, 3, 1, 2).float() / 127.5 - 1
        if batch.shape[-1] != SIDE:
            batch = F.interpolate(batch, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        parts.append(network().stacked(network()(batch), CELLS))
    return torch.cat(parts)


def distinctness(features: torch.Tensor) -> float:
    """How far the inside of a picture's features (C, h, h) is from their border, in the border's own spread."""
    cells = features.flatten(1).T
    spread = cells.std(0).clamp_min(1e-4)
    standard = (cells - cells.mean(0)) / spread
    mean, axes = components(standard, DIMENSIONS)
    side = features.shape[-1]
    inner = border_distances(((standard - mean) @ axes).T.unflatten(1, (side, side))[None])[0]
    inside, edge = inner[~border(side, 2)], inner[border(side)]
    return float(inside.quantile(OUTSTANDING) / edge.quantile(OUTSTANDING).clamp_min(1e-6))


def training_indices(count: int) -> list[int]:
    """The numbers of the pictures that teach, of `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, TAUGHT)).round().astype(int)).tolist()
