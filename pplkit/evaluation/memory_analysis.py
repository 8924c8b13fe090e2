"""What the memory holds and what poses take from it: vectors in use, banks, typical poses (sections 3.1 and 3.2)."""

from typing import NamedTuple

import numpy as np
import torch

from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.config import CHOICES
from pplkit.models.prior.model import PosePriorLearner

ROUNDS = 25  # of refining the prototypes; they settle sooner


class Prototypes(NamedTuple):
    """k typical poses of a set of images, the one that stands for most images first."""

    keypoints: np.ndarray  # (k, N, 2), each decoded from one combination of vectors that an image takes
    shares: np.ndarray  # (k,) share of the images whose pose is nearest to it; sums to 1
    images: np.ndarray  # (k,) position of an image that takes this combination


class Unused(NamedTuple):
    """Vectors that nothing takes, and what they do to the prior."""

    share: float  # of all vectors
    shift: float  # root mean square distance, in [-1, 1] units, between T with and without them
    uneven: float  # the same between T from the vectors taken, all alike, and each as often as it is taken


@torch.no_grad()
def taken(model: PosePriorLearner, keypoints: np.ndarray) -> np.ndarray:
    """The vectors that poses (n, N, 2) take: int64 (n, banks), indices into each bank."""
    memory = model.memory
    if not len(keypoints):
        return np.zeros((0, model.config.banks), int)
    return memory.nearest(memory.encode(torch.from_numpy(keypoints).to(model.alpha.device))).cpu().numpy()


@torch.no_grad()
def recalled(model: PosePriorLearner, keypoints: np.ndarray) -> np.ndarray:
    """What the memory makes of poses (n, N, 2), n > 0, T' to T'_recon: the same shape."""
    memory = model.memory
    return memory.decode(memory.look_up(torch.from_numpy(taken(model, keypoints)).to(model.alpha.device))).cpu().numpy()


def usage(index: np.ndarray, vectors: int) -> np.ndarray:
    """How often each of a bank's `vectors` is taken in look-ups (n, banks): (banks, vectors), rows sum to 1."""
    counts = np.stack([np.bincount(column, minlength=vectors) for column in index.T])
    return counts / len(index)


@torch.no_grad()
def unused(model: PosePriorLearner, index: np.ndarray) -> Unused:
    """How many vectors none of the look-ups (n, banks) takes, and how far they move the prior.

    The published T is decoded from the mean of all vectors of each bank (section 3.2); beside it stand T from the mean
    of the vectors taken, which leaves out the dead ones only, and T from that mean with each as often as it is taken.
    """
    memory = model.memory
    shares = torch.from_numpy(usage(index, model.config.vectors)).to(memory.codebook)
    alive = (shares > 0) / (shares > 0).sum(-1, keepdim=True)
    weights = torch.stack((torch.full_like(shares, 1 / shares.shape[-1]), alive.to(shares), shares))
    published, without, weighted = memory.decode(torch.einsum("wmk,mkd->wmd", weights, memory.codebook)).float()
    shift, uneven = ((a - without).square().sum(-1).mean().sqrt() for a in (published, weighted))
    return Unused(float((shares == 0).double().mean()), float(shift), float(uneven))


@torch.no_grad()
def prior_offsets(model: PosePriorLearner, keypoints: np.ndarray) -> dict[str, float]:
    """How far T lies from the mean of poses (n, N, 2), by each rule of distilling it: "all" vectors, or the "used".

    Root mean square distance over the keypoints, in [-1, 1] units. A typical pose should lie near the mean.
    """
    middle = torch.from_numpy(keypoints.mean(0)).to(model.alpha.device)
    apart = {over: model.memory.distil(over).float() - middle for over in CHOICES["prior_from"]}
    return {over: float(away.square().sum(-1).mean().sqrt()) for over, away in apart.items()}


@torch.no_grad()
def prior_share(model: PosePriorLearner, images: np.ndarray, batch_size: int = 64) -> float:
    """What part the prior has in the poses of uint8 images (n, S, S, 3): see `bent_share`."""
    maps = [model.regress(model.prepare(images[i : i + batch_size]))[1] for i in range(0, len(images), batch_size)]
    return bent_share(torch.cat(maps).cpu().numpy(), model.keypoint_prior().cpu().numpy())


def bent_share(affine: np.ndarray, prior: np.ndarray) -> float:
    """How much of what changes in a pose from image to image is the prior bent, and not keypoints moved alone.

    affine Θ = [A, b] (n, N, 2, 3), prior T (N, 2), so that T' = A T + b (section 3.1). The root mean square change of
    A T over the images, divided by that of A T and b together: 0 where b alone makes the pose or nothing changes, 1
    where A T does.
    """
    affine = affine.astype(np.float64)
    bent = np.einsum("nkij,kj->nki", affine[..., :2], prior)
    changes = [float(np.square(part - part.mean(0)).mean()) for part in (bent, affine[..., 2])]
    return float(np.sqrt(changes[0] / sum(changes))) if sum(changes) > 0 else 0.0


@torch.no_grad()
def bank_poses(model: PosePriorLearner, bank: int) -> np.ndarray:
    """Poses (vectors, N, 2): the prior with one bank's mean vector replaced by each of the bank's vectors in turn."""
    memory = model.memory
    tokens = memory.means().expand(model.config.vectors, -1, -1).clone()
    tokens[:, bank] = memory.codebook[bank]
    return memory.decode(tokens).float().cpu().numpy()


def bank_reach(poses: np.ndarray, shares: np.ndarray) -> float:
    """How far a bank moves the pose: root mean square distance from the mean, over used vectors and keypoints.

    poses (vectors, N, 2) of `bank_poses`, shares (vectors,) as weights; in [-1, 1] units.
    """
    centre = np.tensordot(shares, poses, 1)
    return float(np.sqrt(shares @ np.square(poses - centre).sum(-1).mean(-1)))


@torch.no_grad()
def prototypes(model: PosePriorLearner, index: np.ndarray, count: int = 8) -> Prototypes:
    """At most `count` typical poses among the combinations of vectors (n, banks) that images take.

    k-means on the decoded poses, started from the one nearest to the mean and those farthest from all before; each
    centre is replaced by the combination nearest to it, so that every prototype is a pose the memory really gives.
    """
    rows, first, weights = np.unique(index, axis=0, return_index=True, return_counts=True)
    chosen = torch.from_numpy(rows).to(model.alpha.device)
    poses = model.memory.decode(model.memory.look_up(chosen)).float().cpu().numpy()
    flat = poses.reshape(len(poses), -1).astype(np.float64)
    centres = _spread_out(flat, weights, min(count, len(flat)))
    for _ in range(ROUNDS):
        nearest = _distances(flat, centres).argmin(1)
        for k in np.unique(nearest):
            centres[k] = np.average(flat[nearest == k], axis=0, weights=weights[nearest == k])
    nearest = _distances(flat, centres).argmin(1)
    groups = np.unique(nearest)
    shares = np.array([weights[nearest == k].sum() for k in groups]) / weights.sum()
    members = [np.flatnonzero(nearest == k) for k in groups]
    near = [m[_distances(flat[m], centres[k : k + 1]).argmin()] for k, m in zip(groups, members, strict=True)]
    medoids = np.array(near)
    order = np.argsort(-shares, kind="stable")
    return Prototypes(poses[medoids[order]], shares[order], first[medoids[order]])


def nearest_to(kept: Prototypes, keypoints: np.ndarray) -> np.ndarray:
    """Which of the prototypes is nearest to each pose (n, N, 2): (n,)."""
    return _distances(keypoints.reshape(len(keypoints), -1), kept.keypoints.reshape(len(kept.keypoints), -1)).argmin(1)


@torch.no_grad()
def distinct(model: PosePriorLearner, index: np.ndarray, apart: float = 0.05) -> tuple[int, int]:
    """How many poses the memory really holds for look-ups (n, banks): combinations taken, and those that differ.

    Poses differ if they are more than `apart` image sides from each other, root mean square over the keypoints: the
    pose nearest to the mean is kept, then each time the one farthest from all kept, until none is farther away.
    """
    rows = np.unique(index, axis=0)
    chosen = torch.from_numpy(rows).to(model.alpha.device)
    poses = model.memory.decode(model.memory.look_up(chosen)).float().cpu().numpy()
    flat = poses.reshape(len(poses), -1).astype(np.float64) * sides_per_unit(model.config.image_size)
    away = _distances(flat, flat.mean(0, keepdims=True))[:, 0]
    kept, away = 1, _distances(flat, flat[away.argmin()][None])[:, 0]
    while away.max() > poses.shape[1] * apart**2:
        away = np.minimum(away, _distances(flat, flat[away.argmax()][None])[:, 0])
        kept += 1
    return len(rows), kept


def _spread_out(flat: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The point nearest to the mean, then each time the one farthest from all chosen: (count, F)."""
    mean = np.average(flat, axis=0, weights=weights)
    chosen = [int(_distances(flat, mean[None]).argmin())]
    while len(chosen) < count:
        chosen.append(int(_distances(flat, flat[chosen]).min(1).argmax()))
    return flat[chosen]


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (n, k) of points (n, F) from centres (k, F)."""
    return np.stack([np.square(points - centre).sum(1) for centre in centres], axis=1)
