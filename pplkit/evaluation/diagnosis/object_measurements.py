"""What keypoints have to do with the object, and how it lies in the images, in numbers; without labels.

As `symptoms`: nothing here judges. Where the object is, `foregrounds` says. Lengths are in image sides, shares from 0
to 1. Keypoints are those of a single look at each image.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from pplkit.data.dataset import Dataset, Split
from pplkit.data.motion_masks import FEWEST
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation.diagnosis.measurements import TINY, Numbers, placed
from pplkit.geometry.coordinates import apply_affine, sides_per_unit, view_transforms, warp
from pplkit.inference import foreground as foregrounds
from pplkit.inference.foreground import Foreground
from pplkit.models.layers.saliency import DISTINCT, distinctness
from pplkit.models.prior.model import PosePriorLearner

MOVES = 0.02  # image sides that the object must move for a keypoint to be said to stand
STILL = 0.1  # of the object's motion: what moves less stands still; true joints of puppets move 0.3 and more
SHORTER = 0.6  # a change of names is a swap if it leaves at most this of the way; true joints never do, in 6,000 pairs
LEAST_WAY = 0.02  # image sides that it must save, in the mean of all keypoints
BLOCK, BLOCKS = 9, 14  # frames in a row that are looked at, and how many such rows
LEAST_PAIRS = 8
TURNED = 1.5  # radians of a training's turns, from which on a quarter turn is nothing new to the model
LIMIT = 64  # images that are turned
TOUCHES = 0.05  # share of the border that the object covers where it is cut off
EXTENT = 0.02  # quantile of the places of an object's pixels at which its square begins
JOIN = 2  # cells between parts of one object
DOUBTED = 0.3  # of `off_foreground` by motion, above which the look of the object is asked as well
LIMIT_SEEN = 24  # single images that are compared with their border


def of_object(model: PosePriorLearner, split: Split) -> tuple[Numbers, dict[str, list[int]]]:
    """How keypoints lie and move beside the object, in some images of a split; and the numbers of those that stand.

    `on_foreground`: share of the keypoints on what is object, without masks; `off_foreground`: share off it, divided by
    that of all cells, 1 = as by chance. Where motion tells the object and many keypoints are off it, the look of the
    object is asked as well, and the better answer counts. Both are left out where there are masks, see `symptoms`.
    `still`, of videos in which the object moves: how many keypoints stand still; `slowest`: how much the one that moves
    least does, in parts of the object's motion; see `stillness`. `exchanged`, of videos: share of pairs of neighbouring
    frames between which keypoints change names; `exchanged_turned`, where the model knows turns by TURNED: share of
    pairs of turned copies of an image; see `swaps`. The second value is {"still": numbers of keypoints, from 0}.
    """
    found = foregrounds.find_foreground(split, model)
    videos = foregrounds.sample(split)
    index = np.concatenate(videos)
    points = points_of(model, split, index)
    numbers: Numbers = {}
    if found is not None and found.by != "masks":
        numbers |= on_foreground(found, points[np.searchsorted(index, found.rows)])
        if found.by == "motion" and numbers["off_foreground"] > DOUBTED:
            other = foregrounds.by_appearance(split, model, index)
            again = on_foreground(other, points[np.searchsorted(index, other.rows)]) if other is not None else numbers
            numbers = min(numbers, again, key=lambda one: one["off_foreground"])
    named: dict[str, list[int]] = {}
    if split.videos is not None:
        side = sides_per_unit(model.config.image_size)
        parts = np.split(side * points, np.cumsum([len(video) for video in videos])[:-1])
        moved = stillness(parts, _travel(found, videos))
        if moved is not None:
            named["still"] = np.flatnonzero(moved < STILL).tolist()
            numbers |= {"still": len(named["still"]), "slowest": float(moved.min())}
        numbers |= of_neighbours(model, split)
    return numbers | of_turns(model, split), named


def on_foreground(found: Foreground, points: np.ndarray) -> Numbers:
    """`on_foreground` and `off_foreground` of keypoints (n, N, 2) in [-1, 1] of the images of `found`."""
    on, area = found.fractions(points)
    return {"on_foreground": on, "off_foreground": (1 - on) / max(TINY, 1 - area)}


def points_of(model: PosePriorLearner, split: Split, index: np.ndarray) -> np.ndarray:
    """Keypoints (n, N, 2) in [-1, 1] of the images of a split at positions (n,)."""
    return placed(model, model.prepare(np.asarray(split.images[index]))).cpu().numpy()


def stillness(videos: Sequence[np.ndarray], travel: float = 0.0) -> np.ndarray | None:
    """How much each keypoint moves, (N,), in parts of the object's motion; None if the object hardly moves.

    `videos` hold keypoints (T, N, 2) in image sides; those of fewer than FEWEST frames are left out. A keypoint's
    motion is the root mean square distance from its middle in the video; the object's that of its middle, `travel`, or
    that of the median keypoint, whichever is more.
    """
    long = [points for points in videos if len(points) >= FEWEST]
    if not long:
        return None
    squares = np.concatenate([np.square(points - points.mean(0)).sum(-1) for points in long])
    moved = np.sqrt(squares.mean(0))
    motion = max(travel, float(np.median(moved)))
    return moved / motion if motion >= MOVES else None


def _travel(found: Foreground | None, videos: Sequence[np.ndarray]) -> float:
    """Root mean square distance of what moves from its middle in each video; 0 where only the look tells the object."""
    if found is None or found.by not in ("masks", "motion"):
        return 0.0
    squares = []
    for video in videos:
        masks = found.masks[np.isin(found.rows, video)]
        masks = masks[(masks > 127).any((1, 2))]
        if len(masks) >= FEWEST:
            middles = np.array([ndimage.center_of_mass(mask) for mask in masks]) / masks.shape[-1]
            squares.append(np.square(middles - middles.mean(0)).sum(-1))
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0


def swaps(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether keypoints change names between two poses, bool (n,), of poses (n, N, 2) in image sides.

    They do where other names, one for each, leave at most SHORTER of the way of all keypoints together, and save
    LEAST_WAY of a side in the mean.
    """
    made = np.zeros(len(before), bool)
    for i, (first, second) in enumerate(zip(before, after, strict=True)):
        ways = np.linalg.norm(first[:, None] - second[None], axis=-1)
        own, best = float(np.trace(ways)), float(ways[linear_sum_assignment(ways)].sum())
        made[i] = best <= SHORTER * own and own - best >= LEAST_WAY * len(ways)
    return made


def of_neighbours(model: PosePriorLearner, split: Split) -> Numbers:
    """`exchanged` of the neighbouring frames of BLOCKS rows of BLOCK frames, see `of_object`; none if there are few."""
    assert split.videos is not None
    videos = np.asarray(split.videos)
    starts = np.unique(np.linspace(0, max(0, len(videos) - BLOCK), BLOCKS).round().astype(int))
    index = np.unique(np.concatenate([np.arange(start, min(start + BLOCK, len(videos))) for start in starts]))
    pairs = np.flatnonzero((np.diff(index) == 1) & (videos[index[:-1]] == videos[index[1:]]))
    if len(pairs) < LEAST_PAIRS:
        return {}
    points = sides_per_unit(model.config.image_size) * points_of(model, split, index)
    return {"exchanged": float(swaps(points[pairs], points[pairs + 1]).mean())}


@torch.no_grad()
def of_turns(model: PosePriorLearner, split: Split) -> Numbers:
    """`exchanged_turned` of images turned a quarter to the left, not at all and to the right, compared two by two.

    Left and right are half a turn apart. Empty where the training turned images by less than TURNED.
    """
    if model.config.max_rotation < TURNED:
        return {}
    images = model.prepare(np.asarray(split.images[evenly_spaced(split, LIMIT)]))
    side, poses = sides_per_unit(images.shape[-1]), []
    for turn in (-math.pi / 2, 0.0, math.pi / 2):
        turns = torch.full((len(images),), turn)
        view = view_transforms(turns, 1 + 0 * turns, torch.zeros(len(images), 2), turns > math.pi).to(images.device)
        poses.append(side * apply_affine(view[:, None], placed(model, warp(images, view))).cpu().numpy())
    pairs = ((0, 1), (1, 2), (0, 2))
    return {"exchanged_turned": float(np.mean([swaps(poses[i], poses[j]) for i, j in pairs]))}


def of_images(data: Dataset) -> Numbers:
    """How the object lies in the training images, as far as that can be told without labels.

    `filled`: share of the image that a square around the object takes up, the median; `cut`: share of the images in
    which it covers more than TOUCHES of the border. Both of masks, or of what moves where the camera stands. Where
    neither tells: `indistinct`: share of the images whose inside does not differ from their border, see `saliency`.
    """
    train = data["train"]
    found = foregrounds.by_masks(train) or foregrounds.by_motion(train)
    if found is not None:
        return of_foreground(found)
    index = np.concatenate(foregrounds.sample(train))
    features = foregrounds.frozen_features(np.asarray(train.images[index[evenly_spaced(index, LIMIT_SEEN)]]))
    return (
        {} if features is None else {"indistinct": float(np.mean([distinctness(one) < DISTINCT for one in features]))}
    )


def of_foreground(found: Foreground) -> Numbers:
    """`filled` and `cut` of what is known to be object, see `of_images`; none where nothing is."""
    masks = found.masks[(found.masks > 127).any((1, 2))] > 127
    if not len(masks):
        return {}
    edge = np.ones(masks.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    squares = [_square(mask) / mask.size for mask in masks]
    return {"filled": float(np.median(squares)), "cut": float((masks[:, edge].mean(1) > TOUCHES).mean())}


def _square(mask: np.ndarray) -> float:
    """Area in cells of a square around the largest blob of a mask (h, h) bool, a few outermost cells left out."""
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=JOIN))
    sizes = ndimage.sum(mask, labels, np.arange(1, count + 1))
    y, x = np.nonzero(mask & (labels == 1 + int(np.argmax(sizes))))
    extent = max(np.ptp(np.quantile(places, [EXTENT, 1 - EXTENT])) for places in (y, x)) + 1
    return float(min(extent, len(mask)) ** 2)
