"""What is written and shown while training: metrics, checkpoints, the prior as it evolves, the bar, the watcher."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tqdm import tqdm

from pplkit.batches import Batch
from pplkit.errors import PplkitError
from pplkit.model import PosePriorLearner
from pplkit.poses import Output
from pplkit.runs import RunFolder, write_json


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
    """Summary of a training that is finished, or was stopped by its watcher; also in training.json."""

    run: str
    steps: int  # done so far
    loss: float
    seconds: float  # of this call
    images_per_second: float
    device: str
    precision: str


Watcher = Callable[[Progress], str | None]
"""Looks at a logged step and may ask for something: "save" a checkpoint now, or save one and "stop"; None goes on."""

WISHES = (None, "save", "stop")


class Journal:
    """What is written while training: metrics, checkpoints, the prior as it evolves, the bar."""

    def __init__(
        self,
        run: RunFolder,
        first: int,
        made_by: dict[str, Any],
        model: PosePriorLearner,
        optimiser: torch.optim.Optimizer,
        watch: Watcher | None,
        bar: bool,
    ) -> None:
        self.run, self.config, self.made_by, self.watch = run, model.config, made_by, watch
        self.model, self.optimiser = model, optimiser
        self.first, self.began = first, time.perf_counter()
        self.bar = tqdm(total=self.config.steps, initial=first, disable=not bar, unit="step", mininterval=2)
        for name in ("metrics.jsonl", "prior_history.jsonl"):
            run.cut(name, first)
        before = run.rows("metrics.jsonl")
        self.loss = before[-1]["loss"] if before else math.nan
        self.step = first
        if first:
            self.bar.write(f"continues {run.path} after step {first}")

    def add(self, step: int, row: dict[str, float], batch: Batch, output: Output, every: int, save: bool) -> str | None:
        """Log a row of losses and show it; save if told to, or if the watcher wishes it. Returns its wish.

        `every` is the number of steps between rows.
        """
        self.bar.update(step - self.step)
        self.step, self.loss = step, row["loss"]
        self.run.append("metrics.jsonl", {"step": step, **row})
        self._history(step, every)
        if save:
            self.run.save(step, self.model, self.optimiser, self.made_by)
        speed = self.speed(step)
        self.bar.set_postfix_str(f"loss {row['loss']:.3f}, {speed:.0f} images/s", refresh=False)
        if not self.watch:
            return None
        wish = self.watch(Progress(step, self.config.steps, row, speed, self.model, batch, output.detached()))
        if wish not in WISHES:
            raise PplkitError(f"the watcher returned {wish!r}: let it return 'save', 'stop' or None.")
        if wish and not save:
            self.run.save(step, self.model, self.optimiser, self.made_by)
        return wish

    def _history(self, step: int, every: int) -> None:
        """The prior now, about forty times over a run."""
        every *= max(1, self.config.steps // (40 * every))
        if step % every == 0 or step == self.config.steps:
            prior = self.model.prior()
            links = {"keypoints": prior.keypoints.tolist(), "connectivity": prior.connectivity.tolist()}
            self.run.append("prior_history.jsonl", {"step": step, **links})

    def speed(self, step: int) -> float:
        """Images per second since this call began."""
        return (step - self.first) * self.config.batch_size / (time.perf_counter() - self.began)

    def finish(self, device: str) -> Result:
        """Close the bar, write the prior and the summary; a run that had been finished keeps its own."""
        self.bar.close()
        path = self.run.path / "training.json"
        if self.first >= self.config.steps and path.exists():
            before = Result(**self.run.read(path.name))
            if before.steps == self.first:
                return before
        self.model.made_by = {**self.made_by, "run": self.run.path.name, "step": self.step}
        self.model.eval()
        self.model.prior().save(self.run.path / "prior.json")
        seconds = time.perf_counter() - self.began
        result = Result(
            self.run.path.name,
            self.step,
            self.loss,
            seconds,
            self.speed(self.step),
            device,
            self.config.precision,
        )
        write_json(path, asdict(result))
        return result
