"""Outputs of a model: of a forward pass, poses with their confidence, rounds of iterative inference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.memory import MemoryOutput
from pplkit.models.prior.parts import PartMaps

CONFIDENCE_SCALE = 0.05  # [-1, 1] units: the expected error at which a confidence falls to 1/e


class Output(NamedTuple):
    """One forward pass; B images, N keypoints, S pixels a side."""

    prior: Tensor  # T (N, 2)
    affine: Tensor  # Θ (B, N, 2, 3)
    attention: Tensor  # (B, N, positions), sums to 1
    keypoints: Tensor  # T' (B, N, 2)
    second_keypoints: Tensor  # T' of the second views (B, N, 2), (0, N, 2) without them
    connectivity: Tensor  # W (N, N)
    link_map: Tensor  # S (B, 1, S, S)
    reconstruction: Tensor  # (B, 3, S, S)
    memory: MemoryOutput
    parts: PartMaps | None = None  # of the images, then of the second views; with a backbone

    def detached(self) -> "Output":
        """The same numbers without their graph."""
        tensors = {name: value.detach() for name, value in self._asdict().items() if isinstance(value, Tensor)}
        memory = MemoryOutput(*(value.detach() for value in self.memory))
        parts = self.parts and PartMaps(*(value.detach() for value in self.parts))
        return self._replace(**tensors, memory=memory, parts=parts)


@dataclass(frozen=True)
class Poses:
    """Estimated poses: keypoints (B, N, 2) in [-1, 1] and their confidence (B, N) in [0, 1], on the CPU."""

    keypoints: Tensor
    confidence: Tensor
    distance: Tensor | None = None  # (B, N) expected error of a completed keypoint, in image sides
    hidden: Tensor | None = None  # (B, N) probability that a completed keypoint is hidden


class CompleterOutput(NamedTuple):
    """The completer's output."""

    keypoints: Tensor  # (B, N, 2)
    distance: Tensor  # (B, N) log of the expected distance from the keypoints of the complete image, [-1, 1] units
    hidden: Tensor  # (B, N) logit of the keypoint being hidden

    def poses(self, size: int) -> Poses:
        """In images of `size` pixels; confidence is P(visible) · e^(-distance / CONFIDENCE_SCALE)."""
        distance, hidden = self.distance.exp(), self.hidden.sigmoid()
        confidence = (1 - hidden) * torch.exp(-distance / CONFIDENCE_SCALE)
        return Poses(self.keypoints, confidence, distance * sides_per_unit(size), hidden)


@dataclass(frozen=True)
class Iteration:
    """One round of iterative inference: its input, the pose T', and what was reconstructed from it, if anything was."""

    images: Tensor  # (B, 3, S, S) the input of this round
    poses: Poses  # T', on the device
    decoded_pose: Tensor | None = None  # (B, N, 2) T'_recon of the memory; of a completed round T' itself
    reconstruction: Tensor | None = None  # (B, 3, S, S), the next round's input


def confidence(attention: Tensor) -> Tensor:
    """1 - entropy / log(positions) of attention maps (B, N, positions): (B, N) in [0, 1], 1 for a single position."""
    entropy = -(attention * attention.clamp_min(1e-12).log()).sum(-1)
    return (1 - entropy / math.log(attention.shape[-1])).clamp(0, 1)


def concatenate_poses(parts: Sequence[Poses], keypoints: int) -> Poses:
    """Poses of several batches as one, on the CPU; without batches (0, `keypoints`, 2)."""
    if not parts:
        return Poses(torch.zeros(0, keypoints, 2), torch.zeros(0, keypoints))
    names = ("keypoints", "confidence", *(("distance", "hidden") if parts[0].distance is not None else ()))
    return Poses(*(torch.cat([getattr(part, name) for part in parts]).cpu() for name in names))


def concatenate_rounds(rounds: Sequence[Iteration]) -> Iteration:
    """The same round of several batches as one, on the CPU."""
    poses = concatenate_poses([batch.poses for batch in rounds], 0)
    decoded = [batch.decoded_pose for batch in rounds if batch.decoded_pose is not None]
    images = [batch.reconstruction for batch in rounds if batch.reconstruction is not None]
    optional = (torch.cat(part).cpu() for part in (decoded, images) if part)
    return Iteration(torch.cat([batch.images for batch in rounds]).cpu(), poses, *optional)
