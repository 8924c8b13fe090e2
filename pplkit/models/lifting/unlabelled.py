"""Losses of lifting without 3D labels: what a pose must be, seen from other sides as well.

A lifted pose has to project onto its keypoints. Turned about the vertical by a random angle and projected, it has to
look like the keypoints of some person (a critic tells, against whom the lifter is trained), and to be found again when
it is lifted from there. Its bones have constant lengths, in the same ratios for everybody, and the same on both sides;
knees and elbows bend the way that theirs do. Depth keeps an unknown scale, so that P-MPJPE alone can be expected to be
low. After Chen et al. (CVPR 2019) and Yu et al. (ICCV 2021).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.data.skeletons import Skeleton
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.losses import bone_lengths, bone_variance_loss, position_loss, symmetry_loss

BONE_SUM = 4.0  # meters, of all bones together of h36m17; sets the scale that 2D leaves open
ELEVATION = 0.35  # radians, the most that a turned view looks up or down
HINGES = {"knee": ("hip", "ankle", -1.0), "elbow": ("shoulder", "wrist", 1.0)}  # start, end, sign of a wrong bend


class Critic(nn.Module):
    """Tells keypoints of people from those of lifted poses seen from elsewhere: logits (B, F) of (B, F, J, 2)."""

    def __init__(self, joints: int, root: int, width: int = 256) -> None:
        super().__init__()
        self.root = root
        layers: list[nn.Module] = [nn.Linear(2 * joints, width), nn.LeakyReLU(0.2)]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, keypoints: Tensor) -> Tensor:
        """Place and size do not count."""
        relative = keypoints - keypoints[:, :, self.root, None]
        size = relative.square().sum((-1, -2), keepdim=True).mean(1, keepdim=True).sqrt().clamp_min(1e-4)
        return self.layers((relative / size).flatten(2))[..., 0]  # type: ignore[no-any-return]


class _Reversed(torch.autograd.Function):
    """The values as they are, and their gradients with the other sign."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return -gradient


def projected(poses: Tensor, keypoints: Tensor, root: int) -> tuple[Tensor, Tensor]:
    """Weak-perspective keypoints (B, F, J, 2) of poses relative to the root, and their scale (B, 1, 1, 1).

    Each window has the one scale that fits `keypoints` best; the root lies where it does there.
    """
    place, flat = keypoints[:, :, root, None], poses[..., :2]
    products, squares = ((keypoints - place) * flat).sum((1, 2, 3)), flat.square().sum((1, 2, 3))
    scale = (products / squares.clamp_min(1e-6)).clamp_min(1e-3)[:, None, None, None]
    return place + scale * flat, scale


def random_turns(count: int, like: Tensor) -> Tensor:
    """Rotations (count, 3, 3) about the vertical by any angle, then up or down by at most ELEVATION; y points down."""
    angle = torch.rand(count, device=like.device) * 2 * torch.pi
    tilt = (2 * torch.rand(count, device=like.device) - 1) * ELEVATION
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    about_y = torch.stack((angle.cos(), zero, angle.sin(), zero, one, zero, -angle.sin(), zero, angle.cos()), -1)
    about_x = torch.stack((one, zero, zero, zero, tilt.cos(), -tilt.sin(), zero, tilt.sin(), tilt.cos()), -1)
    return about_x.unflatten(-1, (3, 3)) @ about_y.unflatten(-1, (3, 3))


def bone_ratio_loss(poses: Tensor, bones: Sequence[tuple[int, int]]) -> Tensor:
    """Deviation of each bone's share of all lengths from its mean over the batch, relative to that mean."""
    shares = bone_lengths(poses, bones)
    shares = shares / shares.sum(-1, keepdim=True).clamp_min(1e-6)
    mean = shares.mean((0, 1)).detach()
    return ((shares - mean) / mean.clamp_min(1e-3)).square().mean()


def hinge_loss(poses: Tensor, skeleton: Skeleton) -> Tensor:
    """How far knees bend forward and elbows backward, mean of the positive part in units of squared bone lengths.

    In camera space (x right, y down, z away) the bend of a hinge is the part of (upper x lower) along the axis from the
    right hip (or shoulder) to the left one. 0 for a skeleton without such joints.
    """
    names, terms = skeleton.joints, []
    for hinge, (start, end, sign) in HINGES.items():
        pair = [f"{side} {start}" for side in ("left", "right")]
        if not all(f"{side} {part}" in names for side in ("left", "right") for part in (start, hinge, end)):
            continue
        axis = poses[..., names.index(pair[0]), :] - poses[..., names.index(pair[1]), :]
        axis = axis / axis.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        for side in ("left", "right"):
            first, middle, last = (poses[..., names.index(f"{side} {part}"), :] for part in (start, hinge, end))
            upper, lower = middle - first, last - middle
            bend = (torch.linalg.cross(upper, lower) * axis).sum(-1)
            scale = (upper.norm(dim=-1) * lower.norm(dim=-1)).detach().clamp_min(1e-6)
            terms.append((sign * bend / scale).relu().mean())
    return torch.stack(terms).mean() if terms else poses.new_zeros(())


def losses(
    config: LiftingConfig, forward: Callable[..., Lifted], critic: Critic, keypoints: Tensor, confidence: Tensor
) -> tuple[Tensor, dict[str, Tensor], Lifted]:
    """The total of the weighted losses, the parts by name without weight or gradient, and the output.

    Args:
        config: With the weights.
        forward: The lifter, of keypoints and confidence.
        critic: Learns to tell turned views; the lifter gets its gradients with the other sign.
        keypoints: (B, F, J, 2) screen units, of single persons.
        confidence: (B, F, J), 0 where hidden.
    """
    skeleton, root = config.skeleton, config.root
    output = forward(keypoints, confidence)
    poses, bones = output.positions, skeleton.bones
    flat, scale = projected(poses, keypoints, root)
    size = (keypoints - keypoints[:, :, root, None]).square().sum(-1).mean((1, 2)).sqrt().clamp_min(1e-4)
    turned = poses @ random_turns(len(poses), poses).mT[:, None]
    # With the errors of the detector, by which the critic would know views without them.
    view = keypoints[:, :, root, None] + scale * turned[..., :2] + (keypoints - flat).detach()
    again = forward(view, torch.ones_like(confidence)).positions
    real, fake = critic(keypoints), critic(_Reversed.apply(view))
    terms = {
        "reprojection": ((flat - keypoints).norm(dim=-1) / size[:, None, None]).mean(),
        "scale": (bone_lengths(poses, bones).sum(-1) / BONE_SUM - 1).square().mean(),
        "cycle": position_loss(again, turned),
        "critic": F.softplus(-real).mean() + F.softplus(fake).mean(),
        "bone_ratio": bone_ratio_loss(poses, bones),
        "bone_variance": bone_variance_loss(poses, bones),
        "symmetry": symmetry_loss(poses, bones, skeleton.flip_pairs),
        "hinge": hinge_loss(poses, skeleton),
    }
    total = poses.new_zeros(())
    for name, value in terms.items():
        total = total + getattr(config, f"weight_{name}") * value
    return total, {name: value.detach() for name, value in terms.items()}, output
