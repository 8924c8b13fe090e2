"""Outputs of a model: of a forward pass, poses with their confidence, rounds of iterative inference."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pplkit.core.words import quantity
from pplkit.data.crops import from_crop
from pplkit.data.images import html_summary
from pplkit.data.reader import Frame
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.memory import MemoryOutput
from pplkit.models.prior.parts import PartMaps
from pplkit.models.prior.pose_prior import PosePrior

CONFIDENCE_SCALE = 0.05  # [-1, 1] units: the expected error at which a confidence falls to 1/e


class Output(NamedTuple):
    """One forward pass; B images, N keypoints, S pixels a side."""

    prior: Tensor  # T (N, 2)
    affine: Tensor  # Θ (B, N, 2, 3)
    attention: Tensor  # (B, N, positions), sums to 1
    keypoints: Tensor  # T' (B, N, 2)
    second_keypoints: Tensor  # T' of the second views (B, N, 2), (0, N, 2) without them
    connectivity: Tensor  # W (N, N)
    link_map: Tensor  # S (B, 1, S, 2)
    reconstruction: Tensor  # (B, 3, S, 2)
    memory: MemoryOutput
    parts: PartMaps | None = None  # of the images, then of the second views; with a backbone

    def detached(self) -> "Output":
        """The same numbers without their graph."""
        tensors = {name: value.detach() for name, value in self._asdict().items() if isinstance(value, Tensor)}
        memory = MemoryOutput(*(value.detach() for value in self.memory))
        parts = self.parts and PartMaps(*(value.detach() for value in self.parts))
        return self._replace(**tensors, memory=memory, parts=parts)


ABOVE: dict[str, Callable[..., Any]] = {}  # what rooms above do with poses; pplkit/__init__.py fills it


@dataclass(frozen=True, repr=False, eq=False)
class Poses:
    """Estimated poses: keypoints (B, N, 2) in [-1, 1] and their confidence (B, N) in [0, 1], on the CPU.

    Of a single image there is no B. `len(poses)` is the number of images, `poses[3]` the pose in image 3, `poses[:3]`
    those of the first three; a single image is as a list of one, whose `[0]` it is itself. Poses are equal if all
    their numbers are and they have one shape; where they come from does not count.

    >>> poses = model.estimate(["bird.jpg", "bird.jpg"])
    >>> len(poses), len(poses[:1]), poses[0] == poses[1]
    (2, 1, True)
    """

    keypoints: Tensor
    confidence: Tensor
    distance: Tensor | None = None  # (B, N) expected error of a completed keypoint, in image sides
    hidden: Tensor | None = None  # (B, N) probability that a completed keypoint is hidden
    frames: Sequence[Frame] = ()  # the images, with the squares that the model saw
    side: int = 0  # of these squares when the model saw them, in pixels
    prior: Callable[[], PosePrior] | None = None  # of the model, for links and their widths

    def __len__(self) -> int:
        return len(self.keypoints) if self.keypoints.ndim == 3 else 1

    def __getitem__(self, index: int | slice) -> "Poses":
        """The pose in one image, or the poses in several."""
        if not isinstance(index, slice) and not -len(self) <= index < len(self):
            raise IndexError(f"there is no image {index} among {quantity(len(self), 'image')}")
        values: dict[str, Any] = self._values()
        if self.keypoints.ndim == 2:
            values = {name: value[None] for name, value in values.items()}
        chosen = index if isinstance(index, slice) else slice(index, index + 1 or None)
        values = {name: value[index] for name, value in values.items()}
        return replace(self, **values, frames=self.frames[chosen])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Poses):
            return NotImplemented
        mine, theirs = self._values(), other._values()
        return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)

    def _values(self) -> dict[str, Tensor]:
        names = ("keypoints", "confidence", "distance", "hidden")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def pixels(self) -> Tensor:
        """Keypoints (B, N, 2), of a single image (N, 2), in pixels of the original image, 0 = center of the first."""
        points = self.keypoints.reshape(len(self), *self.keypoints.shape[-2:]).numpy()
        pixels = [from_crop(part, frame.box, self.side) for part, frame in zip(points, self.frames, strict=True)]
        return torch.as_tensor(np.array(pixels), dtype=torch.float32).reshape(self.keypoints.shape)

    def draw(self, least: float = 0.0) -> Image.Image:
        """A PIL image: a single image with its pose; of several images a sheet of at most 16, evenly chosen.

        Keypoints with a confidence below `least` are left out.

        >>> model.estimate("bird.jpg").draw().save("drawn.png")
        """
        return ABOVE["draw"](self, least)  # type: ignore[no-any-return]

    def export(self, path: str | os.PathLike[str], format: str = "coco", visible: float = 0.0) -> Path:
        """Write the poses for other programs and return the file; see `pplkit.inference.export.pose_formats`.

        `format` is "coco" (.json), "csv", "dlc" (.csv or .h5) or "sleap" (.slp); `visible` the confidence from which
        COCO calls a keypoint visible. Raises PplkitError for another format or ending.

        >>> model.estimate(["bird.jpg"]).export("poses.json", format="coco").name
        'poses.json'
        """
        return ABOVE["export"](self, Path(path), format, visible)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        shape, images = tuple(self.keypoints.shape), quantity(len(self), "image")
        mean = f", mean confidence {float(self.confidence.mean()):.2f}" if self.confidence.numel() else ""
        return f"Poses of {images}: {shape[-2]} keypoints{mean}\n  .keypoints {shape} in [-1, 1], .pixels(), .draw()"

    def _repr_html_(self) -> str:
        return html_summary(self, self.draw() if self.frames else None)


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

    images: Tensor  # (B, 3, S, 2) the input of this round
    poses: Poses  # T', on the device
    decoded_pose: Tensor | None = None  # (B, N, 2) T'_recon of the memory; of a completed round T' itself
    reconstruction: Tensor | None = None  # (B, 3, S, 2), the next round's input


def confidence(attention: Tensor) -> Tensor:
    """1 - entropy / log(positions) of attention maps (B, N, positions): (B, N) in [0, 1], 1 for a single position."""
    entropy = -(attention * attention.clamp_min(1e-12).log()).sum(-1)
    return (1 - entropy / math.log(attention.shape[-1])).clamp(0, 1)


def concatenate_poses(parts: Sequence[Poses], keypoints: int) -> Poses:
    """Poses of several batches as one, on the CPU; without batches (0, `keypoints`, 2)."""
    if not parts:
        return Poses(torch.zeros(0, keypoints, 2), torch.zeros(0, keypoints))
    names = ("keypoints", "confidence", *(("distance", "hidden") if parts[0].distance is not None else ()))
    tensors: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]).cpu() for name in names}
    return Poses(**tensors)


def concatenate_rounds(rounds: Sequence[Iteration]) -> Iteration:
    """The same round of several batches as one, on the CPU."""
    poses = concatenate_poses([batch.poses for batch in rounds], 0)
    decoded = [batch.decoded_pose for batch in rounds if batch.decoded_pose is not None]
    images = [batch.reconstruction for batch in rounds if batch.reconstruction is not None]
    optional = (torch.cat(part).cpu() for part in (decoded, images) if part)
    return Iteration(torch.cat([batch.images for batch in rounds]).cpu(), poses, *optional)
