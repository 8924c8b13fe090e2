"""The losses: pure functions of a model's output and the images (section 3.4)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import apply_affine, pairwise_distances
from pplkit.models.layers import collectives
from pplkit.models.layers.backbone import resample
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.networks import PartRegressor, part_attention
from pplkit.models.prior.outputs import Output
from pplkit.models.prior.parts import PartMaps

CPU_PIXELS = 2**16  # of images that go through the features at once: one of 224 x 224, 16 of 64 x 64


def reconstruction_loss(
    features: PerceptualFeatures | None, images: Tensor, reconstruction: Tensor, distance: str = "l1"
) -> Tensor:
    """Distance between the features of image and reconstruction, mean per feature map, summed over maps.

    Both (B, 3, S, S) in [-1, 1]; distance "l1" (absolute) or "l2" (squared differences). Without features: the mean
    squared difference of the pixels, as in the ablation. The images get no gradient.
    """
    if features is None:
        return F.mse_loss(reconstruction, images)
    return _FeatureDistance.apply(reconstruction, images, features, distance)  # type: ignore[no-any-return, no-untyped-call]


class _FeatureDistance(torch.autograd.Function):
    """Forward and backward of a few images at a time, so that only their feature maps are ever held.

    The frozen features treat each image alone, so parts of a batch give the same numbers as all of it. On a CPU the
    parts fit into its cache.
    """

    @staticmethod
    def forward(
        ctx: Any, reconstruction: Tensor, images: Tensor, features: PerceptualFeatures, distance: str
    ) -> Tensor:
        pixels = CPU_PIXELS if reconstruction.device.type == "cpu" else 16 * CPU_PIXELS
        part_size = max(1, pixels // features.pixels(reconstruction))
        total = torch.zeros((), device=reconstruction.device)
        gradients = []
        for part, target in zip(reconstruction.split(part_size), images.split(part_size), strict=True):
            with torch.no_grad():
                target_maps = features(target)
            with torch.set_grad_enabled(ctx.needs_input_grad[0]):
                part = part.detach().requires_grad_(ctx.needs_input_grad[0])
                maps = features(part)
            value, map_gradients = _compare(maps, target_maps, distance)
            total += value
            if ctx.needs_input_grad[0]:
                gradients += torch.autograd.grad(maps, part, map_gradients)
        if gradients:
            ctx.save_for_backward(torch.cat(gradients) / (len(reconstruction) * _smallest(maps)))
        return total / len(reconstruction)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (saved,) = ctx.saved_tensors
        return saved * gradient, None, None, None


def _smallest(maps: list[Tensor]) -> int:
    return min(features[0].numel() for features in maps)


@torch.no_grad()
def _compare(maps: list[Tensor], targets: list[Tensor], distance: str) -> tuple[Tensor, list[Tensor]]:
    """Sum over the images of their mean distances, over all maps, as float32; its gradients with respect to `maps`.

    The gradients have the maps' type, and are multiplied by the size of the smallest map: in the known networks larger
    maps are larger by powers of two, so that no rounding weights one map more than another.
    """
    total, smallest, gradients = torch.zeros((), device=maps[0].device), _smallest(maps), []
    for features, target in zip(maps, targets, strict=True):
        difference, size = torch.sub(features, target, out=target), features[0].numel()
        values = difference.abs() if distance == "l1" else difference.square()
        # Over the channels first, which adds in float32 and rounds once: all in float32 would make a copy of the map.
        total += values.sum(1).sum(dtype=torch.float32) / size
        scale = smallest / size
        gradients.append(difference.sign_().mul_(scale) if distance == "l1" else difference.mul_(2 * scale))
    return total, gradients


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

    Not in the paper: without it a short training leaves all keypoints on the largest part of the object.
    """
    squared = (keypoints[:, :, None] - keypoints[:, None]).square().sum(-1)
    pairs = torch.triu_indices(keypoints.shape[1], keypoints.shape[1], 1, device=keypoints.device)
    return (1 - squared[:, pairs[0], pairs[1]] / radius**2).clamp_min(0).mean()


def length_loss(keypoints: Tensor, connectivity: Tensor) -> Tensor:
    """Length of the links, Σ_ij W_ij l(P'_i, P'_j) / Σ_ij W_ij, mean over the batch.

    keypoints (B, N, 2), connectivity (N, N). Not in the paper: keypoints beside a limb serve the decoder as well as
    keypoints on it, as long as they keep to their side. The shortest of such skeletons lies inside.
    """
    return (connectivity * pairwise_distances(keypoints)).sum((1, 2)).mean() / connectivity.sum()


def equivariance_loss(keypoints: Tensor, second_keypoints: Tensor, view_transform: Tensor) -> Tensor:
    """Keypoints follow the object into another view: ‖M P' - P''‖² / ‖P' - mean(P')‖², both summed over the batch.

    keypoints P' of the images and `second_keypoints` P'' of their second views, (B, N, 2); `view_transform` M
    (B, 2, 3) from the first to the second. Relative to the pose's extent, since N keypoints in one place would follow
    best; the extent of the whole batch, whichever process holds it, so that the mean over processes is the loss.
    Not in the paper: few single images can be learned by heart, and this cannot.
    """
    extent = collectives.mean((keypoints - keypoints.mean(1, keepdim=True)).square().mean())
    return F.mse_loss(second_keypoints, apply_affine(view_transform[:, None], keypoints)) / extent


def distance_loss(keypoints: Tensor, second_keypoints: Tensor, view_transform: Tensor) -> Tensor:
    """As `equivariance_loss`, but the mean of |M P' - P''| over coordinates in [-1, 1]; it pushes no keypoints apart.

    Keypoints that M puts outside the second view (beyond 1.1) are left out.
    """
    moved = apply_affine(view_transform[:, None], keypoints)
    inside = (moved.detach().abs().amax(-1) < 1.1).to(moved)
    total = ((moved - second_keypoints).abs().mean(-1) * inside).sum()
    return total / collectives.mean(inside.sum()).clamp_min(1)


def parts_loss(parts: PartMaps) -> Tensor:
    """Part maps follow the clusters of features: cross-entropy with their assignment, mean over cells and images."""
    target = resample(parts.target, parts.maps.shape[-1])
    return -(target * (parts.maps + 1e-5).log()).sum(1).mean()


def contrast_loss(descriptors: Tensor, temperature: float = 0.2) -> Tensor:
    """A part looks like itself in other images and unlike other parts: cross-entropy over the N parts.

    descriptors (B, N, C), B > 1. The logits of a part are the cosines with the mean direction of each part in all
    other images, divided by the temperature.
    """
    count, parts = descriptors.shape[:2]
    directions = F.normalize(descriptors, dim=-1)
    total, images = collectives.total(directions.sum(0)), count * collectives.world_size()
    if images < 2:
        raise PplkitError("weight_contrast compares images, but the batch has one: give a larger batch_size.")
    others = F.normalize((total - directions) / (images - 1), dim=-1)
    logits = torch.einsum("bkc,bjc->bkj", directions, others) / temperature
    labels = torch.arange(parts, device=logits.device).repeat(count)
    return F.cross_entropy(logits.flatten(0, 1), labels)


def concentration_loss(attention: Tensor, positions: Tensor) -> Tensor:
    """A part is in one place: variance of attention maps (B, N, P) over positions (P, 2), summed over x and y, mean."""
    attention = attention.float()[..., None]  # products of matrices would be rounded in mixed precision
    middle = (attention * positions).sum(-2, keepdim=True)
    return (attention * (positions - middle).square()).sum((-1, -2)).mean()


def presence_loss(maps: Tensor, peak: float = 0.9, fraction: float = 0.2) -> Tensor:
    """Every part is somewhere: its largest probability is at least `peak`, its mean at least `fraction` / N.

    maps (B, N + 1, h, h), the last the background; shortfall of the peak plus 4 times that of the mean, averaged over
    parts and images.
    """
    parts = maps[:, :-1].flatten(2)
    least = fraction / parts.shape[1]
    return F.relu(peak - parts.amax(-1)).mean() + 4 * F.relu(least - parts.mean(-1)).mean()


def background_loss(parts: PartMaps) -> Tensor:
    """Parts lie on the object as classified without labels: binary cross-entropy, mean over cells."""
    on_part = (1 - parts.maps[:, -1]).clamp(1e-4, 1 - 1e-4)
    target = resample(1 - parts.target[:, -1:], on_part.shape[-1])[:, 0].clamp(0, 1)
    return -(target * on_part.log() + (1 - target) * torch.log1p(-on_part)).mean()  # F's refuses autocast and NaN


def pose_loss(keypoints: Tensor, reconstructed: Tensor) -> Tensor:
    """Mean squared difference of T' (a constant here) and T'_recon, both (B, N, 2).

    The paper writes ‖T'_recon - T'‖², a sum; the released code takes the mean, with 100 as its weight.
    """
    return F.mse_loss(reconstructed, keypoints.detach())


def token_loss(tokens: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared difference of the tokens G and their vectors G' (a constant), both (B, banks, dimension).

    A mean as in the released code; the sum of the paper would weigh 544 times as much beside the pose.
    """
    return F.mse_loss(tokens, quantized.detach())


def separation_weight(config: Config, progress: float) -> float:
    """Weight of the separation when the fraction `progress` of the training is done."""
    fades = config.separation_share
    return config.weight_separation * (max(0.0, 1 - progress / fades) if fades else 1.0)


def losses(
    config: Config, features: PerceptualFeatures | None, batch: Batch, output: Output, progress: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted total and its unweighted parts by name; a part of weight 0 is not computed.

    `progress` is the fraction of the training that is done; see `separation_weight`. With several processes the mean
    of their values is that of the whole batch.
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
        positions = PartRegressor.cell_centers(maps.maps.shape[-1], config.image_size, maps.maps.device)
        if view_transform is not None and config.equivariance == "absolute":
            middles = part_attention(maps.maps) @ positions  # parts have to follow as well
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
    weights["separation"] = separation_weight(config, progress)
    weights["length"] *= progress >= config.coarse_fraction
    values = {name: part() for name, part in parts.items() if weights[name] > 0}
    total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
    return total, {name: value.detach() for name, value in values.items()}
