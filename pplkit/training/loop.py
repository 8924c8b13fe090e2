"""One step and the loop around it; the only optimiser."""

import copy
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import Diverged, PplkitError
from pplkit.core.signals import DeferredSignals, Interrupted, signal_name
from pplkit.data.dataset import Dataset
from pplkit.data.images import to_float
from pplkit.data.npy_shards import Shards
from pplkit.models.layers import collectives as ranks
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.batches import Batch, Batches, check
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.checkpoint import Checkpoint, restore
from pplkit.training.distributed import AGAIN, as_launched, by_first, fabric_for, launched, processes, usable_precision
from pplkit.training.logger import Journal, Progress, Result, Watcher
from pplkit.training.muon import Muon, is_matrix
from pplkit.training.processes import in_team
from pplkit.training.run_folder import RunFolder
from pplkit.training.runtime import described, keep_memory, working
from pplkit.training.step import Step, Taken, freeze_unused, patience
from pplkit.training.tasks.prior import rates, renewals, thickness

__all__ = ["Progress", "Result", "Watcher", "train"]

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")

LOG_EVERY = 20  # steps between lines of metrics.jsonl
SAVE_EVERY = 200  # steps between checkpoints, unless told otherwise
CALMER = 0.3  # of the learning rate, once that was not enough
LOOKED = 256  # training images in whose features object and parts are found
COUNTS = ("version", "torch", "numpy", "python", "device", "devices", "threads", "deterministic")  # for the last digits


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
    save_every: int | None = None,
    deterministic: bool = False,
) -> Result:
    """Train a model on data["train"], or continue where the run folder stopped, and write its prior.

    device is "auto", "cpu", "cuda" or "mps"; devices the number of processes, each on a device of its own, which share
    every batch and give what one gives (DDP through Lightning Fabric). Where torchrun, `fabric run` or srun started
    several processes, on one machine or more, the training takes these. precision overrides the config's.
    `watch` is called after each logged step, here or in the launcher's rank 0, and may save or stop (see `Watcher`): a
    stopped training returns what was done, and calling again continues it. `bar` shows a progress bar. `save_every` is
    the number of steps between checkpoints, else SAVE_EVERY. `deterministic` has operations that add up in a changing
    order replaced or refused; those of a CPU are not such, a GPU's can be.
    Rank 0 writes checkpoints, metrics.jsonl, prior_history.jsonl, prior.json and training.json to the run folder.
    Ctrl-C and SIGTERM save a checkpoint and raise Interrupted. A step whose loss or gradients are not finite is left
    out (`skipped` in metrics.jsonl), and after more than a few in a row it goes back to the last good checkpoint,
    once; a batch for which a device lacks memory is done in parts. Such things are told in notes.json.
    Raises PplkitError for settings that do not fit the data, a folder that cannot be written or that another process
    trains in, when the loss is no longer finite after going back, or a process is gone.
    """
    if "train" not in data:
        raise PplkitError(f"{data.path} has no split 'train': prepare the data set again.")
    if precision := precision or os.environ.get("LT_PRECISION"):  # `fabric run` takes the option for itself
        config = config.replace(precision=precision)
    check(data["train"], config, processes(devices))
    if save_every is not None and save_every < 1:
        raise PplkitError(f"save_every={save_every} is too small: give the number of steps between checkpoints.")
    precision = usable_precision(config.precision, device)
    job = partial(_fit, config=config, data=data, run=RunFolder(Path(run)), bar=bar, precision=precision)
    job = partial(job, save_every=save_every, deterministic=deterministic)
    if launched():
        return as_launched(partial(job, show=watch), device, precision)
    if devices > 1:
        return in_team(job, devices, device, precision, watch)
    return fabric_for(device, precision).launch(partial(job, show=watch))  # type: ignore[no-any-return]


def build(config: Config) -> tuple[PosePriorLearner, Muon]:
    """A model started from config.seed and its optimiser; connectivity and convolutions have rates of their own."""
    torch.manual_seed(config.seed)
    model = PosePriorLearner(config, pretrained=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.predefined:
        model.predefine(PosePrior.load(config.predefined))
    seen = [] if model.backbone is None else list(model.backbone.parameters())
    known = {id(value) for value in seen}
    own = [value for value in model.parameters() if id(value) not in known]
    matrices = [value for value in own if config.convolution_learning_rate and is_matrix(value)]
    apart = {id(value) for value in (model.links, *matrices)}
    others = [value for value in own if id(value) not in apart]
    # Rates are set before each step.
    groups: list[dict[str, Any]] = [{"params": others}, {"params": [model.links]}]
    groups.append({"params": matrices, "matrices": True})
    if opened := [value for value in seen if value.requires_grad]:
        groups.append({"params": opened})
    betas = (0.9, config.adam_beta2)
    return model, Muon(groups, betas=betas, weight_decay=config.weight_decay, fused=True)


def kept_out(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without what `start_from_features` finds."""
    found = ("backbone.shift", "backbone.scale", "clusters.")
    return {name: value for name, value in state.items() if not name.startswith(found)}


def start_from_features(model: PosePriorLearner, images: np.ndarray | Shards) -> None:
    """Standardise a backbone's features and find object and parts in them, on training images (n, S, S, 3) uint8.

    At most LOOKED of them, evenly spread; nothing without a backbone.
    """
    if model.backbone is None or model.clusters is None:
        return
    index = np.linspace(0, len(images) - 1, min(len(images), LOOKED)).round().astype(int)
    device = model.alpha.device
    parts = [
        to_float(torch.from_numpy(np.array(images[part])).to(device))
        for part in np.array_split(index, max(1, len(index) // 32))
    ]
    model.backbone.standardise(parts)
    with torch.no_grad():
        stacked = [model.backbone.stacked(model.backbone(part), model.backbone.middle).cpu() for part in parts]
    clusters = copy.deepcopy(model.clusters).cpu()
    clusters.fit(torch.cat(stacked))
    model.clusters.load_state_dict(clusters.state_dict())


def _renew(model: PosePriorLearner, batch: Batch) -> None:
    if model.config.reinit_weak_links:
        model.reinit_weak_links()
    if model.config.reset_dead_codes:
        model.reset_dead_codes(batch.inputs)


def _fit(
    fabric: "Fabric",
    config: Config,
    data: Dataset,
    run: RunFolder,
    bar: bool,
    show: Watcher | None,
    save_every: int | None = None,
    deterministic: bool = False,
    precision: str | None = None,
) -> Result:
    """The training on one rank; all ranks do the same to their shares of the batches, and rank 0 writes."""
    keep_memory(config)
    with ExitStack() as stack:
        stack.enter_context(working(fabric.device, deterministic))
        with fabric.rank_zero_first(local=True):  # which may download
            features = perceptual_features(config.perceptual, config.perceptual_size)
        features = features and features.placed(fabric.device, precision or config.precision)
        model, optimiser = build(config)
        if fabric.world_size > 1:
            freeze_unused(model)
            ranks.share_batch_norm(model, fabric.device)
        machine = described(fabric.device, fabric.world_size, deterministic)
        machine["precision"] = precision or config.precision  # which may be another on this processor

        def opened() -> dict[str, Any]:
            stack.enter_context(run.held())
            return run.open(config, data, machine)

        made_by = by_first(fabric, opened)  # last of the checks: nothing is left for nothing
        wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
        step = Step(fabric, config, wrapped, wrapped_optimiser, features)
        found = by_first(fabric, run.last)
        first = restore(found, model, optimiser)
        if found is None:
            start_from_features(model, data["train"].images)
        frozen = model.backbone if model.backbone is not None and not config.backbone_trainable else None
        ranked = (fabric.device, fabric.global_rank, fabric.world_size)
        batches = stack.enter_context(Batches(data["train"], config, *ranked, backbone=frozen))
        journal = Journal(run, first, made_by, model, optimiser, show, bar) if fabric.is_global_zero else None
        loop = _Loop(fabric, config, run, journal, step, batches, optimiser, save_every or SAVE_EVERY)
        return loop.run(found, made_by)


class _Loop:
    """The steps on one rank, from the last checkpoint to the end, or to where it is told to stop."""

    def __init__(
        self,
        fabric: "Fabric",
        config: Config,
        run: RunFolder,
        journal: Journal | None,
        step: Step,
        batches: Batches,
        optimiser: torch.optim.Optimizer,
        save_every: int,
    ) -> None:
        self.fabric, self.config, self.folder, self.journal = fabric, config, run, journal
        self.step, self.batches, self.optimiser, self.save_every = step, batches, optimiser, save_every
        self.done = self.saved = 0  # steps; those of the last checkpoint
        # What a continuation needs beside the weights, all of it in the checkpoints.
        self.means, self.rate, self.notes = ranks.Means(), 1.0, list[str]()

    def run(self, found: Checkpoint | None, made_by: dict[str, Any]) -> Result:
        """Go on from `found`, which is restored already."""
        if found:
            self._continue(found, made_by)
        self._first(lambda journal: journal.note(self.notes))
        wish = None
        with DeferredSignals() as stops:
            while self.done < self.config.steps and wish != "stop":
                wish = self._look(self._advance())
                self._heed(stops)
        device = f"{self.fabric.device} x {self.fabric.world_size}"
        return self._first(lambda journal: journal.finish(device, self.notes))

    def _first(self, function: Callable[[Journal], T]) -> T:
        """What rank 0 does, known to all."""
        return by_first(self.fabric, lambda: function(self.journal))  # type: ignore[arg-type]

    def _advance(self) -> Taken:
        step, config, model, parts = self.done, self.config, self.step.model, self.step.parts
        for group, rate in zip(self.optimiser.param_groups, rates(config, step), strict=False):
            group["lr"] = self.rate * rate
        model.thickness = thickness(config, step)
        batch = self.batches(step)
        if step < config.coarse_fraction * config.steps:
            batch = batch.halved()
        if step in renewals(config):
            _renew(model, batch)
        taken = self.step(batch, step / config.steps)
        self.means.add(taken.values, taken.skipped)
        self.done += 1
        if self.step.parts != parts:
            where = f"step {self.done}: out of memory on {self.fabric.device}"
            self._note(f"{where}, so that batches are done in {self.step.parts} parts from here on")
        return taken

    def _look(self, taken: Taken) -> str | None:
        """Log and save when it is time, and ask the watcher what it wishes."""
        step, last, row, self.batch = self.done, self.done == self.config.steps, None, taken.batch
        if step % LOG_EVERY == 0 or last:
            row, worst = self.means.row()
            if worst > patience(self.config.precision) or (last and not self.step.sound(taken.batch)):
                self._go_back(worst)
                return None
        if row:
            self._first(lambda journal: journal.log(step, row, LOG_EVERY))
        due = step // self.save_every > self.saved // self.save_every
        if last or (due and not self.means.streak()):
            self._save()
        wish = self._first(lambda journal: journal.show(row, taken.batch, taken.output)) if row else None
        if wish and self.saved != step:
            self._save()
        return wish

    def _heed(self, stops: DeferredSignals) -> None:
        """Save and end if a signal asks for it; with several processes on GPUs, which would wait, now and then."""
        heard = stops.received
        if self.fabric.world_size > 1:
            if self.fabric.device.type != "cpu" and self.done % LOG_EVERY:
                return
            heard = ranks.broadcast_first(heard)
        if heard:
            if self.saved != self.done:
                self._save()
            here = f"at step {self.done} of {self.config.steps}, which is saved in {self.folder.path}"
            raise Interrupted(f"the training was ended by {signal_name(heard)} {here}: {AGAIN}.", heard)

    def _save(self) -> None:
        precision = self.fabric.strategy.precision.state_dict()  # of the scale of gradients, for 16-mixed
        good = not self.means.streak() and self.step.sound(self.batch)
        state = {"good": good, "rate": self.rate, "parts": self.step.parts, "notes": self.notes}
        state |= {"means": self.means.state(), "precision": precision}
        self._first(lambda journal: journal.save(self.done, state))
        self.saved = self.done

    def _continue(self, found: Checkpoint, made_by: dict[str, Any]) -> None:
        self.done = self.saved = found.step
        try:
            if state := found.state:  # those of earlier versions have none
                self.rate, self.step.parts, self.notes = state["rate"] + 0.0, int(state["parts"]), list(state["notes"])
                self.means.restore(state["means"])
                if state["precision"]:
                    self.fabric.strategy.precision.load_state_dict(state["precision"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise PplkitError(f"{found.path} does not say how to go on ({error!r}): delete it.") from None
        then = {key: value for key, value in found.made_by.items() if key in COUNTS and value != made_by[key]}
        if then and self.done < self.config.steps:
            other = ", ".join(f"{key} {made_by[key]} instead of {value}" for key, value in then.items())
            self._note(f"step {self.done}: continued with {other}, so that the last digits may differ")

    def _note(self, note: str) -> None:
        self.notes = [*self.notes, note]
        self._first(lambda journal: journal.note(self.notes, 1))

    def _go_back(self, worst: int) -> None:
        """To the last good checkpoint, or the start, with a lower learning rate; raises Diverged the second time."""
        seen = self.done
        told = f"the loss or its gradients were no longer finite at step {seen}, {worst} steps in a row"
        told = told if worst else f"what the model makes of images is no longer finite at step {seen}"
        if self.rate < 1:
            path = self._first(lambda journal: journal.give_up(seen))
            raise Diverged(
                f"{told}, with {CALMER} of the learning rate as well: the state is in {path}; lower learning_rate and, "
                "if it is not 0, convolution_learning_rate, or raise weight_boundary, and start a new run."
            )
        found = by_first(self.fabric, partial(self.folder.last, good=True))
        if found is None:
            begun = build(self.config)[0].state_dict()  # what was found in the features stays
            self.step.model.load_state_dict(self.step.model.state_dict() | kept_out(begun))
            self.optimiser.state.clear()
        self.done = restore(found, self.step.model, self.optimiser)
        self.rate, self.means = CALMER, ranks.Means()
        self._note(f"{told}: back to step {self.done}, with {CALMER} of the learning rate")
        self._save()  # from here on a continuation does the same
        self._first(lambda journal: journal.back(self.done))
