"""One step and the loop around it; the only optimiser."""

import ctypes
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pplkit.batches import Batch, Batches, check
from pplkit.config import Config
from pplkit.dataset import Dataset
from pplkit.errors import Diverged, PplkitError
from pplkit.features import PerceptualFeatures, perceptual_features
from pplkit.losses import losses
from pplkit.model import PosePriorLearner
from pplkit.poses import Output
from pplkit.prior import PosePrior
from pplkit.runs import RunFolder, write_json

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOG_EVERY = 20  # steps between lines of metrics.jsonl
SAVE_EVERY = 200  # steps between checkpoints; a multiple of LOG_EVERY, so that a continued run logs the same lines


@dataclass(frozen=True)
class Progress:
    """What a watcher sees after each logged step."""

    step: int
    steps: int
    row: dict[str, float]  # the line added to metrics.jsonl
    images_per_second: float
    model: PosePriorLearner
    batch: Batch
    output: Output


@dataclass(frozen=True)
class Result:
    """Summary of a finished training; also in training.json."""

    run: str
    steps: int
    loss: float
    seconds: float  # of this call
    images_per_second: float
    device: str
    precision: str


Watcher = Callable[[Progress], None]


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

    device is "auto", "cpu", "cuda" or "mps"; devices the number of processes (DDP through Lightning Fabric);
    precision overrides the config's. `watch` is called after each logged step, `bar` shows a progress bar.
    Checkpoints, metrics.jsonl, prior_history.jsonl, prior.json and training.json go to the run folder.
    Raises PplkitError for settings that do not fit the data, and when the loss is no longer finite.
    """
    if "train" not in data:
        raise PplkitError(f"{data.path} has no split 'train': prepare the data set again.")
    if precision:
        config = config.replace(precision=precision)
    fabric = fabric_for(device, devices, config.precision)
    check(data["train"], config)
    keep_memory()
    features = perceptual_features(config.perceptual, config.perceptual_size)
    folder = RunFolder(Path(run))
    made_by = folder.open(config, data)  # last of the checks: nothing is left behind for nothing
    # Fabric walks through all that it hands to processes, in vain through frozen dataclasses; not through a function's.
    fabric.launch(
        partial(_fit, config=config, data=data, features=features, run=folder, made_by=made_by, watch=watch, bar=bar)
    )
    return Result(**folder.read("training.json"))


def fabric_for(device: str, devices: int, precision: str) -> "Fabric":
    """Lightning Fabric on that many devices; raises PplkitError if they are not to be had."""
    from lightning.fabric import Fabric  # takes longer to import than all the rest, and only training needs it

    strategy = "auto" if devices == 1 else "ddp_spawn"
    try:
        return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    except (ValueError, RuntimeError) as error:
        raise PplkitError(f"device={device!r} with devices={devices} is not to be had here: {error}") from None


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


def _fit(
    fabric: "Fabric",
    config: Config,
    data: Dataset,
    features: PerceptualFeatures | None,
    run: RunFolder,
    made_by: dict[str, Any],
    watch: Watcher | None,
    bar: bool,
) -> None:
    model, optimiser = build(config)
    features = features and features.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = Batches(data["train"], config, fabric.device, fabric.global_rank, fabric.world_size)
    wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
    first = run.restore(model, optimiser)
    log = _Log(run, config, first, made_by, model, optimiser, watch, bar) if fabric.is_global_zero else None
    with batches:
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
            if log:
                log.add(step + 1, total, parts, batch, output)
    if log:
        log.finish(f"{fabric.device} x {fabric.world_size}")


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


class _Log:
    """What is written while training: metrics, checkpoints, the prior as it evolves, the bar."""

    def __init__(
        self,
        run: RunFolder,
        config: Config,
        first: int,
        made_by: dict[str, Any],
        model: PosePriorLearner,
        optimiser: torch.optim.Optimizer,
        watch: Watcher | None,
        bar: bool,
    ) -> None:
        self.run, self.config, self.made_by, self.watch = run, config, made_by, watch
        self.model, self.optimiser = model, optimiser
        self.first, self.began = first, time.perf_counter()
        self.sums: dict[str, Tensor] = {}
        self.window = 0
        self.bar = tqdm(total=config.steps, initial=first, disable=not bar, unit="step", mininterval=2)
        for name in ("metrics.jsonl", "prior_history.jsonl"):
            run.cut(name, first)
        before = run.rows("metrics.jsonl")
        self.loss = before[-1]["loss"] if before else math.nan
        if first:
            self.bar.write(f"continues {run.path} after step {first}")

    def add(self, step: int, total: Tensor, parts: dict[str, Tensor], batch: Batch, output: Output) -> None:
        """Count one step; log, save and watch when it is time."""
        for name, value in {"loss": total, **parts}.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value
        self.window += 1
        self.bar.update()
        last = step == self.config.steps
        if step % LOG_EVERY and not last:
            return
        row = {name: float(value) / self.window for name, value in self.sums.items()}
        if not all(map(math.isfinite, row.values())):
            raise Diverged(
                f"the loss is no longer finite at step {step} ({row}): the last checkpoint in {self.run.path} is from "
                "before; lower learning_rate, or raise weight_boundary, and start a new run."
            )
        self.sums, self.window, self.loss = {}, 0, row["loss"]
        self.run.append("metrics.jsonl", {"step": step, **row})
        self._history(step, last)
        if step % SAVE_EVERY == 0 or last:
            self.run.save(step, self.model, self.optimiser, self.made_by)
        speed = self.speed(step)
        self.bar.set_postfix_str(f"loss {row['loss']:.3f}, {speed:.0f} images/s", refresh=False)
        if self.watch:
            self.watch(Progress(step, self.config.steps, row, speed, self.model, batch, output))

    def _history(self, step: int, last: bool) -> None:
        """The prior now, about forty times over a run."""
        every = LOG_EVERY * max(1, self.config.steps // (40 * LOG_EVERY))
        if step % every == 0 or last:
            prior = self.model.prior()
            links = {"keypoints": prior.keypoints.tolist(), "connectivity": prior.connectivity.tolist()}
            self.run.append("prior_history.jsonl", {"step": step, **links})

    def speed(self, step: int) -> float:
        """Images per second since this call began."""
        return (step - self.first) * self.config.batch_size / (time.perf_counter() - self.began)

    def finish(self, device: str) -> None:
        """Close the bar, write the prior and the summary; a run that had been finished keeps its own."""
        self.bar.close()
        path = self.run.path / "training.json"
        if self.first >= self.config.steps and path.exists():
            return
        self.model.made_by = {**self.made_by, "run": self.run.path.name, "step": self.config.steps}
        self.model.eval()
        self.model.prior().save(self.run.path / "prior.json")
        seconds = time.perf_counter() - self.began
        result = Result(
            self.run.path.name,
            self.config.steps,
            self.loss,
            seconds,
            self.speed(self.config.steps),
            device,
            self.config.precision,
        )
        write_json(path, asdict(result))
