"""The completer: a second regressor, taught by the first one's answers to complete images to see past what hides them.

The model learns from complete images and stays as it is. Its regressor's copy then sees the same training images with
holes and is asked for the pose that the first one finds in the complete image, how far it will be from that, and which
keypoints are hidden. No labels are used. Not in the paper, whose own way is `PosePriorLearner.iterate`.
"""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from pplkit.core.errors import Diverged, PplkitError
from pplkit.data import occlusion
from pplkit.data.dataset import Dataset
from pplkit.data.images import to_float
from pplkit.geometry.coordinates import apply_affine, relative_transform, view_transforms, warp
from pplkit.models.layers.collectives import Means
from pplkit.models.prior.feature_cache import KIND
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.outputs import CompleterOutput
from pplkit.training.distributed import fabric_for, usable_precision
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.step import Guard, patience

if TYPE_CHECKING:
    from lightning.fabric import Fabric

IMAGES = 20_000  # of the training images at most, evenly spread
BATCH = 64
RATE = 1e-3
LOOK = 100  # steps between looks at whether steps were left out
NEAR = 25.0  # weight of the distance, in [-1, 1] units, beside the two doubts, which share its features
LESSONS = 32  # batches with a backbone, whose features are kept and come again and again
GREY = 0.8  # share of the images whose holes are grey; others show another image through them


class Lesson(NamedTuple):
    """A batch to learn from."""

    images: Tensor  # (B, 3, S, S) with holes; of a model with a backbone, its rows of features (B, D)
    keypoints: Tensor  # (B, N, 2) of the complete images
    hidden: Tensor  # (B, N) float, 1 where a keypoint lies in a hole


def complete(
    run: str | os.PathLike[str], data: Dataset, *, steps: int | None = None, device: str = "auto", bar: bool = True
) -> PosePriorLearner:
    """Teach a trained run's model to complete poses, write completer.safetensors beside its checkpoints; the model.

    Each of the `steps` (default: as many as the training's) takes 64 images. One that was made from the same
    weights with as many steps or more is kept. Interrupted, it begins again at the next call. Steps whose loss or
    gradients are not finite are left out. Raises PplkitError if the run is not trained or in use, the data has no
    training images, the device is not to be had, or the loss stays not finite.
    """
    if steps is not None and steps < 1:
        raise PplkitError(f"steps={steps} of the completer is too small: give a larger whole number.")
    folder = RunFolder(Path(run))
    model = load(run)
    steps = steps or model.config.steps
    fabric = fabric_for(device, usable_precision(model.config.precision, device))
    kept = folder.restore_completer(model)
    model = model.to(fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    if kept >= steps:
        return model
    teacher = Teacher(model, data)
    with folder.held():
        _teach(fabric, model, teacher, steps, bar)
        folder.save_completer(model, steps)
    return model.eval()


def _teach(fabric: "Fabric", model: PosePriorLearner, teacher: "Teacher", steps: int, bar: bool) -> None:
    torch.manual_seed(model.config.seed)
    model.completer = Completer(model.regressor).to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.completer.train()
    optimiser = torch.optim.AdamW(model.completer.parameters(), weight_decay=0.0, fused=True)
    guard, means = Guard(fabric, model.completer, fabric.setup_optimizers(optimiser)), Means()
    for step in trange(steps, disable=not bar, unit="step", desc="completer", mininterval=2):
        optimiser.param_groups[0]["lr"] = RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
        lesson, before = teacher(step), guard.remember()
        with fabric.autocast():
            found = model.complete(lesson.images)
        loss = doubts_and_distance(found, lesson)
        fabric.backward(loss)
        means.add({"loss": loss.detach()}, guard.step(loss, before))
        if (step + 1) % LOOK == 0 or step + 1 == steps:
            worst = means.row().worst
            if worst > patience(model.config.precision):
                raise Diverged(
                    f"the completer's loss or its gradients were not finite in {worst} steps in a row before step "
                    f"{step + 1}: look whether the training itself went well, or try precision='32-true'."
                )


def doubts_and_distance(found: CompleterOutput, lesson: Lesson) -> Tensor:
    """The loss: mean distance from the poses of the complete images, and how wrong the completer is about itself.

    The expected distance δ is fitted by d / δ + log δ, which is least at δ = d in the mean (a Laplace likelihood), to
    distances d without gradient: it follows them and does not shape them.
    """
    away = (found.keypoints - lesson.keypoints).square().sum(-1).clamp_min(1e-12).sqrt()
    doubt = away.detach() * torch.exp(-found.distance) + found.distance
    return NEAR * away.mean() + doubt.mean() + F.binary_cross_entropy_with_logits(found.hidden, lesson.hidden)


class Teacher:
    """Training images with holes, and the poses that the model finds in them without holes; each step from the seed."""

    def __init__(self, model: PosePriorLearner, data: Dataset) -> None:
        if "train" not in data:
            raise PplkitError(f"{data.path} has no split 'train': prepare the data set again.")
        split, self.config = data["train"], model.config
        count = min(len(split), IMAGES)
        rows = np.linspace(0, len(split) - 1, count).round().astype(int)
        self.device = model.alpha.device
        self.images = torch.from_numpy(np.array(split.images[rows])).to(self.device)
        if self.images.shape[1] != self.config.image_size:
            raise PplkitError(
                f"{data.path} has images of {self.images.shape[1]} pixels, the model wants {self.config.image_size}: "
                "give the data set that it was trained on."
            )
        self.model = model
        self.kept: dict[int, Lesson] = {}
        self.answers = torch.cat([self._answers(to_float(part)) for part in self.images.split(4 * BATCH)])

    @torch.no_grad()
    def _answers(self, images: Tensor) -> Tensor:
        return self.model.locate(images)[0]

    def __call__(self, step: int) -> Lesson:
        """The lesson of `step`, from 0; with a backbone there are LESSONS of them."""
        if self.model.backbone is None:
            return self._made(step)
        number = step % LESSONS
        if number not in self.kept:
            lesson = self._made(number)
            with torch.no_grad():
                self.kept[number] = lesson._replace(images=self.model.backbone(lesson.images).to(KIND))
        kept = self.kept[number]
        return kept._replace(images=kept.images.float())

    def _made(self, step: int) -> Lesson:
        config, rng = self.config, np.random.default_rng((self.config.seed, 3, step))
        index = torch.from_numpy(rng.integers(len(self.images), size=BATCH)).to(self.device)
        images, keypoints = to_float(self.images[index]), self.answers[index]
        if config.max_rotation or config.max_shift:
            view = self._view(torch.from_numpy(rng.uniform(-1, 1, (BATCH, 5))).float())
            images = warp(images, view.to(self.device))
            if config.weight_equivariance:  # the model was taught to follow the object there
                moves = relative_transform(torch.eye(2, 3).expand(BATCH, -1, -1), view)
                keypoints = apply_affine(moves.to(self.device)[:, None], keypoints)
            else:  # its keypoints may lie on other parts there
                keypoints = self._answers(images)
        holes = occlusion.spread(torch.from_numpy(occlusion.holes(rng, BATCH)).to(self.device), config.image_size)
        other = torch.from_numpy(rng.random(BATCH) >= GREY).to(self.device)[:, None, None, None]
        images = torch.where(holes[:, None], images.roll(1, 0) * other, images)
        hidden = torch.from_numpy(occlusion.at(holes.cpu().numpy(), keypoints.cpu().numpy())).to(self.device)
        return Lesson(images.contiguous(memory_format=torch.channels_last), keypoints, hidden.float())

    def _view(self, draws: Tensor) -> Tensor:
        """How images are shown, as in training, from numbers (B, 5) in [-1, 1)."""
        config, flips = self.config, (draws[:, 4] < 0) & self.config.flip
        return view_transforms(
            config.max_rotation * draws[:, 0],
            1 + config.max_shift * draws[:, 1],
            config.max_shift * draws[:, 2:4],
            flips,
        )
