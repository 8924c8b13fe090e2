"""`fit`: the training loop of every method."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from pplkit.core.errors import Diverged, PplkitError
from pplkit.core.signals import DeferredSignals, Interrupted, signal_name
from pplkit.core.words import quantity
from pplkit.models.layers import collectives
from pplkit.training.averages import Averages
from pplkit.training.checkpoint import Checkpoint, restore
from pplkit.training.distributed import (
    CONTINUE,
    as_launched,
    fabric_for,
    launched,
    on_rank_zero,
    usable_precision,
    world_size,
)
from pplkit.training.guard import patience
from pplkit.training.logger import Callback, Result, TrainingLogger
from pplkit.training.processes import spawn_workers
from pplkit.training.run_folder import RunFolder
from pplkit.training.runtime import machine_description, working
from pplkit.training.step import Step, StepResult
from pplkit.training.task import Rank, Task
from pplkit.training.threads import choose_threads, running_threads

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")

LOG_EVERY_STEPS = 20
SAVE_EVERY_STEPS = 200
RETRY_RATE = 0.3  # of the learning rate, after going back
# What decides the last digits of a run; a continuation on something else gets a note.
COMPARED = ("version", "torch", "numpy", "python", "device", "devices", "threads", "deterministic")


def fit(
    task: Task,
    run: RunFolder | str | os.PathLike[str],
    *,
    device: str = "auto",
    devices: int = 1,
    callback: Callback | None = None,
    bar: bool = True,
    save_every: int | None = None,
    deterministic: bool = False,
    threads: int | None = None,
) -> Result:
    """Train a task, or continue where the run folder stopped.

    Args:
        task: what is trained; see `Task`.
        run: the run folder; rank 0 writes checkpoints, metrics.jsonl, the task's history file and training.json.
        device: "auto", "cpu", "cuda" or "mps".
        devices: number of processes, each on a device of its own, that share every batch and give what one gives (DDP
            through Lightning Fabric). Where torchrun, `fabric run` or srun started several processes, on one machine or
            more, the training runs in these.
        callback: called after each logged step, here or in the launcher's rank 0; it may save or stop (see `Callback`).
            A stopped training returns what was done, and calling again continues it.
        bar: show the progress: step, time left, loss and speed.
        save_every: steps between checkpoints, else SAVE_EVERY_STEPS.
        deterministic: replace or refuse operations that add up in a changing order. A CPU has none, a GPU can.
        threads: of a CPU; by default one for each core that is free now, see `threads.choose_threads`.

    Ctrl-C and SIGTERM save a checkpoint and raise Interrupted. A step whose loss or gradients are not finite is skipped
    (`skipped` in metrics.jsonl), and after more than a few in a row the training goes back to the last good checkpoint,
    once; a batch for which a device lacks memory is done in parts. Such events are listed in notes.json.
    Raises PplkitError for settings that do not fit the data, a folder that cannot be written or that another process
    trains in, a loss that is not finite after going back either, or a lost process.
    """
    task.check(world_size(devices))
    if save_every is not None and save_every < 1:
        raise PplkitError(f"save_every={save_every} is too small: give the number of steps between checkpoints.")
    precision = usable_precision(task.config.precision, device)
    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    job = partial(_fit, task=task, run=folder, bar=bar, precision=precision)
    job = partial(job, save_every=save_every, deterministic=deterministic, threads=threads)
    if launched():
        return as_launched(partial(job, show=callback), device, precision)
    if devices > 1:
        return spawn_workers(job, devices, device, precision, callback)
    return fabric_for(device, precision).launch(partial(job, show=callback))  # type: ignore[no-any-return]


def _fit(
    fabric: "Fabric",
    task: Task,
    run: RunFolder,
    bar: bool,
    show: Callback | None,
    save_every: int | None = None,
    deterministic: bool = False,
    precision: str = "32-true",
    threads: int | None = None,
) -> Result:
    """The training in one process; all do the same with their shares of the batches, and rank 0 writes."""
    rank = Rank(fabric.device, fabric.global_rank, fabric.world_size, precision)
    with ExitStack() as stack:
        stack.enter_context(working(fabric.device, deterministic))
        if threads or (fabric.device.type == "cpu" and rank.world_size == 1):
            count, why = choose_threads(threads, run.recorded_threads())
            stack.enter_context(running_threads(count))
            if bar or threads is None and "OMP_NUM_THREADS" not in os.environ:
                print(f"training on {quantity(count, 'thread')} ({why})", flush=True)
        stack.callback(task.end)
        with fabric.rank_zero_first(local=True):  # which may download
            task.setup(rank)
        optimizer = task.optimizer()
        if rank.world_size > 1:
            task.freeze_unused()
            collectives.share_batch_norm(task.model, fabric.device)
        machine = machine_description(fabric.device, rank.world_size, deterministic) | {"precision": precision}

        def opened() -> dict[str, Any]:
            stack.enter_context(run.held())
            return run.open(task.config, task.data, machine, task.folders)

        made_by = on_rank_zero(fabric, opened)  # after all other checks, so that a refused run leaves nothing behind
        wrapped, wrapped_optimizer = fabric.setup(task.model, optimizer)
        step = Step(fabric, task, wrapped, wrapped_optimizer)
        checkpoint = on_rank_zero(fabric, run.last)
        first = restore(checkpoint, task.model, optimizer)
        logger = None
        if fabric.is_global_zero:
            logger = TrainingLogger(run, task, optimizer, first, made_by, show, bar)
            stack.callback(logger.close)
            if checkpoint is None:
                logger.show_first_search()
        task.begin(rank, resumed=checkpoint is not None)
        if logger:
            logger.began = time.perf_counter()
        loop = _Loop(fabric, task, run, logger, step, optimizer, save_every or SAVE_EVERY_STEPS)
        return loop.run(checkpoint, made_by)


class _Loop:
    """The steps in one process, from the last checkpoint to the end, or to where it is asked to stop."""

    def __init__(
        self,
        fabric: "Fabric",
        task: Task,
        run: RunFolder,
        logger: TrainingLogger | None,
        step: Step,
        optimizer: torch.optim.Optimizer,
        save_every: int,
    ) -> None:
        self.fabric, self.task, self.config, self.folder, self.logger = fabric, task, task.config, run, logger
        self.step, self.optimizer, self.save_every = step, optimizer, save_every
        self.done = self.saved = 0  # steps; those of the last checkpoint
        # What a continuation needs beside the weights, all of it in the checkpoints.
        self.averages, self.rate, self.notes = Averages(), 1.0, list[str]()

    def run(self, checkpoint: Checkpoint | None, made_by: dict[str, Any]) -> Result:
        """Go on from a checkpoint that is restored already."""
        if checkpoint:
            self._continue(checkpoint, made_by)
        self._on_rank_zero(lambda logger: logger.note(self.notes))
        request = None
        with DeferredSignals() as stops:
            while self.done < self.config.steps and request != "stop":
                result = self._train_step()
                if self.logger:
                    self.logger.show_first_work(self.done)
                request = self._log_and_save(result)
                self._handle_signal(stops)
        device = f"{self.fabric.device} x {self.fabric.world_size}"
        return self._on_rank_zero(lambda logger: logger.finish(device, self.notes))

    def _on_rank_zero(self, function: Callable[[TrainingLogger], T]) -> T:
        return on_rank_zero(self.fabric, lambda: function(self.logger))  # type: ignore[arg-type]

    def _train_step(self) -> StepResult:
        step, parts = self.done, self.step.parts
        for group, rate in zip(self.optimizer.param_groups, self.task.learning_rates(step) or (), strict=False):
            group["lr"] = self.rate * rate
        batch = self.task.batch(step)
        self.task.before_step(step, batch)
        result = self.step(batch, step / self.config.steps)
        self.averages.add(result.values, result.skipped)
        self.done += 1
        if self.step.parts != parts:
            event = f"step {self.done}: out of memory on {self.fabric.device}"
            self._note(f"{event}, so that batches are done in {self.step.parts} parts from here on")
        return result

    def _log_and_save(self, result: StepResult) -> str | None:
        """Log and save when it is time, and ask the callback for its request."""
        step, last, row, self.batch = self.done, self.done == self.config.steps, None, result.batch
        if step % LOG_EVERY_STEPS == 0 or last:
            row, worst = self.averages.row()
            if worst > patience(self.config.precision) or (last and not self.step.finite(result.batch)):
                self._go_back(worst)
                return None
        if row and (notice := self._on_rank_zero(lambda logger: logger.log(step, row, LOG_EVERY_STEPS))):
            self._note(f"step {step}: {notice}")
        due = step // self.save_every > self.saved // self.save_every
        if last or (due and not self.averages.streak()):
            self._save()
        request = self._on_rank_zero(lambda logger: logger.show(row, result.batch, result.output)) if row else None
        if request and self.saved != step:
            self._save()
        return request

    def _handle_signal(self, stops: DeferredSignals) -> None:
        """Save and end if a signal asks for it; with several processes on GPUs, which would wait, now and then."""
        received = stops.received
        if self.fabric.world_size > 1:
            if self.fabric.device.type != "cpu" and self.done % LOG_EVERY_STEPS:
                return
            received = collectives.broadcast_first(received)
        if received:
            if self.saved != self.done:
                self._save()
            state = f"at step {self.done} of {self.config.steps}, which is saved in {self.folder.path}"
            raise Interrupted(f"the training was ended by {signal_name(received)} {state}: {CONTINUE}.", received)

    def _save(self) -> None:
        precision = self.fabric.strategy.precision.state_dict()  # the scale of gradients, for 16-mixed
        good = not self.averages.streak() and self.step.finite(self.batch)
        state = {"good": good, "rate": self.rate, "parts": self.step.parts, "notes": self.notes}
        state |= {"means": self.averages.state(), "precision": precision}
        self._on_rank_zero(lambda logger: logger.save(self.done, state))
        self.saved = self.done

    def _continue(self, checkpoint: Checkpoint, made_by: dict[str, Any]) -> None:
        self.done = self.saved = checkpoint.step
        try:
            if state := checkpoint.state:  # the first versions wrote none
                self.rate, self.step.parts, self.notes = state["rate"] + 0.0, int(state["parts"]), list(state["notes"])
                self.averages.restore(state["means"])
                if state["precision"]:
                    self.fabric.strategy.precision.load_state_dict(state["precision"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise PplkitError(f"{checkpoint.path} has no usable training state ({error!r}): delete it.") from None
        before = {key: value for key, value in checkpoint.made_by.items() if key in COMPARED and value != made_by[key]}
        if before and self.done < self.config.steps:
            changes = ", ".join(f"{key} {made_by[key]} instead of {value}" for key, value in before.items())
            self._note(f"step {self.done}: continued with {changes}, so that the last digits may differ")

    def _note(self, note: str) -> None:
        self.notes = [*self.notes, note]
        self._on_rank_zero(lambda logger: logger.note(self.notes, 1))

    def _go_back(self, worst: int) -> None:
        """To the last good checkpoint, or the start, with a lower learning rate; raises Diverged the second time."""
        step = self.done
        reason = f"the loss or its gradients were no longer finite at step {step}, {worst} steps in a row"
        if not worst:
            reason = f"the model's output is no longer finite at step {step}"
        if self.rate < 1:
            path = self._on_rank_zero(lambda logger: logger.give_up(step))
            advice = f"{self.task.divergence_advice}, and start a new run"
            raise Diverged(
                f"{reason}, with {RETRY_RATE} of the learning rate as well: the state is in {path}; {advice}."
            )
        checkpoint = on_rank_zero(self.fabric, partial(self.folder.last, good=True))
        if checkpoint is None:
            self.task.restart()
            self.optimizer.state.clear()
        self.done = restore(checkpoint, self.task.model, self.optimizer)
        self.rate, self.averages = RETRY_RATE, Averages()
        self._note(f"{reason}: back to step {self.done}, with {RETRY_RATE} of the learning rate")
        self._save()  # so that a continuation does the same
        self._on_rank_zero(lambda logger: logger.go_back(self.done))
