"""Lifting as the engine's task: model, optimizer, windows of poses, losses and schedules."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.data.pose_views import LiftBatch, SequenceWindows
from pplkit.data.sequences import read_pairs, read_sequence
from pplkit.geometry.coordinates import mirror
from pplkit.models.lifting import unlabelled
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.losses import losses
from pplkit.models.lifting.model import build_model
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.muon import Muon
from pplkit.training.run_folder import start_from
from pplkit.training.task import Losses, Rank, Task

MATRIX_BLOCK = 64  # rows that Muon takes for a matrix of their own
EPOCH_STEPS = 6093  # of Human3.6M in the published training; motion made by rule has no epochs
SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1


class Windows(Protocol):
    """Where training windows come from; picklable."""

    def __call__(self, seed: int, count: int, frames: int) -> LiftBatch:
        """`count` windows of `frames` frames; the same seed gives the same."""


class LiftingBatch(NamedTuple):
    """Windows of one step."""

    keypoints: Tensor  # (B, F, J, 2) screen units
    confidence: Tensor  # (B, F, J), 0 where hidden
    positions: Tensor  # (B, F, J, 3) meters, camera space, relative to the root


def train_lifter(
    config: LiftingConfig,
    source: Windows | str | os.PathLike[str],
    run: str | os.PathLike[str],
    start: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Result:
    """Train a lifter, or continue where the run folder stopped; `options` are those of `training.loop.fit`.

    `source` makes windows, as `data_prep.motion_synthetic.lift_batch` does, or is a folder: of .npz files of 3D
    sequences in world space, or of pairs NAME_2d.npz and NAME_3d.npz. A folder's skeleton replaces that of the config.
    `start` is the run folder of a lifter of the same form whose weights the training starts from.
    Raises PplkitError for sequences that do not go together, and as `fit` does.
    """
    if not callable(source):
        source = windows_of(Path(source), config.fps)
    if isinstance(source, SequenceWindows):
        config = config.for_skeleton(source.skeleton, config.fps)
    return fit(LiftingTask(config, source, start), run, **options)


def windows_of(folder: Path, fps: float) -> SequenceWindows:
    """The windows of a folder of sequences, or of pairs, at `fps`. Raises PplkitError if it has none."""
    if any(folder.glob("*_2d.npz")):
        return SequenceWindows(read_pairs(folder), fps)
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise PplkitError(
            f"{folder} holds no pose sequences (.npz): prepare it with data_prep.motion_synthetic, data_prep.bvh or "
            "data_prep.h36m_poses."
        )
    return SequenceWindows([read_sequence(path) for path in paths], fps)


class LiftingTask(Task):
    """A network that gives 3D poses of windows of 2D ones."""

    method = "lifting"
    divergence_advice = "lower learning_rate and matrix_learning_rate"

    def __init__(self, config: LiftingConfig, source: Windows, start: str | os.PathLike[str] | None = None) -> None:
        self.config: LiftingConfig = config
        self.source, self.start = source, start

    def check(self, world_size: int) -> None:
        """Raise PplkitError for several processes without 3D labels, where the network is called twice in a step."""
        if self.config.labels == "2d" and world_size > 1:
            raise PplkitError("labels='2d' is trained in one process: use --devices 1.")

    def setup(self, rank: Rank) -> None:
        """Build the network from the seed or the run to start from, and compile it if asked to."""
        torch.manual_seed(self.config.seed)
        self.rank = rank
        self.model: nn.Module = build_model(self.config)
        if self.start is not None:
            start_from(self.start, self.model)
        if self.config.compile:
            self.model.compile()  # in place, so that weights keep their names

    def optimizer(self) -> Muon:
        """AdamW; with `matrix_learning_rate`, the weights of the blocks go by Muon."""
        blocks = getattr(self.model, "blocks", nn.Module()) if self.config.matrix_learning_rate else nn.Module()
        matrices = [value for value in blocks.parameters() if value.ndim == 2]
        apart = {id(value) for value in matrices}
        others = [value for value in self.model.parameters() if id(value) not in apart]
        groups: list[dict[str, Any]] = [
            {"params": others},
            {"params": matrices, "matrices": True, "block": MATRIX_BLOCK},
        ]
        return Muon(groups, weight_decay=self.config.weight_decay, fused=True)

    def learning_rates(self, step: int) -> Sequence[float]:
        """Rising over the warm-up, then half a cosine, and the published decay after each epoch."""
        config = self.config
        low, warmup = config.final_learning_rate, min(1.0, (step + 1) / max(config.warmup_steps, 1))
        left = warmup * (low + (1 - low) * (1 + math.cos(math.pi * step / config.steps)) / 2)
        examples = getattr(self.source, "examples", 0)
        epoch = math.ceil((1 + config.flip) * examples / config.batch_size) or EPOCH_STEPS
        left *= config.learning_rate_decay ** (step // epoch)
        return left * config.learning_rate, left * config.matrix_learning_rate

    def batch(self, step: int) -> LiftingBatch:
        """This process's share of the windows of a step, half of them mirrored, some joints hidden."""
        config, seed = self.config, self.config.seed * SEED_STRIDE + step
        windows = self.source(seed, config.batch_size, config.frames)
        keypoints, positions = torch.from_numpy(windows.keypoints), torch.from_numpy(windows.positions)
        confidence = torch.from_numpy(windows.confidence)
        positions = positions - positions[:, :, config.root, None]
        rng = np.random.default_rng((seed, 3))
        if config.flip:
            turned = torch.from_numpy(rng.random(len(keypoints)) < 0.5)[:, None, None]
            pairs, order = config.skeleton.flip_pairs, torch.tensor(config.skeleton.mirror)
            keypoints = torch.where(turned[..., None], mirror(keypoints, pairs), keypoints)
            positions = torch.where(turned[..., None], mirror(positions, pairs), positions)
            confidence = torch.where(turned, confidence[..., order], confidence)
        if config.hidden_joints:
            confidence = confidence * ~torch.from_numpy(hidden_joints(rng, confidence.shape, config))
        share, device = slice(self.rank.number, None, self.rank.world_size), self.rank.device
        return LiftingBatch(*(value[share].to(device) for value in (keypoints, confidence, positions)))

    def losses(self, forward: Callable[..., Any], batch: LiftingBatch, progress: float) -> Losses:
        """See `models.lifting.losses`, or `unlabelled.losses`; of "poseformer" the center frame alone counts."""
        config, target = self.config, batch.positions
        if config.labels == "2d":
            return unlabelled.losses(config, forward, self.model.critic, batch.keypoints, batch.confidence)  # type: ignore[arg-type]
        if isinstance(self.model, PoseFormer):
            output = Lifted(forward(batch.keypoints), None)
            target = target[:, config.frames // 2, None]
        else:
            output = forward(batch.keypoints, batch.confidence)
        return *losses(config, output, target, config.skeleton), output

    def finite(self, batch: LiftingBatch) -> Tensor:
        """Whether the poses are finite, a bool."""
        output = self.model(batch.keypoints)
        return (output if isinstance(output, Tensor) else output.positions).isfinite().all()

    def detach(self, output: Lifted) -> Lifted:
        """An output without the graph that made it."""
        return Lifted(output.positions.detach(), None if output.spread is None else output.spread.detach())


def hidden_joints(rng: np.random.Generator, shape: Sequence[int], config: LiftingConfig) -> np.ndarray:
    """Which joints (B, F, J) are hidden: in half of the windows none, in the others a share that differs.

    Half of the share is hidden throughout the window, half in single frames; on average `config.hidden_joints` of all
    joints but the root, which is always seen. Whole windows are needed to learn exact poses from, and only much that
    is hidden at once teaches to fill it in.
    """
    share = 4 * config.hidden_joints * rng.random((shape[0], 1, 1)) * (rng.random((shape[0], 1, 1)) < 0.5)
    hidden = (rng.random(shape) < share / 2) | (rng.random((shape[0], 1, shape[2])) < share / 2)
    hidden[..., config.root] = False
    return hidden
