"""One step and the loop around it; the only optimiser."""

import ctypes
import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pplkit import ranks
from pplkit.batches import Batch, Batches, check
from pplkit.config import Config
from pplkit.dataset import Dataset
from pplkit.devices import as_launched, by_first, fabric_for, launched, processes
from pplkit.errors import Diverged, PplkitError
from pplkit.features import PerceptualFeatures, perceptual_features
from pplkit.journal import Journal, Progress, Result, Watcher
from pplkit.losses import losses
from pplkit.model import PosePriorLearner
from pplkit.poses import Output
from pplkit.prior import PosePrior
from pplkit.runs import RunFolder, restore
from pplkit.team import in_team

__all__ = ["Progress", "Result", "Watcher", "train"]

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOG_EVERY = 20  # steps between lines of metrics.jsonl
SAVE_EVERY = 200  # steps between checkpoints; a multiple of LOG_EVERY, so that a continued run logs the same lines


def train(
    config: Config,
    data: Dataset,
    run: str | os.PathLike[str],
    *,
    device: str = "auto",
    devices: int = 1,
    precision: str | None = None,
    watch: Watcher | None = None,
    bar: bool = True,
) -> Result:
    """Train a model on data["train"], or continue where the run folder stopped, and write its prior.

    device is "auto", "cpu", "cuda" or "mps"; devices the number of processes, each on a device of its own, which share
    every batch and give what one gives (DDP through Lightning Fabric). Where torchrun, `fabric run` or srun started
    several processes, on one machine or more, the training takes these. precision overrides the config's.
    `watch` is called after each logged step, here or in the launcher's rank 0, and may save or stop (see `Watcher`): a
    stopped training returns what was done, and calling again continues it. `bar` shows a progress bar.
    Rank 0 writes checkpoints, metrics.jsonl, prior_history.jsonl, prior.json and training.json to the run folder.
    Raises PplkitError for settings that do not fit the data, when the loss is no longer finite, or a process is gone.
    """
    if "train" not in data:
        raise PplkitError(f"{data.path} has no split 'train': prepare the data set again.")
    if precision := precision or os.environ.get("LT_PRECISION"):  # `fabric run` takes the option for itself
        config = config.replace(precision=precision)
    check(data["train"], config, processes(devices))
    job = partial(_fit, config=config, data=data, run=RunFolder(Path(run)), bar=bar)
    if launched():
        return as_launched(partial(job, show=watch), device, config.precision)
    if devices > 1:
        return in_team(job, devices, device, config.precision, watch)
    return fabric_for(device, config.precision).launch(partial(job, show=watch))  # type: ignore[no-any-return]


def keep_memory() -> None:
    """Ask glibc to keep what a step frees for the next step, if this is glibc.

    It would give blocks of some MB back to the system and get them again page by page: ten thousand and more in a
    step of the preset `puppets` at full resolution.
    """
    if os.name == "posix" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(ctypes.c_int(-3), ctypes.c_int(2**25))  # M_MMAP_THRESHOLD: its maximum, 32 MB
        libc.mallopt(ctypes.c_int(-1), ctypes.c_int(2**31 - 1))  # M_TRIM_THRESHOLD


def build(config: Config) -> tuple[PosePriorLearner, torch.optim.AdamW]:
    """A model started from config.seed and its optimiser; the connectivity has a learning rate of its own."""
    torch.manual_seed(config.seed)
    model = PosePriorLearner(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.predefined:
        model.predefine(PosePrior.load(config.predefined))
    others = [value for name, value in model.named_parameters() if name != "links"]
    groups = [{"params": others}, {"params": [model.links]}]  # rates are set before each step
    return model, torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def rates(config: Config, step: int) -> tuple[float, float]:
    """Learning rates at `step`: of the networks, half a cosine down; of the links, growing after the coarse part."""
    share = step / config.steps
    low = config.final_learning_rate
    networks = config.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * share)) / 2)
    fine = max(0.0, share - config.coarse) / (1 - config.coarse) if config.coarse < 1 else 0.0
    return networks, config.connectivity_learning_rate * config.connectivity_growth**fine


def revivals(config: Config) -> set[int]:
    """Steps before which keypoints with weak links only get strong ones: at 20, 30, … 80 %."""
    return {config.steps * tenth // 10 for tenth in range(2, 9)} if config.revive else set()


def thickness(config: Config, step: int) -> float:
    """Link width σ at `step`: from thickness_start, if set, in equal ratios to thickness at half of the steps."""
    share = min(1.0, 2 * step / config.steps)
    return (config.thickness_start or config.thickness) ** (1 - share) * config.thickness**share


def freeze_unused(model: PosePriorLearner) -> None:
    """Freeze the parameters that no loss of the config reaches, for whose gradients DDP would wait."""
    config = model.config
    images = torch.zeros(2, 3, config.image_size, config.image_size)
    again, moves = (images, torch.zeros(2, 2, 3)) if config.weight_equivariance else (None, None)
    batch = Batch(images, images, images, again, moves)
    model.eval()  # so that nothing else changes
    output = model(images, images, again)
    both = [losses(config, None, batch, output, share)[0] for share in (0.0, 1.0)]  # some count early, some late
    torch.stack(both).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad()
    model.train()


def _fit(fabric: "Fabric", config: Config, data: Dataset, run: RunFolder, bar: bool, show: Watcher | None) -> Result:
    """The training on one rank; all ranks do the same to their shares of the batches, and rank 0 writes."""
    keep_memory()
    with fabric.rank_zero_first(local=True):  # which may download
        features = perceptual_features(config.perceptual, config.perceptual_size)
    features = features and features.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimiser = build(config)
    if fabric.world_size > 1:
        freeze_unused(model)
        ranks.share_batch_norm(model, fabric.device)
    with Batches(data["train"], config, fabric.device, fabric.global_rank, fabric.world_size) as batches:
        made_by = by_first(fabric, lambda: run.open(config, data))  # last of the checks: nothing is left for nothing
        wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
        first = restore(by_first(fabric, run.last), model, optimiser)
        means = ranks.Means()
        log = Journal(run, first, made_by, model, optimiser, show, bar) if fabric.is_global_zero else None
        for step in range(first, config.steps):
            for group, rate in zip(optimiser.param_groups, rates(config, step), strict=True):
                group["lr"] = rate
            model.thickness = thickness(config, step)
            batch = batches(step)
            if step < config.coarse * config.steps:
                batch = batch.halved()
            if step in revivals(config):
                model.revive()
            total, parts, output = one_step(
                fabric, config, wrapped, wrapped_optimiser, features, batch, step / config.steps
            )
            means.add({"loss": total, **parts})
            if (step + 1) % LOG_EVERY and step + 1 < config.steps:
                continue
            row = _finite(means.row(), step + 1, run)
            save = (step + 1) % SAVE_EVERY == 0 or step + 1 == config.steps
            wish = by_first(fabric, lambda: log and log.add(step + 1, row, batch, output, LOG_EVERY, save))  # noqa: B023
            if wish == "stop":
                break
    return by_first(fabric, partial(Journal.finish, log, f"{fabric.device} x {fabric.world_size}"))  # type: ignore[arg-type]


def one_step(
    fabric: "Fabric",
    config: Config,
    model: nn.Module,
    optimiser: Any,
    features: PerceptualFeatures | None,
    batch: Batch,
    share: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor], Output]:
    """Forward, losses, backward, update; `model` and `optimiser` as Fabric set them up, `share` of the training done.

    Returns the loss and its parts, without gradients, and the model's output.
    """
    output: Output = model(batch.images, batch.reference, batch.again)
    with fabric.autocast():
        total, parts = losses(config, features, batch, output, share)
    fabric.backward(total)
    optimiser.step()
    optimiser.zero_grad()
    return total.detach(), parts, output


def _finite(row: dict[str, float], step: int, run: RunFolder) -> dict[str, float]:
    if not all(map(math.isfinite, row.values())):
        raise Diverged(
            f"the loss is no longer finite at step {step} ({row}): the last checkpoint in {run.path} is from "
            "before; lower learning_rate, or raise weight_boundary, and start a new run."
        )
    return row
