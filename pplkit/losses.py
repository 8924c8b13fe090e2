"""The losses: pure functions of a model's output and the images (section 3.4)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.batches import Batch
from pplkit.config import Config
from pplkit.features import PerceptualFeatures
from pplkit.geometry import apply_affine, pairwise_distances
from pplkit.poses import Output


def reconstruction_loss(
    features: PerceptualFeatures | None, images: Tensor, painted: Tensor, distance: str = "l1"
) -> Tensor:
    """Distance between the features of image and reconstruction, mean per feature map, summed over maps.

    Both (B, 3, S, S) in [-1, 1]; distance "l1" (absolute) or "l2" (squared differences). Without features: the mean
    squared difference of the pixels, as in the ablation.
    """
    if features is None:
        return F.mse_loss(painted, images)
    with torch.no_grad():
        targets = features(images)
    pairs = zip(features(painted), targets, strict=True)
    if distance == "l1":
        return torch.stack([mean_absolute(seen, target) for seen, target in pairs]).sum()
    return torch.stack([(seen - target).square().mean(dtype=torch.float32) for seen, target in pairs]).sum()


class _MeanAbsolute(torch.autograd.Function):
    """The mean of |a - b| whose only memory is the signs, in the type of a.

    By autograd every step of it, forth and back, is an array of its own, some in float32 whatever the type of a: on
    a CPU that took more than twice as long for the finest feature map.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        difference = a - b
        total = difference.abs().sum(dtype=torch.float32)
        ctx.save_for_backward(difference.sign_())
        return total / a.numel()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (signs,) = ctx.saved_tensors
        return signs * (gradient / signs.numel()), None


def mean_absolute(values: Tensor, targets: Tensor) -> Tensor:
    """Mean of |values - targets|, tensors of one shape, as a float32 scalar; no gradient goes into the targets."""
    return _MeanAbsolute.apply(values, targets)  # type: ignore[no-any-return, no-untyped-call]


def boundary_loss(keypoints: Tensor) -> Tensor:
    """|coordinate| where it lies outside [-1, 1], else 0; keypoints (B, N, 2): sum over N, mean over B and axes."""
    size = keypoints.abs()
    return torch.where(size > 1, size, 0).sum(1).mean()


def link_loss(prior: Tensor, keypoints: Tensor, connectivity: Tensor) -> Tensor:
    """Links keep the prior's lengths: Σ_ij W_ij |l(P_i, P_j) - l(P'_i, P'_j)|, mean over the batch.

    prior (N, 2), keypoints (B, N, 2), connectivity (N, N); the sum takes each pair twice, as written in the paper.
    """
    change = pairwise_distances(prior) - pairwise_distances(keypoints)
    return (connectivity * change.abs()).sum((1, 2)).mean()


def separation_loss(keypoints: Tensor, radius: float) -> Tensor:
    """Keypoints of an image keep apart: max(0, 1 - d²/r²), mean over the pairs of keypoints (B, N, 2) and the batch.

    Not in the paper: it keeps a short training from leaving all keypoints on the largest part of the object.
    """
    squared = (keypoints[:, :, None] - keypoints[:, None]).square().sum(-1)
    pairs = torch.triu_indices(keypoints.shape[1], keypoints.shape[1], 1, device=keypoints.device)
    return (1 - squared[:, pairs[0], pairs[1]] / radius**2).clamp_min(0).mean()


def length_loss(keypoints: Tensor, connectivity: Tensor) -> Tensor:
    """Length of the links, Σ_ij W_ij l(P'_i, P'_j) / Σ_ij W_ij, mean over the batch.

    keypoints (B, N, 2), connectivity (N, N). Not in the paper: a decoder paints as well from keypoints beside a limb
    as from those on it, as long as they keep to their side. The shortest of such skeletons lies inside.
    """
    return (connectivity * pairwise_distances(keypoints)).sum((1, 2)).mean() / connectivity.sum()


def equivariance_loss(keypoints: Tensor, again: Tensor, moves: Tensor) -> Tensor:
    """Keypoints follow the object into another view: ‖M P' - P''‖² / ‖P' - mean(P')‖², both summed over the batch.

    keypoints P' of the images and `again`, P'' of their other views, (B, N, 2); moves M (B, 2, 3) from the first to
    the second. Relative to the pose's extent, since nothing is as easily found again as N keypoints in one place.
    Not in the paper: few single images can be learned by heart, and this cannot.
    """
    extent = (keypoints - keypoints.mean(1, keepdim=True)).square().mean()
    return F.mse_loss(again, apply_affine(moves[:, None], keypoints)) / extent


def pose_loss(keypoints: Tensor, recalled: Tensor) -> Tensor:
    """Mean squared difference of T' (a constant here) and T'_recon, both (B, N, 2).

    The paper writes ‖T'_recon - T'‖², a sum; a mean is what the released code takes, with 100 as its weight.
    """
    return F.mse_loss(recalled, keypoints.detach())


def token_loss(tokens: Tensor, quantised: Tensor) -> Tensor:
    """Mean squared difference of the tokens G and their vectors G' (a constant), both (B, banks, dimension).

    A mean as in the released code, where the paper writes a sum: sums would weigh it 544 times as much beside the pose.
    """
    return F.mse_loss(tokens, quantised.detach())


def separation_weight(config: Config, share: float) -> float:
    """Weight of the separation when `share` (0 to 1) of the training is done."""
    fades = config.separation_share
    return config.weight_separation * (max(0.0, 1 - share / fades) if fades else 1.0)


def losses(
    config: Config, features: PerceptualFeatures | None, batch: Batch, output: Output, share: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted total and its unweighted parts by name; a part of weight 0 is not computed.

    `share` is the part of the training that is done, 0 to 1; see `separation_weight`.
    """
    memory = output.memory
    parts = {
        "reconstruction": lambda: reconstruction_loss(features, batch.target, output.reconstruction, config.distance),
        "boundary": lambda: boundary_loss(output.keypoints),
        "links": lambda: link_loss(output.prior, output.keypoints, output.connectivity),
        "separation": lambda: separation_loss(output.keypoints, config.separation_radius),
        "length": lambda: length_loss(output.keypoints, output.connectivity),
        "pose": lambda: pose_loss(output.keypoints, memory.keypoints),
        "tokens": lambda: token_loss(memory.tokens, memory.quantised),
    }
    moves = batch.moves
    if moves is not None:
        parts["equivariance"] = lambda: equivariance_loss(output.keypoints, output.again, moves)
    weights = {name: getattr(config, f"weight_{name}") for name in parts}
    weights["separation"] = separation_weight(config, share)
    weights["length"] *= share >= config.coarse
    values = {name: part() for name, part in parts.items() if weights[name] > 0}
    total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
    return total, {name: value.detach() for name, value in values.items()}
