"""Numbers of a training, its model and its images, from which `report` tells what went wrong; nothing here judges.

Lengths are in image sides, fractions from 0 to 1. Keypoints are those of a single pass over each image, whatever the
setting `tta_views` is. Where the object is without masks, `inference.foreground` says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pplkit.data.dataset import Dataset, Split
from pplkit.data.motion_masks import FEWEST
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation import memory_analysis
from pplkit.geometry import coverage
from pplkit.geometry.coordinates import apply_affine, mirror, sides_per_unit, view_transforms, warp
from pplkit.inference import foreground
from pplkit.inference.foreground import Foreground
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.layers.saliency import DISTINCT, distinctness
from pplkit.models.prior.batches import Batches
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import reconstruction_loss
from pplkit.models.prior.model import PosePriorLearner

MAX_IMAGES = 128
MAX_ROTATED_IMAGES = 64
MAX_BORDER_IMAGES = 24  # single images that are compared with their border
BATCH_SIZE = 32
EPSILON = 1e-9
SHIFT = 0.15  # [-1, 1] units by which images are moved to see whether keypoints follow
LEAST_MOTION = 0.02  # image sides that the object must move for a keypoint to count as still
STILL_FRACTION = 0.1  # of the object's motion: what moves less is still; true joints of puppets move 0.3 and more
SWAP_FRACTION = 0.6  # a change of names is a swap if it leaves at most this of the way; no true joints do, of 6,000
LEAST_SWAP_GAIN = 0.02  # image sides that it must save, in the mean of all keypoints
BLOCK_FRAMES, MAX_BLOCKS = 9, 14  # consecutive frames that are compared, and how many such blocks
LEAST_PAIRS = 8
LEAST_KEYPOINTS = 8  # from which on they are enough to reach all parts of an object
LEAST_ROTATION = 1.5  # radians of a training's rotations, from which on the model knows a quarter turn
CUT_FRACTION = 0.05  # of the border that the object covers where it is cut off
EXTENT_QUANTILE = 0.02  # of the positions of an object's pixels at which its square begins
JOIN_CELLS = 2  # between parts of one object
LOOK_ABOVE = 0.3  # of `off_foreground` by motion, above which the object's look is asked as well
Numbers = dict[str, float]


@torch.no_grad()
def regress_keypoints(model: PosePriorLearner, images: Tensor) -> Tensor:
    """Keypoints (n, N, 2) of images (n, 3, S, S) in [-1, 1], by the regressor alone."""
    return torch.cat([model.regress(part)[3] for part in images.split(BATCH_SIZE)])


def _split_keypoints(model: PosePriorLearner, split: Split, index: np.ndarray) -> np.ndarray:
    """Keypoints (n, N, 2) in [-1, 1] of the images of a split at positions (n,)."""
    return regress_keypoints(model, model.prepare(np.asarray(split.images[index]))).cpu().numpy()


def measure_keypoints(model: PosePriorLearner, split: Split) -> Numbers:
    """How keypoints lie, on at most MAX_IMAGES images of a split.

    `outside`: fraction outside the image; `off_object`, where there are masks: fraction off the object, and `strayed`:
    the same, divided by that of all pixels; `extent`: root mean square distance from their center; `variation`: the
    same from the mean pose; `breadth`: see there; `following`: see `shift_response`; `mixed`, where training mirrors:
    see `mirror_disagreement`. `unused` and `shift`: see `memory_analysis.dead_codes`, `offset_all` and `offset_used`:
    see `prior_offsets`; `harm` is the shift, if it is one away from the mean pose, else 0.
    """
    index = evenly_spaced(split, MAX_IMAGES)
    images = model.prepare(np.asarray(split.images[index]))
    keypoints = regress_keypoints(model, images)
    points, side = keypoints.cpu().numpy(), sides_per_unit(images.shape[-1])
    numbers: Numbers = {"outside": float((np.abs(points) > 1).any(-1).mean())}
    if split.masks is not None:
        masks = np.asarray(split.masks[index])
        numbers["off_object"] = 1 - coverage.on_object(points, masks)
        numbers["strayed"] = numbers["off_object"] / max(EPSILON, float((masks <= 127).mean()))
    for name, center in (("extent", points.mean(1, keepdims=True)), ("variation", points.mean(0))):
        numbers[name] = side * float(np.sqrt(np.square(points - center).sum(-1).mean()))
    numbers["breadth"] = breadth(points)
    numbers["following"] = shift_response(model, images, keypoints)
    if model.config.flip:
        mirrored = mirror(regress_keypoints(model, images.flip(-1)))
        numbers["mixed"] = mirror_disagreement(side * points, side * mirrored.cpu().numpy())
    dead = memory_analysis.dead_codes(model, memory_analysis.assign(model, points))
    offsets = memory_analysis.prior_offsets(model, points)
    numbers |= {"unused": dead.fraction, "shift": side * dead.shift}
    numbers |= {f"offset_{rule}": side * offset for rule, offset in offsets.items()}
    return numbers | {"harm": numbers["shift"] * (numbers["offset_all"] > numbers["offset_used"])}


def breadth(keypoints: np.ndarray) -> float:
    """How broad poses (n, N, 2) are: 0 = each lies on one line, 0.71 = as broad as long, NaN = all in one place.

    Root mean square distance from the line that fits each pose best, divided by that from its center.
    """
    centered = keypoints - keypoints.mean(1, keepdims=True, dtype=np.float64)
    squares = np.linalg.eigvalsh(centered.swapaxes(1, 2) @ centered)  # across the line and along it
    total = float(squares.sum())
    return math.sqrt(max(0.0, float(squares[:, 0].sum())) / total) if total > EPSILON else math.nan


def shift_response(model: PosePriorLearner, images: Tensor, keypoints: Tensor) -> float:
    """How far keypoints (n, N, 2) move when images (n, 3, S, S) are moved by SHIFT: 0 = they stay, 1 = all the way.

    Directions go round from image to image; the image mirrored at its border fills what comes in.
    """
    angles = 2 * math.pi * torch.arange(len(images)) / len(images)
    way = SHIFT * torch.stack((angles.cos(), angles.sin()), 1)
    shifts = view_transforms(0 * angles, 1 + 0 * angles, -way, torch.zeros(len(images), dtype=torch.bool))
    moved = regress_keypoints(model, warp(images, shifts.to(images.device))) - keypoints
    return float((moved * way[:, None].to(moved)).sum(-1).mean() / SHIFT**2)


def mirror_disagreement(keypoints: np.ndarray, mirrored: np.ndarray) -> float:
    """How far images disagree about which keypoints change their names when mirrored.

    keypoints (n, N, 2) of the images in image sides, `mirrored` of the mirrored images, mirrored back. The mean
    distance if all images pair keypoints in the same way, less that if each has the pairing that fits it best.
    """
    costs = np.linalg.norm(keypoints[:, :, None] - mirrored[:, None], axis=-1)
    each = float(np.mean([cost[linear_sum_assignment(cost)].mean() for cost in costs]))
    mean = costs.mean(0)
    return float(mean[linear_sum_assignment(mean)].mean()) - each


def measure_links(
    connectivity: np.ndarray, strong: Sequence[tuple[int, int]], thickness: float, image_size: int
) -> Numbers:
    """How the weight of links W (N, N) is distributed, and whether they show; `strong` are the strong links.

    `strongest`: the largest weight; `top`: its fraction of all; `effective`: the effective number of links,
    (ΣW)² / ΣW², per keypoint; `unlinked`: fraction of the keypoints without a strong link; `width`: root of the
    thickness in pixels.
    """
    weights = connectivity[np.triu_indices(len(connectivity), 1)].astype(np.float64)
    total, linked = weights.sum(), {keypoint for link in strong for keypoint in link}
    return {
        "strongest": float(weights.max()),
        "top": float(weights.max() / total),
        "effective": float(total**2 / np.square(weights).sum() / len(connectivity)),
        "unlinked": 1 - len(linked) / len(connectivity),
        "width": math.sqrt(thickness) * (image_size - 1) / 2,
    }


def measure_decoder(model: PosePriorLearner, train: Split, shown: Split, step: int) -> Numbers:
    """How well the decoder reconstructs `shown` images, and from what; distances of `decoder_distances`.

    `told`: fraction of the distance that the right link map saves over another image's; `alone`: distance with another
    image's link map, divided by that between two images; `gap`: distance of `shown` images divided by that of training
    images.
    """
    numbers = decoder_distances(model, shown, step)
    numbers["told"] = 1 - numbers["own"] / max(EPSILON, numbers["swapped"])
    numbers["alone"] = numbers["swapped"] / max(EPSILON, numbers["another"])
    if shown is not train:
        numbers["gap"] = numbers["own"] / max(EPSILON, decoder_distances(model, train, step)["own"])
    return numbers


@torch.no_grad()
def decoder_distances(model: PosePriorLearner, split: Split, step: int) -> Numbers:
    """Distances of reconstructions from at most MAX_IMAGES images, in the features of the fixed random network.

    `own`: from reference and link map, as in training after `step` steps; `swapped`: with the link map of another
    image; `empty`: with an empty link map. For comparison, the distance of `another` image, and of the `reference` as
    it is. `change`: mean difference, in [0, 1], between the pixels of own and swapped reconstructions.
    """
    config = model.config
    fixed = config.replace(batch_size=max(2, min(MAX_IMAGES, len(split))), max_rotation=0.0, max_shift=0.0, flip=False)
    with Batches(split, fixed.replace(weight_equivariance=0.0), model.alpha.device, stream=True) as batches:
        batch = batches(0)
    if step <= config.coarse_fraction * config.steps and config.coarse_fraction:
        batch = batch.halved()
    keypoints, reference = regress_keypoints(model, batch.inputs), batch.reference
    parts = zip(keypoints.split(BATCH_SIZE), reference.split(BATCH_SIZE), strict=True)
    link_maps, own = (torch.cat(part) for part in zip(*(model.decode(*part) for part in parts), strict=True))
    swapped = _decode(model, reference, link_maps.roll(1, 0))
    images = {
        "own": own, "swapped": swapped, "empty": _decode(model, reference, 0 * link_maps),
        "another": batch.target.roll(1, 0), "reference": reference,
    }  # fmt: skip
    features = perceptual_features("random", 0)
    assert features is not None
    features = features.to(batch.target.device)
    numbers = {name: float(reconstruction_loss(features, batch.target, image)) for name, image in images.items()}
    return {**numbers, "change": float((own - swapped).abs().mean()) / 2}


def _decode(model: PosePriorLearner, reference: Tensor, link_maps: Tensor) -> Tensor:
    parts = zip(reference.split(BATCH_SIZE), link_maps.split(BATCH_SIZE), strict=True)
    return torch.cat([model.decoder(model.alpha * image, link_map) for image, link_map in parts])


def count_nonfinite(model: PosePriorLearner) -> int:
    """How many numbers of a model's weights are not finite."""
    return sum(int((~value.isfinite()).sum()) for value in model.state_dict().values())


def measure_variety(data: Dataset) -> Numbers:
    """`images` to learn from, and their `variety`: mean difference of two of them, in [0, 1]."""
    train = data["train"]
    images = np.asarray(train.images[evenly_spaced(train, MAX_IMAGES)]).astype(np.float32) / 255
    return {"images": len(train), "variety": float(np.abs(images - np.roll(images, 1, 0)).mean())}


def measure_training(
    config: Config, rows: Sequence[Mapping[str, Any]], saved: int = 0, gave_up: bool = False
) -> Numbers:
    """Numbers of the lines of metrics.jsonl of a training with its last checkpoint at step `saved`.

    `done`: fraction of the steps; `diverged`: 1 if it gave up and was not repeated; `skipped`: fraction of the steps
    left out because their numbers were not finite; `seen`: images shown; `rise`: reconstruction loss of the last tenth
    of the steps divided by that of the best tenth. With a coarse start, steps at full resolution alone count, so that a
    tenth may be shorter.
    """
    steps = max(saved, rows[-1]["step"] if rows else 0)
    skipped = sum(row.get("skipped", 0) for row in rows) / max(1, steps)
    numbers: Numbers = {"done": steps / config.steps, "skipped": skipped, "seen": steps * config.batch_size}
    numbers["diverged"] = float(gave_up and steps < config.steps)
    fine = [row for row in rows if row["step"] > config.coarse_fraction * config.steps] or list(rows)
    curve = np.array([row.get("reconstruction", row.get("loss", math.nan)) for row in fine])
    length = min(max(1, len(rows) // 10), len(fine) // 2)
    if length:  # two lines at least
        tenths = np.convolve(curve, np.ones(length) / length, "valid")
        numbers["rise"] = float(tenths[-1] / tenths.min())
    return numbers


def measure_object(model: PosePriorLearner, split: Split) -> tuple[Numbers, dict[str, list[int]]]:
    """How keypoints lie on the object and move with it, in some images of a split; and which keypoints are still.

    `on_foreground`: fraction of the keypoints on the object, without masks; `off_foreground`: fraction off it, divided
    by that of all cells, 1 = as by chance. Where motion tells the object and many keypoints are off it, the object's
    look is asked as well, and the better answer counts. Both are left out where there are masks: `measure_keypoints`.
    `reach`, of LEAST_KEYPOINTS and more: see there.
    `still`, of videos in which the object moves: how many keypoints are still; `slowest`: the motion of the slowest
    one, divided by the object's; see `relative_motion`. `exchanged`, of videos: fraction of pairs of neighbouring
    frames between which keypoints change names; `exchanged_turned`, where training rotates by LEAST_ROTATION: fraction
    of pairs of rotated copies of an image; see `keypoint_swaps`. The second value is {"still": their indices}.
    """
    objects = foreground.find_foreground(split, model)
    videos = foreground.sample(split)
    index = np.concatenate(videos)
    points = _split_keypoints(model, split, index)
    numbers: Numbers = {}
    if objects is not None and points.shape[1] >= LEAST_KEYPOINTS:
        numbers["reach"] = reach(points[np.searchsorted(index, objects.rows)], objects.masks)
    if objects is not None and objects.by != "masks":
        numbers |= _foreground_numbers(objects, points[np.searchsorted(index, objects.rows)])
        if objects.by == "motion" and numbers["off_foreground"] > LOOK_ABOVE:
            other = foreground.by_appearance(split, model, index)
            if other is not None:
                by_look = _foreground_numbers(other, points[np.searchsorted(index, other.rows)])
                numbers = min(numbers, by_look, key=lambda answer: answer["off_foreground"])
    still: dict[str, list[int]] = {}
    if split.videos is not None:
        side = sides_per_unit(model.config.image_size)
        parts = np.split(side * points, np.cumsum([len(video) for video in videos])[:-1])
        motion = relative_motion(parts, _object_motion(objects, videos))
        if motion is not None:
            still["still"] = np.flatnonzero(motion < STILL_FRACTION).tolist()
            numbers |= {"still": len(still["still"]), "slowest": float(motion.min())}
        numbers |= _frame_swaps(model, split)
    return numbers | _rotation_swaps(model, split), still


def _foreground_numbers(objects: Foreground, points: np.ndarray) -> Numbers:
    """Of keypoints (n, N, 2) in [-1, 1] of the images of `objects`."""
    on, area = objects.fractions(points)
    return {"on_foreground": on, "off_foreground": (1 - on) / max(EPSILON, 1 - area)}


def reach(keypoints: np.ndarray, masks: np.ndarray) -> float:
    """How far keypoints (n, N, 2) in [-1, 1] spread over the objects of masks (n, h, h), object > 127; 1 = as they do.

    Root mean square distance of an image's keypoints from their center, divided by that of the object's cells from
    theirs; the median of the images. NaN if no object has two cells.
    """
    ratios = []
    for points, mask in zip(keypoints, masks, strict=True):
        cells = np.argwhere(mask > 127) / (len(mask) - 1) * 2 - 1
        if len(cells) > 1:
            ratios.append(math.sqrt(points.var(0).sum() / cells.var(0).sum()))
    return float(np.median(ratios)) if ratios else math.nan


def relative_motion(videos: Sequence[np.ndarray], travel: float = 0.0) -> np.ndarray | None:
    """How much each keypoint moves, (N,), divided by the object's motion; None if the object hardly moves.

    `videos` hold keypoints (T, N, 2) in image sides; those of fewer than FEWEST frames are left out. A keypoint's
    motion is the root mean square distance from its mean position in the video; the object's that of its center,
    `travel`, or that of the median keypoint, whichever is more.
    """
    long = [points for points in videos if len(points) >= FEWEST]
    if not long:
        return None
    motion = np.sqrt(np.concatenate([np.square(points - points.mean(0)).sum(-1) for points in long]).mean(0))
    reference = max(travel, float(np.median(motion)))
    return motion / reference if reference >= LEAST_MOTION else None


def _object_motion(objects: Foreground | None, videos: Sequence[np.ndarray]) -> float:
    """Root mean square distance of the object from its mean position in each video; 0 where only its look is known."""
    if objects is None or objects.by not in ("masks", "motion"):
        return 0.0
    squares = []
    for video in videos:
        masks = objects.masks[np.isin(objects.rows, video)]
        masks = masks[(masks > 127).any((1, 2))]
        if len(masks) >= FEWEST:
            centers = np.array([ndimage.center_of_mass(mask) for mask in masks]) / masks.shape[-1]
            squares.append(np.square(centers - centers.mean(0)).sum(-1))
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0


def keypoint_swaps(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether keypoints change names between two poses, bool (n,), of poses (n, N, 2) in image sides.

    They do where a permutation of names leaves at most SWAP_FRACTION of the way of all keypoints together, and saves
    LEAST_SWAP_GAIN of a side in the mean.
    """
    swapped = np.zeros(len(before), bool)
    for i, (first, second) in enumerate(zip(before, after, strict=True)):
        ways = np.linalg.norm(first[:, None] - second[None], axis=-1)
        own, best = float(np.trace(ways)), float(ways[linear_sum_assignment(ways)].sum())
        swapped[i] = best <= SWAP_FRACTION * own and own - best >= LEAST_SWAP_GAIN * len(ways)
    return swapped


def _frame_swaps(model: PosePriorLearner, split: Split) -> Numbers:
    """`exchanged` of the neighbouring frames of some blocks, see `measure_object`; empty if there are few."""
    videos = np.asarray(split.videos)
    starts = np.unique(np.linspace(0, max(0, len(videos) - BLOCK_FRAMES), MAX_BLOCKS).round().astype(int))
    index = np.unique(np.concatenate([np.arange(start, min(start + BLOCK_FRAMES, len(videos))) for start in starts]))
    pairs = np.flatnonzero((np.diff(index) == 1) & (videos[index[:-1]] == videos[index[1:]]))
    if len(pairs) < LEAST_PAIRS:
        return {}
    points = sides_per_unit(model.config.image_size) * _split_keypoints(model, split, index)
    return {"exchanged": float(keypoint_swaps(points[pairs], points[pairs + 1]).mean())}


@torch.no_grad()
def _rotation_swaps(model: PosePriorLearner, split: Split) -> Numbers:
    """`exchanged_turned` of images turned a quarter to the left, not at all and to the right, compared two by two."""
    if model.config.max_rotation < LEAST_ROTATION:
        return {}
    images = model.prepare(np.asarray(split.images[evenly_spaced(split, MAX_ROTATED_IMAGES)]))
    side, poses = sides_per_unit(images.shape[-1]), []
    for angle in (-math.pi / 2, 0.0, math.pi / 2):
        angles = torch.full((len(images),), angle)
        view = view_transforms(angles, 1 + 0 * angles, torch.zeros(len(images), 2), angles > math.pi).to(images.device)
        poses.append(side * apply_affine(view[:, None], regress_keypoints(model, warp(images, view))).cpu().numpy())
    pairs = ((0, 1), (1, 2), (0, 2))
    return {"exchanged_turned": float(np.mean([keypoint_swaps(poses[i], poses[j]) for i, j in pairs]))}


def measure_images(data: Dataset) -> Numbers:
    """How the object lies in the training images, measured without labels.

    `filled`: fraction of the image that a square around the object takes up, the median; `cut`: fraction of the images
    in which it covers more than CUT_FRACTION of the border. Both come from masks or, with a camera that stands still,
    from what moves. Without either: `indistinct`: fraction of the images whose inside does not differ from their
    border, see `saliency`.
    """
    train = data["train"]
    objects = foreground.by_masks(train) or foreground.by_motion(train)
    if objects is not None:
        return measure_foreground(objects)
    index = np.concatenate(foreground.sample(train))
    features = foreground.frozen_features(np.asarray(train.images[index[evenly_spaced(index, MAX_BORDER_IMAGES)]]))
    if features is None:
        return {}
    return {"indistinct": float(np.mean([distinctness(image) < DISTINCT for image in features]))}


def measure_foreground(objects: Foreground) -> Numbers:
    """`filled` and `cut` of known objects, see `measure_images`; empty where nothing is object."""
    masks = objects.masks[(objects.masks > 127).any((1, 2))] > 127
    if not len(masks):
        return {}
    edge = np.ones(masks.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    areas = [_square_area(mask) / mask.size for mask in masks]
    return {"filled": float(np.median(areas)), "cut": float((masks[:, edge].mean(1) > CUT_FRACTION).mean())}


def _square_area(mask: np.ndarray) -> float:
    """Area in cells of a square around the largest blob of a mask (h, h) bool, a few outermost cells left out."""
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=JOIN_CELLS))
    sizes = ndimage.sum(mask, labels, np.arange(1, count + 1))
    y, x = np.nonzero(mask & (labels == 1 + int(np.argmax(sizes))))
    extent = max(np.ptp(np.quantile(cells, [EXTENT_QUANTILE, 1 - EXTENT_QUANTILE])) for cells in (y, x)) + 1
    return float(min(extent, len(mask)) ** 2)
