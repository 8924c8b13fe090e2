"""What the memory holds and how poses use it: codebook usage, banks, typical poses (sections 3.1 and 3.2)."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist

from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.config import CHOICES
from pplkit.models.prior.model import PosePriorLearner

KMEANS_ROUNDS = 25  # prototypes settle sooner


class Prototypes(NamedTuple):
    """k typical poses of a set of images, the one that stands for most images first."""

    keypoints: np.ndarray  # (k, N, 2), each decoded from a combination of vectors that an image is assigned
    fractions: np.ndarray  # (k,) of the images whose pose is nearest to it; sums to 1
    images: np.ndarray  # (k,) position of an image with this combination


class DeadCodes(NamedTuple):
    """Vectors that no pose is assigned, and their effect on the prior."""

    fraction: float  # of all vectors
    shift: float  # root mean square distance, in [-1, 1] units, between T with and without them
    usage_shift: float  # the same between T from the mean of the used vectors, and from their mean weighted by usage


@torch.no_grad()
def assign(model: PosePriorLearner, keypoints: np.ndarray) -> np.ndarray:
    """The nearest vectors of poses (n, N, 2): int64 (n, banks), indices into each bank."""
    if not len(keypoints):
        return np.zeros((0, model.config.banks), int)
    encoded = model.memory.encode(torch.from_numpy(keypoints).to(model.alpha.device))
    return model.memory.nearest(encoded).cpu().numpy()


def reconstruct(model: PosePriorLearner, keypoints: np.ndarray) -> np.ndarray:
    """The memory's reconstruction T'_recon of poses T' (n, N, 2), n > 0: the same shape."""
    return _decode(model, assign(model, keypoints))


@torch.no_grad()
def _decode(model: PosePriorLearner, index: np.ndarray) -> np.ndarray:
    """Poses (n, N, 2) of combinations of vectors (n, banks)."""
    tokens = model.memory.look_up(torch.from_numpy(index).to(model.alpha.device))
    return model.memory.decode(tokens).float().cpu().numpy()


def codebook_usage(index: np.ndarray, vectors: int) -> np.ndarray:
    """How often each of a bank's `vectors` occurs in assignments (n, banks): (banks, vectors), rows sum to 1."""
    return np.stack([np.bincount(column, minlength=vectors) for column in index.T]) / len(index)


@torch.no_grad()
def dead_codes(model: PosePriorLearner, index: np.ndarray) -> DeadCodes:
    """How many vectors occur in none of the assignments (n, banks), and how far they move the prior.

    The published T is decoded from the mean of all vectors of each bank (section 3.2). It is compared with T from the
    mean of the used vectors, and with T from their mean weighted by usage.
    """
    memory = model.memory
    usage = torch.from_numpy(codebook_usage(index, model.config.vectors)).to(memory.codebook)
    used = (usage > 0) / (usage > 0).sum(-1, keepdim=True)
    weights = torch.stack((torch.full_like(usage, 1 / usage.shape[-1]), used.to(usage), usage))
    published, without, weighted = memory.decode(torch.einsum("wmk,mkd->wmd", weights, memory.codebook)).float()
    shifts = ((prior - without).square().sum(-1).mean().sqrt() for prior in (published, weighted))
    return DeadCodes(float((usage == 0).double().mean()), *map(float, shifts))


@torch.no_grad()
def prior_offsets(model: PosePriorLearner, keypoints: np.ndarray) -> dict[str, float]:
    """Distance of T from the mean of poses (n, N, 2), for T distilled from "all" vectors and from the "used" ones.

    Root mean square distance over the keypoints, in [-1, 1] units. A typical pose should lie near the mean.
    """
    mean = torch.from_numpy(keypoints.mean(0)).to(model.alpha.device)
    offsets = {rule: model.memory.distil(rule).float() - mean for rule in CHOICES["prior_from"]}
    return {rule: float(offset.square().sum(-1).mean().sqrt()) for rule, offset in offsets.items()}


@torch.no_grad()
def prior_fraction(model: PosePriorLearner, images: np.ndarray, batch_size: int = 64) -> float:
    """How much of the poses of uint8 images (n, S, S, 3) comes from the prior: see `deformation_fraction`."""
    maps = [model.regress(model.prepare(images[i : i + batch_size]))[1] for i in range(0, len(images), batch_size)]
    return deformation_fraction(torch.cat(maps).cpu().numpy(), model.keypoint_prior().cpu().numpy())


def deformation_fraction(affine: np.ndarray, prior: np.ndarray) -> float:
    """Fraction of the change of poses between images that comes from deforming the prior, not from translations.

    affine Θ = [A, b] (n, N, 2, 3), prior T (N, 2), so that T' = A T + b (section 3.1). The root mean square change of
    A T over the images, divided by that of A T and b together: 0 if b alone changes or nothing does, 1 if A T does.
    """
    affine = affine.astype(np.float64)
    deformed = np.einsum("nkij,kj->nki", affine[..., :2], prior)
    changes = [float(np.square(part - part.mean(0)).mean()) for part in (deformed, affine[..., 2])]
    return float(np.sqrt(changes[0] / sum(changes))) if sum(changes) > 0 else 0.0


@torch.no_grad()
def bank_poses(model: PosePriorLearner, bank: int) -> np.ndarray:
    """Poses (vectors, N, 2): the prior with one bank's mean vector replaced by each of the bank's vectors in turn."""
    memory = model.memory
    tokens = memory.means().expand(model.config.vectors, -1, -1).clone()
    tokens[:, bank] = memory.codebook[bank]
    return memory.decode(tokens).float().cpu().numpy()


def bank_reach(poses: np.ndarray, usage: np.ndarray) -> float:
    """How far a bank moves the pose: root mean square distance from the mean, over used vectors and keypoints.

    poses (vectors, N, 2) of `bank_poses`, usage (vectors,) as weights; in [-1, 1] units.
    """
    mean = np.tensordot(usage, poses, 1)
    return float(np.sqrt(usage @ np.square(poses - mean).sum(-1).mean(-1)))


def prototypes(model: PosePriorLearner, index: np.ndarray, count: int = 8) -> Prototypes:
    """At most `count` typical poses among the combinations of vectors (n, banks) of images.

    k-means on the decoded poses, started from the one nearest to the mean and those farthest from all before; each
    center is replaced by the combination nearest to it, so that every prototype is a pose that the memory gives.
    """
    rows, first, weights = np.unique(index, axis=0, return_index=True, return_counts=True)
    poses = _decode(model, rows)
    flat = poses.reshape(len(poses), -1).astype(np.float64)
    centers = _initial_centers(flat, weights, min(count, len(flat)))
    for _ in range(KMEANS_ROUNDS):
        nearest = _squared_distances(flat, centers).argmin(1)
        for k in np.unique(nearest):
            centers[k] = np.average(flat[nearest == k], axis=0, weights=weights[nearest == k])
    distances = _squared_distances(flat, centers)
    nearest = distances.argmin(1)
    groups = np.unique(nearest)
    fractions = np.array([weights[nearest == k].sum() for k in groups]) / weights.sum()
    medoids = np.array([np.where(nearest == k, distances[:, k], np.inf).argmin() for k in groups])
    order = np.argsort(-fractions, kind="stable")
    return Prototypes(poses[medoids[order]], fractions[order], first[medoids[order]])


def nearest_prototypes(typical: Prototypes, keypoints: np.ndarray) -> np.ndarray:
    """Which of the prototypes is nearest to each pose (n, N, 2): (n,)."""
    flat = typical.keypoints.reshape(len(typical.keypoints), -1)
    return _squared_distances(keypoints.reshape(len(keypoints), -1), flat).argmin(1)


def count_distinct_poses(model: PosePriorLearner, index: np.ndarray, distance: float = 0.05) -> tuple[int, int]:
    """How many poses assignments (n, banks) stand for: different combinations, and poses that differ visibly.

    Poses differ if they are more than `distance` image sides apart, root mean square over the keypoints: the pose
    nearest to the mean counts, then each time the one farthest from all that count, until none is farther away.
    """
    rows = np.unique(index, axis=0)
    poses = _decode(model, rows)
    flat = poses.reshape(len(poses), -1).astype(np.float64) * sides_per_unit(model.config.image_size)
    count, middle = 1, _squared_distances(flat, flat.mean(0, keepdims=True))[:, 0].argmin()
    squared = _squared_distances(flat, flat[middle][None])[:, 0]
    while squared.max() > poses.shape[1] * distance**2:
        squared = np.minimum(squared, _squared_distances(flat, flat[squared.argmax()][None])[:, 0])
        count += 1
    return len(rows), count


def _initial_centers(flat: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The point nearest to the mean, then each time the one farthest from all chosen: (count, F)."""
    mean = np.average(flat, axis=0, weights=weights)
    chosen = [int(_squared_distances(flat, mean[None]).argmin())]
    while len(chosen) < count:
        chosen.append(int(_squared_distances(flat, flat[chosen]).min(1).argmax()))
    return flat[chosen]


def _squared_distances(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return cdist(points, centers, "sqeuclidean")
