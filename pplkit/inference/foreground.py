"""Where the object is in images, without labels: by what moves, by what a model's backbone calls object, by the border.

Used to judge models and data, not to train. Every way says nothing rather than something wrong: what moves counts only
where the camera stands, what differs from the border only where the inside of most images does. All maps are of SIDE
cells a side. Measured on built-in puppets, whose masks are known (64 px, 60 videos of 16 frames; 2 of 3 wide scenes are
of a standing camera, in the crops that follow the object none seems to stand):

| share of the cells (precision, recall) | puppets | textured | hands | wide, centre | wide, crop follows |
|---|---|---|---|---|---|
| true masks | 0.18 | 0.18 | 0.17 | 0.004 | 0.14 |
| by what moves | 0.16 (0.79, 0.70) | 0.14 (0.78, 0.60) | 0.17 (0.76, 0.77) | 0.01 (0.34, 1.00) | - |
| by the border | 0.30 (0.60, 0.99) | 0.28 (0.58, 0.89) | 0.29 (0.57, 0.99) | - | 0.28 (0.53, 0.99) |
| true joints off it, 1 = chance | 0.13 or 0.00 | 0.21 or 0.12 | 0.05 or 0.00 | 0.00 | 0.00 |

So what moves tells the size of an object, and what differs from the border does not: it finds 0.3 of any picture.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from pplkit.data.dataset import Split
from pplkit.data.motion_masks import SIDE, as_masks, moving
from pplkit.geometry.coverage import on_object
from pplkit.models.layers.backbone import Backbone
from pplkit.models.layers.objectness import fit_classifier
from pplkit.models.layers.saliency import CELLS, DISTINCT, NAME, distinctness
from pplkit.models.layers.saliency import SIDE as SEEN
from pplkit.models.prior.model import PosePriorLearner

LIMIT = 64  # images that are looked at
MOST = 16  # frames of a video that are looked at, where there are many videos
NEAR = 2  # cells around what moves that count as on it
TRUSTED = 1 / 3  # of the videos that must tell something
LIMIT_SEEN = 48  # images that are compared with their border
AT_ONCE = 8


class Foreground(NamedTuple):
    """What is object in n images."""

    rows: np.ndarray  # (n,) their positions in the split, or among the images given
    masks: np.ndarray  # (n, SIDE, SIDE) uint8, 255 = object
    by: str  # "masks", "motion", "model" or "border"

    def shares(self, keypoints: np.ndarray) -> tuple[float, float]:
        """Share of keypoints (n, N, 2) in [-1, 1] of the same images on the object, and of all cells; both 0 to 1.

        Where motion told the object, NEAR cells around it count as well: parts that hardly move are missed.
        """
        masks = self.masks
        if self.by == "motion":
            masks = np.stack([255 * ndimage.binary_dilation(one > 127, iterations=NEAR) for one in masks])
        return on_object(keypoints, masks), float((masks > 127).mean())


def spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` of the numbers from 0 to `count` - 1, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int))


def sampled(split: Split, limit: int = LIMIT) -> list[np.ndarray]:
    """At most `limit` images: for each video that is looked at the positions of its frames, evenly spread, in order.

    Of a split without videos one list of all that is looked at.
    """
    if split.videos is None:
        return [spread(len(split), limit)]
    _, starts, counts = np.unique(split.videos, return_index=True, return_counts=True)
    length = min(int(np.clip(limit // len(starts), MOST, limit)), int(counts.max()))
    chosen = spread(len(starts), max(1, limit // length))
    return [start + spread(count, length) for start, count in zip(starts[chosen], counts[chosen], strict=True)]


def by_masks(split: Split, limit: int = LIMIT) -> Foreground | None:
    """What the masks of a split say, of at most `limit` images."""
    if split.masks is None:
        return None
    index = np.concatenate(sampled(split, limit))
    masks = np.asarray(split.masks[index])
    return Foreground(index, as_masks(masks > 127), "masks")


def by_motion(split: Split, limit: int = LIMIT) -> Foreground | None:
    """What moves in the videos of a split, in at most `limit` frames; None where that tells too little.

    Frames in which nothing stands out are left out. See `moving`; TRUSTED of the videos must tell something.
    """
    if split.videos is None:
        return None
    videos = sampled(split, limit)
    told = [(index, masks) for index in videos if (masks := moving(np.asarray(split.images[index]))) is not None]
    if len(told) < max(1.0, TRUSTED * len(videos)):
        return None
    return _kept(np.concatenate([index for index, _ in told]), np.concatenate([masks for _, masks in told]), "motion")


def by_model(model: PosePriorLearner, images: np.ndarray | Tensor) -> Foreground | None:
    """What the backbone of a model calls object in images as `estimate` takes them; None if it has no backbone.

    Also None where most images hardly differ from their own border, see `saliency`; images in which nothing is object
    are left out.
    """
    if getattr(model, "backbone", None) is None:
        return None
    assert model.backbone is not None
    probabilities, told = [], []
    with torch.no_grad():
        for part in _parts(images):
            rows = model.sight(model.prepare(part))
            probabilities.append(model.find_object(rows).float().cpu())
            if (model.config.backbone, model.config.image_size) == (NAME, SEEN):  # for which the limit was measured
                told += [distinctness(one) for one in model.backbone.stacked(rows, model.backbone.middle).cpu()]
    if told and np.mean(np.array(told) >= DISTINCT) < 0.5:
        return None
    return _enlarged(np.arange(len(images)), torch.cat(probabilities) - 0.5, "model")


def by_border(images: np.ndarray) -> Foreground | None:
    """What differs from the border in images (n, S, S, 3) uint8, n at most LIMIT_SEEN or evenly spread ones.

    None if the package of the backbone is not installed, or if less than half of the images differ from their border.
    """
    index = spread(len(images), LIMIT_SEEN)
    features = bordered(images[index])
    if features is None:
        return None
    told = np.array([distinctness(one) for one in features]) >= DISTINCT
    if told.mean() < 0.5:
        return None
    standard = (features - features.mean((0, 2, 3), keepdim=True)) / features.std((0, 2, 3), keepdim=True).clamp_min(
        1e-4
    )
    logits = fit_classifier(standard).logits(standard)
    return _enlarged(index[told], logits[torch.from_numpy(told)], "border")


@torch.no_grad()
def bordered(images: np.ndarray) -> Tensor | None:
    """Frozen features (n, C, CELLS, CELLS) of images (n, S, S, 3) uint8; None where the package is not installed."""
    try:
        network = _network()
    except Exception:  # a package that is missing, torn or of another version can fail anywhere inside it
        return None
    found = []
    for part in _parts(images):
        batch = torch.from_numpy(np.ascontiguousarray(part)).permute(0, 3, 1, 2).float() / 127.5 - 1
        if batch.shape[-2:] != (SEEN, SEEN):
            batch = F.interpolate(batch, size=(SEEN, SEEN), mode="bilinear", antialias=True, align_corners=False)
        found.append(network.stacked(network(batch), CELLS))
    return torch.cat(found)


@cache
def _network() -> Backbone:
    return Backbone(NAME, SEEN)


def _parts(images: np.ndarray | Tensor) -> list[np.ndarray | Tensor]:
    """Images a few at a time."""
    return [images[first : first + AT_ONCE] for first in range(0, len(images), AT_ONCE)]


def find(split: Split, model: PosePriorLearner | None = None, limit: int = LIMIT) -> Foreground | None:
    """What is object in at most `limit` images of a split: by masks, else motion, else `model`, else the border.

    Motion comes before a model's own backbone, as the model was trained by the latter. None if nothing tells.
    """
    found = by_masks(split, limit) or by_motion(split, limit)
    if found is not None:
        return found
    return by_look(split, model, np.concatenate(sampled(split, limit)))


def by_look(split: Split, model: PosePriorLearner | None, index: np.ndarray) -> Foreground | None:
    """What looks like an object in the images of a split at positions (n,): by `model`, else by the border."""
    images = np.asarray(split.images[index])
    found = (by_model(model, images) if model is not None else None) or by_border(images)
    return None if found is None else found._replace(rows=index[found.rows])


def foreground_share(
    model: PosePriorLearner, images: np.ndarray | Tensor, keypoints: np.ndarray | None = None
) -> float | None:
    """Share, from 0 to 1, of the keypoints that are on what is object in images; None if that cannot be told.

    images as `estimate` takes them, uint8 (B, H, W, 3) or float (B, 3, H, W) in [-1, 1]; at most LIMIT evenly spread
    ones are looked at, so the frames of a video are given in order. keypoints (B, N, 2) in [-1, 1], else the model's.
    What is object is told by what moves, if these are frames of one video whose camera stands; else by the model's
    backbone; else by what differs from the border.
    Raises PplkitError for images of another shape or type.
    """
    index = spread(len(images), LIMIT)
    if not len(index):
        return None
    prepared = model.prepare(images[index])
    square = ((prepared.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    masks = moving(square)
    found = None if masks is None else _kept(np.arange(len(index)), masks, "motion")
    found = found or by_model(model, prepared) or by_border(square)
    if found is None:
        return None
    points = model.estimate(prepared).keypoints.cpu().numpy() if keypoints is None else np.asarray(keypoints)[index]
    return found.shares(points[found.rows])[0]


def _kept(index: np.ndarray, masks: np.ndarray, by: str) -> Foreground | None:
    """Without the images in which nothing is object; None if no image is left."""
    there = (masks > 127).any((1, 2))
    return Foreground(index[there], masks[there], by) if there.any() else None


def _enlarged(index: np.ndarray, logits: Tensor, by: str) -> Foreground | None:
    """Object where maps (n, h, h), interpolated, are above 0."""
    fine = F.interpolate(logits[:, None].float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    return _kept(index, np.where(fine.numpy() > 0, 255, 0).astype(np.uint8), by)
