"""What a trained model does, in numbers from which `doctor` tells what went wrong; nothing here judges.

Lengths are in image sides, shares from 0 to 1. Keypoints are those of a single view of each image, whatever
`tta_views` is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pplkit.data.dataset import Dataset, Split
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation import memory_analysis as prototypes
from pplkit.geometry import coverage as measures
from pplkit.geometry.coordinates import mirror, sides_per_unit, view_transforms, warp
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.batches import Batches
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import reconstruction_loss
from pplkit.models.prior.model import PosePriorLearner

LIMIT = 128  # images that are looked at
AT_ONCE = 32
SHIFT = 0.15  # [-1, 1] units by which images are moved to see whether keypoints go along
TINY = 1e-9
Numbers = dict[str, float]


@torch.no_grad()
def placed(model: PosePriorLearner, images: Tensor) -> Tensor:
    """Keypoints (n, N, 2) of images (n, 3, S, S) in [-1, 1], by the regressor alone."""
    return torch.cat([model.regress(part)[3] for part in images.split(AT_ONCE)])


def of_keypoints(model: PosePriorLearner, split: Split) -> Numbers:
    """How keypoints lie, on at most LIMIT images of a split.

    `outside`: share outside the image; `off_object`, where there are masks: share off the object, and `strayed`: the
    same, divided by that of all pixels; `extent`: root mean square distance from their middle; `variation`: the same
    from the mean pose; `breadth`: see there; `following`: how far keypoints go along with an image that is moved, in
    parts of the way.
    `mixed`, where training mirrors: see there. `unused`, `shift`, `offset_all` and `offset_used`: see
    `prototypes.unused` and `prior_offsets`; `harm` is the shift, if it is one away from the mean pose, else 0.
    """
    index = evenly_spaced(split, LIMIT)
    images = model.prepare(np.asarray(split.images[index]))
    keypoints = placed(model, images)
    points, side = keypoints.cpu().numpy(), sides_per_unit(images.shape[-1])
    found: Numbers = {"outside": float((np.abs(points) > 1).any(-1).mean())}
    if split.masks is not None:
        masks = np.asarray(split.masks[index])
        found["off_object"] = 1 - measures.on_object(points, masks)
        found["strayed"] = found["off_object"] / max(TINY, float((masks <= 127).mean()))
    for name, middle in (("extent", points.mean(1, keepdims=True)), ("variation", points.mean(0))):
        found[name] = side * float(np.sqrt(np.square(points - middle).sum(-1).mean()))
    found["breadth"] = breadth(points)
    found["following"] = following(model, images, keypoints)
    if model.config.flip:
        others = mirror(placed(model, images.flip(-1)))
        found["mixed"] = mixed(side * points, side * others.cpu().numpy())
    unused, shift, _ = prototypes.unused(model, prototypes.taken(model, points))
    offsets = {f"offset_{name}": side * away for name, away in prototypes.prior_offsets(model, points).items()}
    harm = side * shift * (offsets["offset_all"] > offsets["offset_used"])
    return {**found, "unused": unused, "shift": side * shift, **offsets, "harm": harm}


def breadth(keypoints: np.ndarray) -> float:
    """How broad poses (n, N, 2) are: 0 = each lies on one line, 0.71 = as broad as long, no number = all in one place.

    Root mean square distance from the line that fits each pose best, in parts of that from its middle.
    """
    middle = keypoints - keypoints.mean(1, keepdims=True, dtype=np.float64)
    spread = np.linalg.eigvalsh(middle.swapaxes(1, 2) @ middle)  # squares across the line and along it
    total = float(spread.sum())
    return math.sqrt(max(0.0, float(spread[:, 0].sum())) / total) if total > TINY else math.nan


def following(model: PosePriorLearner, images: Tensor, keypoints: Tensor) -> float:
    """How far keypoints (n, N, 2) go along when images (n, 3, S, S) are moved by SHIFT: 0 = they stay, 1 = all the way.

    The directions go round; what comes in at a border is the image mirrored there.
    """
    angles = 2 * math.pi * torch.arange(len(images)) / len(images)
    way = SHIFT * torch.stack((angles.cos(), angles.sin()), 1)
    moves = view_transforms(0 * angles, 1 + 0 * angles, -way, torch.zeros(len(images), dtype=torch.bool))
    moved = placed(model, warp(images, moves.to(images.device))) - keypoints
    return float((moved * way[:, None].to(moved)).sum(-1).mean() / SHIFT**2)


def mixed(keypoints: np.ndarray, others: np.ndarray) -> float:
    """How far images disagree about which keypoints change their names when mirrored.

    keypoints (n, N, 2) of the images in image sides, `others` of the mirrored images, mirrored back.
    The mean distance if all images pair keypoints in the same way, less that if each does as fits it best.
    """
    costs = np.linalg.norm(keypoints[:, :, None] - others[:, None], axis=-1)
    each = float(np.mean([cost[linear_sum_assignment(cost)].mean() for cost in costs]))
    together = costs.mean(0)
    return float(together[linear_sum_assignment(together)].mean()) - each


def of_links(connectivity: np.ndarray, strong: Sequence[tuple[int, int]], thickness: float, image_size: int) -> Numbers:
    """How the weight of links W (N, N) is shared out, and whether they are drawn; `strong` are the strong links.

    `strongest`: the largest weight; `top`: its share of all; `effective`: how many links of equal weight would be as
    evenly shared, (ΣW)² / ΣW², for each keypoint; `unlinked`: share of the keypoints without a strong link; `width`:
    root of the thickness in pixels.
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


def of_paintings(model: PosePriorLearner, train: Split, shown: Split, step: int) -> Numbers:
    """How well the decoder paints, and from what; see `painted` for the distances, which are of `shown` images.

    `told`: share of the distance that the right link map saves over another image's; `alone`: distance of paintings
    from another image's link map, in parts of that between two images; `gap`: distance of `shown` images' paintings in
    parts of that of training images'.
    """
    found = painted(model, shown, step)
    found["told"] = 1 - found["own"] / max(TINY, found["swapped"])
    found["alone"] = found["swapped"] / max(TINY, found["another"])
    if shown is not train:
        found["gap"] = found["own"] / max(TINY, painted(model, train, step)["own"])
    return found


@torch.no_grad()
def painted(model: PosePriorLearner, split: Split, step: int) -> Numbers:
    """How far paintings are from at most LIMIT images of a split, in the features of the fixed random network.

    `own`: painted from reference and link map, as in training after `step` steps; `swapped`: with the link map of
    another image; `empty`: with no link drawn. For comparison, the distance of `another` image, and of the `reference`
    as it is. `change`: mean difference, in [0, 1], between the pixels of own and swapped paintings.
    """
    config = model.config
    still = config.replace(batch_size=max(2, min(LIMIT, len(split))), max_rotation=0.0, max_shift=0.0, flip=False)
    with Batches(split, still.replace(weight_equivariance=0.0), model.alpha.device, stream=True) as batches:
        batch = batches(0)
    if step <= config.coarse_fraction * config.steps and config.coarse_fraction:
        batch = batch.halved()
    keypoints = placed(model, batch.inputs)
    heats, own = _painted(model, keypoints, batch.reference)
    swapped = _decoded(model, batch.reference, heats.roll(1, 0))
    shown = {
        "own": own,
        "swapped": swapped,
        "empty": _decoded(model, batch.reference, 0 * heats),
        "another": batch.target.roll(1, 0),
        "reference": batch.reference,
    }
    features = perceptual_features("random", 0)
    assert features is not None
    features = features.to(batch.target.device)
    found = {name: float(reconstruction_loss(features, batch.target, picture)) for name, picture in shown.items()}
    return {**found, "change": float((own - swapped).abs().mean()) / 2}


def _painted(model: PosePriorLearner, keypoints: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    parts = zip(keypoints.split(AT_ONCE), reference.split(AT_ONCE), strict=True)
    heats, pictures = zip(*(model.decode(*part) for part in parts), strict=True)
    return torch.cat(heats), torch.cat(pictures)


def _decoded(model: PosePriorLearner, reference: Tensor, heats: Tensor) -> Tensor:
    parts = zip(reference.split(AT_ONCE), heats.split(AT_ONCE), strict=True)
    return torch.cat([model.decoder(model.alpha * some, heat) for some, heat in parts])


def not_finite(model: PosePriorLearner) -> int:
    """How many numbers of a model's weights are not finite."""
    return sum(int((~value.isfinite()).sum()) for value in model.state_dict().values())


def of_data(data: Dataset) -> Numbers:
    """`images` to learn from, and their `variety`: mean difference of two of them, in [0, 1]."""
    train = data["train"]
    some = np.asarray(train.images[evenly_spaced(train, LIMIT)]).astype(np.float32) / 255
    return {"images": len(train), "variety": float(np.abs(some - np.roll(some, 1, 0)).mean())}


def of_training(config: Config, rows: Sequence[Mapping[str, Any]], saved: int = 0, gave_up: bool = False) -> Numbers:
    """What the lines of metrics.jsonl say of a training whose last checkpoint is of step `saved`, and that gave up.

    `done`: share of the steps; `diverged`: 1 if it gave up and was not done anew; `skipped`: share of the steps left
    out, as their numbers were not finite; `seen`: images shown; `rise`: how many times the reconstruction loss of the
    last tenth of the steps is that of the best tenth. Where painting begins coarse, steps at full resolution alone
    count, so that a tenth may be shorter.
    """
    steps = max(saved, rows[-1]["step"] if rows else 0)
    skipped = sum(row.get("skipped", 0) for row in rows) / max(1, steps)
    found: Numbers = {"done": steps / config.steps, "skipped": skipped, "seen": steps * config.batch_size}
    found["diverged"] = float(gave_up and steps < config.steps)
    fine = [row for row in rows if row["step"] > config.coarse_fraction * config.steps] or list(rows)
    curve = np.array([row.get("reconstruction", row.get("loss", math.nan)) for row in fine])
    length = min(max(1, len(rows) // 10), len(fine) // 2)
    if length:  # two lines at least
        tenths = np.convolve(curve, np.ones(length) / length, "valid")
        found["rise"] = float(tenths[-1] / tenths.min())
    return found
