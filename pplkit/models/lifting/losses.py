"""Losses of lifting: pure functions of poses (B, F, J, 3) in meters."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pplkit.data.skeletons import Skeleton
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted

Bones = Sequence[tuple[int, int]]  # (parent, joint)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of values (...), or their mean by weights of the same shape; 0 where all weights are 0."""
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp_min(1e-9)


def position_loss(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean distance of the joints (MPJPE); `weights` (B, F, J) are 0 for what does not count."""
    return weighted_mean((prediction - target).norm(dim=-1), weights)


def velocity_loss(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean distance of the joints' movements between neighboring frames; 0 for a single frame."""
    if prediction.shape[1] < 2:
        return prediction.new_zeros(())
    both = None if weights is None else weights[:, 1:] * weights[:, :-1]
    return position_loss(prediction.diff(dim=1), target.diff(dim=1), both)


def bone_lengths(poses: Tensor, bones: Bones) -> Tensor:
    """Lengths (..., K) of bones in poses (..., J, 3)."""
    ends = torch.tensor(bones, device=poses.device)
    return (poses[..., ends[:, 0], :] - poses[..., ends[:, 1], :]).norm(dim=-1)


def bone_length_loss(prediction: Tensor, target: Tensor, bones: Bones) -> Tensor:
    """Mean difference between the predicted and the true length of a bone."""
    return (bone_lengths(prediction, bones) - bone_lengths(target, bones)).abs().mean()


def bone_variance_loss(prediction: Tensor, bones: Bones) -> Tensor:
    """Variance of a bone's length over the frames of a window, mean over bones and windows."""
    return bone_lengths(prediction, bones).var(dim=1, correction=0).mean()


def symmetry_loss(prediction: Tensor, bones: Bones, flip_pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Mean difference in length between a bone of the left side and its counterpart; 0 without pairs of bones."""
    other = dict(flip_pairs)
    left = [(a, b) for a, b in bones if a in other or b in other]
    right = [(other.get(a, a), other.get(b, b)) for a, b in left]
    if not left:
        return prediction.new_zeros(())
    return (bone_lengths(prediction, left) - bone_lengths(prediction, right)).abs().mean()


def uncertainty_loss(error: Tensor, spread: Tensor, weights: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of errors (B, F, J) under a Laplace distribution in space, up to factor and constant.

    d / e + log e for the distance d and its expectation e = `spread`; least where e is the mean of d.
    """
    return weighted_mean(error / spread + spread.log(), weights)


def losses(
    config: LiftingConfig, output: Lifted, target: Tensor, skeleton: Skeleton, weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The total of the losses that have a weight in the settings, and the parts by name, without weight or gradient.

    `weights` (B, F, J) are 0 for what does not count, such as padding; the losses on bones count all frames.
    """
    poses, bones, pairs = output.positions, skeleton.bones, skeleton.flip_pairs
    terms = {
        "position": lambda: position_loss(poses, target, weights),
        "velocity": lambda: velocity_loss(poses, target, weights),
        "bone_length": lambda: bone_length_loss(poses, target, bones),
        "bone_variance": lambda: bone_variance_loss(poses, bones),
        "symmetry": lambda: symmetry_loss(poses, bones, pairs),
    }
    if (spread := output.spread) is not None:
        error = (poses.detach() - target).norm(dim=-1)
        terms["uncertainty"] = lambda: uncertainty_loss(error, spread, weights)
    total, parts = poses.new_zeros(()), {}
    for name, loss in terms.items():
        if weight := getattr(config, f"weight_{name}"):
            value = loss()
            total, parts[name] = total + weight * value, value.detach()
    return total, parts
