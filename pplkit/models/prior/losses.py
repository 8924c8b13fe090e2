"""The losses: pure functions of a model's output and the images (section 3.4)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import apply_affine, pairwise_distances
from pplkit.models.layers import collectives as ranks
from pplkit.models.layers.backbone import resample
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.networks import PartRegressor, part_attention
from pplkit.models.prior.outputs import Output
from pplkit.models.prior.parts import PartMaps

PIXELS = 2**16  # of a CPU's images that go through the features at once: two of 224 x 224, 32 of 64 x 64


def reconstruction_loss(
    features: PerceptualFeatures | None, images: Tensor, painted: Tensor, distance: str = "l1"
) -> Tensor:
    """Distance between the features of image and reconstruction, mean per feature map, summed over maps.

    Both (B, 3, S, S) in [-1, 1]; distance "l1" (absolute) or "l2" (squared differences). Without features: the mean
    squared difference of the pixels, as in the ablation. No gradient goes into the images.
    """
    if features is None:
        return F.mse_loss(painted, images)
    return _FeatureDistance.apply(painted, images, features, distance)  # type: ignore[no-any-return, no-untyped-call]


class _FeatureDistance(torch.autograd.Function):
    """Some images after the other, forth and back, so that the feature maps of no more are ever held.

    The features are frozen and see each image alone: parts of a batch give the same numbers as all of it. On a CPU
    they are small enough for the cache.
    """

    @staticmethod
    def forward(ctx: Any, painted: Tensor, images: Tensor, features: PerceptualFeatures, distance: str) -> Tensor:
        at_once = max(1, (PIXELS if painted.device.type == "cpu" else 16 * PIXELS) // features.pixels(painted))
        total = torch.zeros((), device=painted.device)
        gradients = []
        for some, target in zip(painted.split(at_once), images.split(at_once), strict=True):
            with torch.no_grad():
                wanted = features(target)
            with torch.set_grad_enabled(ctx.needs_input_grad[0]):
                some = some.detach().requires_grad_(ctx.needs_input_grad[0])
                seen = features(some)
            value, asked = _compare(seen, wanted, distance)
            total += value
            if ctx.needs_input_grad[0]:
                gradients += torch.autograd.grad(seen, some, asked)
        if gradients:
            ctx.save_for_backward(torch.cat(gradients) / (len(painted) * _least(seen)))
        return total / len(painted)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (of_painted,) = ctx.saved_tensors
        return of_painted * gradient, None, None, None


def _least(maps: list[Tensor]) -> int:
    return min(one[0].numel() for one in maps)


@torch.no_grad()
def _compare(seen: list[Tensor], wanted: list[Tensor], distance: str) -> tuple[Tensor, list[Tensor]]:
    """Sum over the images of their mean distances, over all maps, as float32; gradients of that for `seen`.

    The gradients are in the maps' type, and of the sum times the size of the smallest map: the larger maps of the
    known networks are larger by powers of two, so that no rounding makes one map count more than another.
    """
    total, least, asked = torch.zeros((), device=seen[0].device), _least(seen), []
    for one, other in zip(seen, wanted, strict=True):
        difference, size = torch.sub(one, other, out=other), one[0].numel()
        values = difference.abs() if distance == "l1" else difference.square()
        # Over the channels first, which adds in float32 and rounds once: all in float32 would make a copy of the map.
        total += values.sum(1).sum(dtype=torch.float32) / size
        asked.append(difference.sign_().mul_(least / size) if distance == "l1" else difference.mul_(2 * least / size))
    return total, asked


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


def equivariance_loss(keypoints: Tensor, second_keypoints: Tensor, view_transform: Tensor) -> Tensor:
    """Keypoints follow the object into another view: ‖M P' - P''‖² / ‖P' - mean(P')‖², both summed over the batch.

    keypoints P' of the images and `second_keypoints` P'' of their second views, (B, N, 2); `view_transform` M
    (B, 2, 3) from the first to the second. Relative to the pose's extent, since N keypoints in one place would follow
    best; the extent of the whole batch, whichever process holds it, so that the mean over processes is the loss.
    Not in the paper: few single images can be learned by heart, and this cannot.
    """
    extent = ranks.mean((keypoints - keypoints.mean(1, keepdim=True)).square().mean())
    return F.mse_loss(second_keypoints, apply_affine(view_transform[:, None], keypoints)) / extent


def distance_loss(keypoints: Tensor, second_keypoints: Tensor, view_transform: Tensor) -> Tensor:
    """Keypoints follow the object into another view: mean |M P' - P''| over coordinates, as `equivariance_loss`.

    Those that M puts outside the other view (beyond 1.1) are left out. In [-1, 1] units: other losses have to keep
    keypoints apart.
    """
    moved = apply_affine(view_transform[:, None], keypoints)
    inside = (moved.detach().abs().amax(-1) < 1.1).to(moved)
    off = ((moved - second_keypoints).abs().mean(-1) * inside).sum()
    return off / ranks.mean(inside.sum()).clamp_min(1)


def parts_loss(parts: PartMaps) -> Tensor:
    """Part maps follow the clusters of features: cross-entropy with their assignment, mean over cells and images.

    Maps of another resolution than the assignment's are compared with it interpolated.
    """
    wanted = resample(parts.wanted, parts.maps.shape[-1])
    return -(wanted * (parts.maps + 1e-5).log()).sum(1).mean()


def contrast_loss(descriptors: Tensor, temperature: float = 0.2) -> Tensor:
    """A part looks like itself in other images and unlike other parts: cross-entropy over the N parts.

    descriptors (B, N, C), B > 1. The logits of a part are the cosines with the mean direction of each part in all
    other images, divided by the temperature.
    """
    count, parts = descriptors.shape[:2]
    own = F.normalize(descriptors, dim=-1)
    total, images = ranks.total(own.sum(0)), count * ranks.world_size()
    if images < 2:
        raise PplkitError("a contrast between images needs two of them: give a larger batch_size.")
    others = F.normalize((total - own) / (images - 1), dim=-1)
    logits = torch.einsum("bkc,bjc->bkj", own, others) / temperature
    labels = torch.arange(parts, device=logits.device).repeat(count)
    return F.cross_entropy(logits.flatten(0, 1), labels)


def concentration_loss(attention: Tensor, positions: Tensor) -> Tensor:
    """A part is in one place: variance of attention maps (B, N, P) over positions (P, 2), summed over x and y, mean."""
    attention = attention.float()[..., None]  # products of matrices would be rounded in mixed precision
    middle = (attention * positions).sum(-2, keepdim=True)
    return (attention * (positions - middle).square()).sum((-1, -2)).mean()


def presence_loss(maps: Tensor, peak: float = 0.9, share: float = 0.2) -> Tensor:
    """Every part is somewhere: its largest probability is `peak` or more, its mean `share` / N or more.

    maps (B, N + 1, h, h), the last the background; what is lacking of the peak, and 4 times what is lacking of the
    mean, in the mean over parts and images.
    """
    own = maps[:, :-1].flatten(2)
    least = share / own.shape[1]
    return F.relu(peak - own.amax(-1)).mean() + 4 * F.relu(least - own.mean(-1)).mean()


def background_loss(parts: PartMaps) -> Tensor:
    """Parts lie on the object as found without labels: binary cross-entropy of parts or background, mean over cells."""
    own = (1 - parts.maps[:, -1]).clamp(1e-4, 1 - 1e-4)
    wanted = resample(1 - parts.wanted[:, -1:], own.shape[-1])[:, 0].clamp(0, 1)
    return -(wanted * own.log() + (1 - wanted) * torch.log1p(-own)).mean()  # F's refuses autocast and NaN


def pose_loss(keypoints: Tensor, recalled: Tensor) -> Tensor:
    """Mean squared difference of T' (a constant here) and T'_recon, both (B, N, 2).

    The paper writes ‖T'_recon - T'‖², a sum; a mean is what the released code takes, with 100 as its weight.
    """
    return F.mse_loss(recalled, keypoints.detach())


def token_loss(tokens: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared difference of the tokens G and their vectors G' (a constant), both (B, banks, dimension).

    A mean as in the released code, where the paper writes a sum: sums would weigh it 544 times as much beside the pose.
    """
    return F.mse_loss(tokens, quantized.detach())


def separation_weight(config: Config, share: float) -> float:
    """Weight of the separation when `share` (0 to 1) of the training is done."""
    fades = config.separation_share
    return config.weight_separation * (max(0.0, 1 - share / fades) if fades else 1.0)


def losses(
    config: Config, features: PerceptualFeatures | None, batch: Batch, output: Output, share: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted total and its unweighted parts by name; a part of weight 0 is not computed.

    `share` is the part of the training that is done, 0 to 1; see `separation_weight`. With several processes the mean
    of what each gets is the value of the whole batch.
    """
    memory = output.memory
    parts = {
        "reconstruction": lambda: reconstruction_loss(features, batch.target, output.reconstruction, config.distance),
        "boundary": lambda: boundary_loss(output.keypoints),
        "links": lambda: link_loss(output.prior, output.keypoints, output.connectivity),
        "separation": lambda: separation_loss(output.keypoints, config.separation_radius),
        "length": lambda: length_loss(output.keypoints, output.connectivity),
        "pose": lambda: pose_loss(output.keypoints, memory.keypoints),
        "tokens": lambda: token_loss(memory.tokens, memory.quantized),
    }
    view_transform, maps = batch.view_transform, output.parts
    if view_transform is not None:
        follow = distance_loss if config.equivariance == "absolute" else equivariance_loss
        parts["equivariance"] = lambda: follow(output.keypoints, output.second_keypoints, view_transform)
    if maps is not None:
        positions = PartRegressor.middles(maps.maps.shape[-1], config.image_size, maps.maps.device)
        if view_transform is not None and config.equivariance == "absolute":
            middles = part_attention(maps.maps) @ positions  # parts have to follow as keypoints do
            both = (
                torch.cat((output.keypoints, middles[: len(view_transform)]), 1),
                torch.cat((output.second_keypoints, middles[len(view_transform) :]), 1),
            )
            parts["equivariance"] = lambda: distance_loss(*both, view_transform)
        parts |= {
            "parts": lambda: parts_loss(maps),
            "contrast": lambda: torch.stack(
                [contrast_loss(some) for some in maps.descriptors.split(len(output.keypoints))]
            ).mean(),
            "concentration": lambda: concentration_loss(part_attention(maps.maps), positions),
            "presence": lambda: presence_loss(maps.maps),
            "background": lambda: background_loss(maps),
        }
    weights = {name: getattr(config, f"weight_{name}") for name in parts}
    weights["separation"] = separation_weight(config, share)
    weights["length"] *= share >= config.coarse_fraction
    values = {name: part() for name, part in parts.items() if weights[name] > 0}
    total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
    return total, {name: value.detach() for name, value in values.items()}
