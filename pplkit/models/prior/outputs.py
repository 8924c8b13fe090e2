"""What a model says of images: outputs of a pass, poses and how sure they are, rounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.memory import MemoryOutput
from pplkit.models.prior.parts import PartMaps

CLOSE = 0.05  # [-1, 1] units: the confidence of a keypoint that is expected as far as this from its place falls to 1/e


class Output(NamedTuple):
    """All that one forward pass computes; B images, N keypoints, S pixels a side."""

    prior: Tensor  # T (N, 2)
    affine: Tensor  # Θ (B, N, 2, 3)
    attention: Tensor  # (B, N, positions), sums to 1
    keypoints: Tensor  # T' (B, N, 2)
    second_keypoints: Tensor  # T' of the other views (B, N, 2), (0, N, 2) without them
    connectivity: Tensor  # W (N, N)
    link_map: Tensor  # S (B, 1, S, S)
    reconstruction: Tensor  # (B, 3, S, S)
    memory: MemoryOutput
    parts: PartMaps | None = None  # of the images and of the other views, with a backbone

    def detached(self) -> "Output":
        """The same numbers without the graph that made them."""
        groups = ("memory", "parts")
        own: dict[str, Any] = {name: part.detach() for name, part in self._asdict().items() if name not in groups}
        parts = None if self.parts is None else PartMaps(*(part.detach() for part in self.parts))
        return self._replace(**own, memory=MemoryOutput(*(part.detach() for part in self.memory)), parts=parts)


@dataclass(frozen=True)
class Poses:
    """Estimated poses: keypoints (B, N, 2) in [-1, 1] and their confidence (B, N) in [0, 1], on the CPU."""

    keypoints: Tensor
    confidence: Tensor
    distance: Tensor | None = None  # (B, N) how far a completed keypoint is expected from its place, in image sides
    hidden: Tensor | None = None  # (B, N) probability that a completed keypoint is hidden


class CompleterOutput(NamedTuple):
    """What the completer makes of images."""

    keypoints: Tensor  # (B, N, 2)
    distance: Tensor  # (B, N) log of the distance expected from the pose of the complete image, [-1, 1] units
    hidden: Tensor  # (B, N) logit of the keypoint being hidden

    def poses(self, size: int) -> Poses:
        """In images of `size` pixels; the confidence is that of being seen, times e^(-distance / CLOSE)."""
        distance, hidden = self.distance.exp(), self.hidden.sigmoid()
        sure = (1 - hidden) * torch.exp(-distance / CLOSE)
        return Poses(self.keypoints, sure, distance * sides_per_unit(size), hidden)


@dataclass(frozen=True)
class Iteration:
    """One round of iterative inference: what went in, the pose T', and what was painted from it, if anything was."""

    images: Tensor  # (B, 3, S, S) the input of this round
    poses: Poses  # T' and how sure it is, on the device
    decoded_pose: Tensor | None = (
        None  # (B, N, 2) the pose that is painted: T'_recon of the memory; completed, T' itself
    )
    reconstruction: Tensor | None = None  # (B, 3, S, S), the next round's input


def confidence(attention: Tensor) -> Tensor:
    """How concentrated each attention map is: 1 - entropy / log(positions); (B, N, positions) to (B, N) in [0, 1]."""
    entropy = -(attention * attention.clamp_min(1e-12).log()).sum(-1)
    return (1 - entropy / math.log(attention.shape[-1])).clamp(0, 1)


def concatenate_poses(parts: Sequence[Poses], keypoints: int) -> Poses:
    """Poses of several batches as one, on the CPU; without any, none of `keypoints` keypoints."""
    if not parts:
        return Poses(torch.zeros(0, keypoints, 2), torch.zeros(0, keypoints))
    rows = [torch.cat([getattr(part, name) for part in parts]).cpu() for name in ("keypoints", "confidence")]
    more = ("distance", "hidden") if parts[0].distance is not None else ()
    return Poses(*rows, *(torch.cat([getattr(part, name) for part in parts]).cpu() for name in more))


def concatenate_rounds(rounds: Sequence[Iteration]) -> Iteration:
    """The same round of several batches as one, on the CPU."""
    poses = concatenate_poses([one.poses for one in rounds], 0)
    painted = [one.reconstruction for one in rounds if one.reconstruction is not None]
    recalled = [one.decoded_pose for one in rounds if one.decoded_pose is not None]
    more = (torch.cat(part).cpu() for part in (recalled, painted) if part)
    return Iteration(torch.cat([one.images for one in rounds]).cpu(), poses, *more)
