"""Where the object is in images, without labels: by motion, by a model's own backbone, or unlike the image border.

For judging models and data, not for training. Each way gives no answer rather than a wrong one: motion counts only
before a standing camera, the border only where the inside of most images differs from it. Maps have SIDE x SIDE cells.

On built-in puppets, whose masks cover 0.17 to 0.18 of the cells (64 px, 60 videos of 16 frames), motion takes 0.14 to
0.17 of them (precision 0.76 to 0.79, recall 0.60 to 0.77), the border 0.28 to 0.30 (precision 0.57 to 0.60, recall 0.89
to 0.99). So motion tells the size of an object, and the border does not.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from pplkit.data.dataset import Split
from pplkit.data.motion_masks import SIDE, as_masks, moving
from pplkit.data.sampling import evenly_spaced
from pplkit.geometry.coverage import on_object
from pplkit.models.layers import saliency
from pplkit.models.layers.objectness import fit_classifier
from pplkit.models.layers.saliency import DISTINCT, distinctness
from pplkit.models.prior.model import PosePriorLearner

MAX_IMAGES = 64
MAX_FRAMES = 16  # of a video, where there are many videos
MAX_BORDER_IMAGES = 48
MARGIN = 2  # cells around what moves that count as on it
MIN_VIDEOS = 1 / 3  # fraction of the videos in which motion must be found
BATCH_SIZE = 8


class Foreground(NamedTuple):
    """The object in n images."""

    rows: np.ndarray  # (n,) their positions in the split, or in the images given
    masks: np.ndarray  # (n, SIDE, SIDE) uint8, 255 = object
    by: str  # "masks", "motion", "model" or "border"

    def fractions(self, keypoints: np.ndarray) -> tuple[float, float]:
        """The fraction of keypoints (n, N, 2) in [-1, 1] of the same images on the object, and that of all cells.

        By motion, MARGIN cells around the object count as well: parts that hardly move are missed.
        """
        masks = self.masks
        if self.by == "motion":
            masks = np.stack([255 * ndimage.binary_dilation(mask > 127, iterations=MARGIN) for mask in masks])
        return on_object(keypoints, masks), float((masks > 127).mean())


def sample(split: Split, limit: int = MAX_IMAGES) -> list[np.ndarray]:
    """Positions of at most `limit` images: those of evenly spaced frames for each of evenly spaced videos, in order.

    A single list for a split without videos.
    """
    if split.videos is None:
        return [evenly_spaced(split, limit)]
    _, starts, counts = np.unique(split.videos, return_index=True, return_counts=True)
    length = min(int(np.clip(limit // len(starts), MAX_FRAMES, limit)), int(counts.max()))
    videos = evenly_spaced(starts, max(1, limit // length))
    return [starts[video] + evenly_spaced(range(counts[video]), length) for video in videos]


def by_masks(split: Split, limit: int = MAX_IMAGES) -> Foreground | None:
    """The object by the masks of a split, in at most `limit` images."""
    if split.masks is None:
        return None
    rows = np.concatenate(sample(split, limit))
    return Foreground(rows, as_masks(np.asarray(split.masks[rows]) > 127), "masks")


def by_motion(split: Split, limit: int = MAX_IMAGES) -> Foreground | None:
    """What moves in the videos of a split, in at most `limit` frames, see `moving`; frames without motion are left out.

    None unless motion is found in the fraction MIN_VIDEOS of the videos.
    """
    if split.videos is None:
        return None
    videos = sample(split, limit)
    motions = [(rows, masks) for rows in videos if (masks := moving(np.asarray(split.images[rows]))) is not None]
    if len(motions) < max(1.0, MIN_VIDEOS * len(videos)):
        return None
    rows, masks = (np.concatenate(part) for part in zip(*motions, strict=True))
    return _not_empty(rows, masks, "motion")


def by_model(model: PosePriorLearner, images: np.ndarray | Tensor) -> Foreground | None:
    """The object by the backbone of a model in images as `estimate` takes them; None if it has no backbone.

    Also None where most images hardly differ from their own border, see `saliency`; images without an object are left
    out.
    """
    if getattr(model, "backbone", None) is None:
        return None
    assert model.backbone is not None
    probabilities, distances = list[Tensor](), list[float]()
    with torch.no_grad():
        for first in range(0, len(images), BATCH_SIZE):
            features = model.regressor_input(model.prepare(images[first : first + BATCH_SIZE]))
            probabilities.append(model.find_object(features).float().cpu())
            if (model.config.backbone, model.config.image_size) == (saliency.NAME, saliency.SIDE):  # as for DISTINCT
                distances += map(distinctness, model.backbone.stacked(features, model.backbone.middle).cpu())
    if distances and np.mean(np.array(distances) >= DISTINCT) < 0.5:
        return None
    return _upsampled(np.arange(len(images)), torch.cat(probabilities) - 0.5, "model")


def by_border(images: np.ndarray) -> Foreground | None:
    """What differs from the border in at most MAX_BORDER_IMAGES evenly spaced images of (n, S, S, 3) uint8.

    None if the package of the backbone is missing, or if less than half of the images differ from their border.
    """
    rows = evenly_spaced(images, MAX_BORDER_IMAGES)
    features = frozen_features(images[rows])
    if features is None:
        return None
    distinct = np.array(list(map(distinctness, features))) >= DISTINCT
    if distinct.mean() < 0.5:
        return None
    mean, deviation = features.mean((0, 2, 3), keepdim=True), features.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
    standard = (features - mean) / deviation
    logits = fit_classifier(standard).logits(standard)
    return _upsampled(rows[distinct], logits[torch.from_numpy(distinct)], "border")


def frozen_features(images: np.ndarray) -> Tensor | None:
    """As `saliency.features`, of images (n, S, S, 3) uint8; None where the package of the network is missing."""
    try:
        saliency.network()
    except Exception:  # a missing or damaged package can fail anywhere inside
        return None
    return saliency.features(images)


def find_foreground(split: Split, model: PosePriorLearner | None = None, limit: int = MAX_IMAGES) -> Foreground | None:
    """The object in at most `limit` images of a split: by masks, else motion, else `model`, else the border.

    Motion comes before a model's own backbone, by which the model was trained. None if nothing tells.
    """
    foreground = by_masks(split, limit) or by_motion(split, limit)
    return foreground or by_appearance(split, model, np.concatenate(sample(split, limit)))


def by_appearance(split: Split, model: PosePriorLearner | None, rows: np.ndarray) -> Foreground | None:
    """What looks like an object in the images of a split at positions (n,): by `model`, else by the border."""
    images = np.asarray(split.images[rows])
    foreground = (by_model(model, images) if model is not None else None) or by_border(images)
    return None if foreground is None else foreground._replace(rows=rows[foreground.rows])


def foreground_fraction(
    model: PosePriorLearner, images: np.ndarray | Tensor, keypoints: np.ndarray | None = None
) -> float | None:
    """The fraction, 0 to 1, of the keypoints that are on the object in images; None where the object is unknown.

    The object is what moves, if the images are frames of one video, in order, whose camera stands; else what the
    model's backbone says, else what differs from the border. Raises PplkitError for images of another shape or type.

    Args:
        model: whose keypoints are judged.
        images: as `estimate` takes them, uint8 (B, H, W, 3) or float (B, 3, H, W) in [-1, 1]; at most MAX_IMAGES
            evenly spaced ones are used.
        keypoints: (B, N, 2) in [-1, 1]; estimated by the model if not given.
    """
    rows = evenly_spaced(images, MAX_IMAGES)
    if not len(rows):
        return None
    prepared = model.prepare(images[rows])
    pixels = ((prepared.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    masks = moving(pixels)
    foreground = None if masks is None else _not_empty(np.arange(len(rows)), masks, "motion")
    foreground = foreground or by_model(model, prepared) or by_border(pixels)
    if foreground is None:
        return None
    points = model.estimate(images[rows]).keypoints.cpu().numpy() if keypoints is None else np.asarray(keypoints)[rows]
    return foreground.fractions(points[foreground.rows])[0]


def _not_empty(rows: np.ndarray, masks: np.ndarray, by: str) -> Foreground | None:
    """Without the images that have no object; None if no image is left."""
    full = (masks > 127).any((1, 2))
    return Foreground(rows[full], masks[full], by) if full.any() else None


def _upsampled(rows: np.ndarray, logits: Tensor, by: str) -> Foreground | None:
    """The object where maps (n, h, h), interpolated, are above 0."""
    fine = F.interpolate(logits[:, None].float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    return _not_empty(rows, np.where(fine.numpy() > 0, 255, 0).astype(np.uint8), by)
