"""The completer: a second regressor, taught by the first one's answers to complete images to see past what hides them.

The model learns from complete images and stays as it is. Its regressor's copy then sees the same training images with
holes and is asked for the pose that the first one finds in the complete image, how far it will be from that, and which
keypoints are hidden. No labels are used. Not in the paper, whose own way is `PosePriorLearner.iterate`.
"""

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.data import occlusion
from pplkit.data.dataset import Dataset
from pplkit.data.images import to_float
from pplkit.geometry.coordinates import apply_affine, relative_transform, view_transforms, warp
from pplkit.models.prior.config import Config
from pplkit.models.prior.feature_cache import DTYPE
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.outputs import CompleterOutput
from pplkit.training.loop import fit
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import fingerprint, load, restore_completer, save_completer, to_device
from pplkit.training.task import Losses, Rank, Task

MAX_IMAGES = 20_000  # of the training images, evenly spread
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
DISTANCE_WEIGHT = 25.0  # of the distance, in [-1, 1] units, beside the two uncertainties, which share its features
FEATURE_BATCHES = 32  # batches with a backbone, whose features are kept and come again and again
GREY_FRACTION = 0.8  # of the images, whose holes are grey; others show another image through them


@dataclass(frozen=True)
class CompleterSettings(Settings):
    """What a completer's training depends on."""

    steps: int = 0
    weights: str = ""  # fingerprint of the model that it learns from
    seed: int = 0
    precision: str = "32-true"
    batch_size: int = BATCH_SIZE


class DistillationBatch(NamedTuple):
    """Images with holes, and the answer to learn."""

    images: Tensor  # (B, 3, S, S); of a model with a backbone, its rows of features (B, D)
    keypoints: Tensor  # (B, N, 2) that the model finds in the complete images
    hidden: Tensor  # (B, N) float, 1 where a keypoint lies in a hole


def complete(
    run: str | os.PathLike[str], data: Dataset, *, steps: int | None = None, device: str = "auto", bar: bool = True
) -> PosePriorLearner:
    """Teach a trained run's model to complete poses and write completer.safetensors to the run folder; the model.

    Each of the `steps` (default: as many as the training's) takes 64 images. A completer that was made from the same
    weights with as many steps or more is kept. Interrupted, the next call continues; its metrics and checkpoints lie in
    completer/ of the run folder.
    Raises PplkitError if the run is not trained or in use, the data has no training images or the device is missing,
    Diverged if the loss stays not finite.

    >>> model = pplkit.complete("runs/puppets", pplkit.open_dataset("data/puppets"), steps=2, bar=False)
    >>> model.procedure()
    'completed'
    """
    if steps is not None and steps < 1:
        raise PplkitError(f"steps={steps} of the completer is too small: give a larger whole number.")
    folder = RunFolder(Path(run))
    model = load(run)
    steps = steps or model.config.steps
    if restore_completer(folder, model) < steps:
        task = CompleterTask(model, data, steps)
        with folder.held():
            own = RunFolder(folder.path / "completer")
            if own.checkpoints() and own.changed(task.config):
                shutil.rmtree(own.path)
            fit(task, own, device=device, bar=bar)
            save_completer(folder, model, steps)
            shutil.rmtree(own.path / "checkpoints")
    return to_device(model, device)


class CompleterTask(Task):
    """A copy of the model's regressor that learns to answer through holes what the model answers without them."""

    method = "completer"
    divergence_advice = "look whether the training itself went well, or try precision='32-true'"
    model: Completer

    def __init__(self, learner: PosePriorLearner, data: Dataset, steps: int) -> None:
        """`learner` stays as it is but for its `completer`."""
        config = learner.config
        self.learner, self.data = learner.eval(), data
        self.config: CompleterSettings = CompleterSettings(steps, fingerprint(learner), config.seed, config.precision)

    def check(self, world_size: int) -> None:
        """Raise PplkitError if the data does not fit the model."""
        assert self.data is not None
        check_data(self.data, self.learner.config)

    def setup(self, rank: Rank) -> None:
        """The completer starts as a copy of the regressor."""
        assert self.data is not None
        self.learner.to(rank.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sampler = DistillationSampler(self.learner, self.data)
        torch.manual_seed(self.config.seed)
        self.model = Completer(self.learner.regressor).to(rank.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learner.completer = self.model.train()

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW of the completer alone."""
        return torch.optim.AdamW(self.model.parameters(), weight_decay=0.0, fused=True)

    def batch(self, step: int) -> DistillationBatch:
        """See `DistillationSampler`."""
        return self.sampler(step)

    def learning_rates(self, step: int) -> tuple[float]:
        """Half a cosine down to a hundredth."""
        return (LEARNING_RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * step / self.config.steps)) / 2),)

    def losses(self, forward: Callable[..., Any], batch: DistillationBatch, progress: float) -> Losses:
        """See `completer_loss`."""
        output = self.learner.complete(batch.images)
        return completer_loss(output, batch), {}, output

    def finite(self, batch: DistillationBatch) -> Tensor:
        """Whether the answers are finite, a bool."""
        return torch.cat([value.flatten() for value in self.learner.complete(batch.images)]).isfinite().all()

    def detach(self, output: CompleterOutput) -> CompleterOutput:
        """An output without the graph that made it."""
        return CompleterOutput(*(value.detach() for value in output))


def check_data(data: Dataset, config: Config) -> None:
    """Raise PplkitError if the data set has no training images, or none of the model's size."""
    if "train" not in data:
        raise PplkitError(f"{data.path} has no split 'train': prepare the data set again.")
    if (size := data["train"].images.shape[1]) != config.image_size:
        raise PplkitError(
            f"{data.path} has images of {size} pixels, the model wants {config.image_size}: "
            "give the data set that it was trained on."
        )


def completer_loss(output: CompleterOutput, batch: DistillationBatch) -> Tensor:
    """Mean distance from the poses of the complete images, plus the negative log-likelihoods of two self-assessments.

    The expected distance δ is fitted by d / δ + log δ, which is least at δ = d in the mean (a Laplace likelihood), to
    distances d without gradient: it follows them and does not shape them.
    """
    distance = (output.keypoints - batch.keypoints).square().sum(-1).clamp_min(1e-12).sqrt()
    uncertainty = distance.detach() * torch.exp(-output.distance) + output.distance
    hidden = F.binary_cross_entropy_with_logits(output.hidden, batch.hidden)
    return DISTANCE_WEIGHT * distance.mean() + uncertainty.mean() + hidden


class DistillationSampler:
    """Training images with holes, and the poses that the model finds in them without holes; each step from the seed."""

    def __init__(self, model: PosePriorLearner, data: Dataset) -> None:
        split, self.config = data["train"], model.config
        count = min(len(split), MAX_IMAGES)
        rows = np.linspace(0, len(split) - 1, count).round().astype(int)
        self.device = model.alpha.device
        self.images = torch.from_numpy(np.array(split.images[rows])).to(self.device)
        self.model = model
        self.cached: dict[int, DistillationBatch] = {}
        self.answers = torch.cat([self._answers(to_float(part)) for part in self.images.split(4 * BATCH_SIZE)])

    @torch.no_grad()
    def _answers(self, images: Tensor) -> Tensor:
        return self.model.locate(images)[0]

    def __call__(self, step: int) -> DistillationBatch:
        """The batch of `step`, from 0; with a backbone there are FEATURE_BATCHES of them."""
        if self.model.backbone is None:
            return self._make(step)
        number = step % FEATURE_BATCHES
        if number not in self.cached:
            batch = self._make(number)
            with torch.no_grad():
                self.cached[number] = batch._replace(images=self.model.backbone(batch.images).to(DTYPE))
        cached = self.cached[number]
        return cached._replace(images=cached.images.float())

    def _make(self, step: int) -> DistillationBatch:
        config, rng = self.config, np.random.default_rng((self.config.seed, 3, step))
        index = torch.from_numpy(rng.integers(len(self.images), size=BATCH_SIZE)).to(self.device)
        images, keypoints = to_float(self.images[index]), self.answers[index]
        if config.max_rotation or config.max_shift:
            view = self._view(torch.from_numpy(rng.uniform(-1, 1, (BATCH_SIZE, 5))).float())
            images = warp(images, view.to(self.device))
            if config.weight_equivariance:  # the model was taught to follow the object there
                transform = relative_transform(torch.eye(2, 3).expand(BATCH_SIZE, -1, -1), view)
                keypoints = apply_affine(transform.to(self.device)[:, None], keypoints)
            else:  # its keypoints may lie on other parts there
                keypoints = self._answers(images)
        patches = torch.from_numpy(occlusion.random_masks(rng, BATCH_SIZE)).to(self.device)
        holes = occlusion.upsample_patches(patches, config.image_size)
        other = torch.from_numpy(rng.random(BATCH_SIZE) >= GREY_FRACTION).to(self.device)[:, None, None, None]
        images = torch.where(holes[:, None], images.roll(1, 0) * other, images)
        hidden = torch.from_numpy(occlusion.points_in_mask(holes.cpu().numpy(), keypoints.cpu().numpy()))
        images = images.contiguous(memory_format=torch.channels_last)
        return DistillationBatch(images, keypoints, hidden.to(self.device).float())

    def _view(self, draws: Tensor) -> Tensor:
        """How images are shown, as in training, from numbers (B, 5) in [-1, 1)."""
        config, flips = self.config, (draws[:, 4] < 0) & self.config.flip
        scales, shifts = 1 + config.max_shift * draws[:, 1], config.max_shift * draws[:, 2:4]
        return view_transforms(config.max_rotation * draws[:, 0], scales, shifts, flips)
