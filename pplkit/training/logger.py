"""What is written and shown while training: metrics, checkpoints, the prior as it evolves, the bar, the watcher."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pplkit.core.errors import PplkitError
from pplkit.core.files import WriteError, read_json, remove, sync, write_json
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Output
from pplkit.training import checkpoint as checkpoints
from pplkit.training.run_folder import RunFolder

LINES = ("metrics.jsonl", "prior_history.jsonl")
NOTES = "notes.json"  # what happened that a reader of the results should know; absent if nothing did
INSPECTED = "diverged.safetensors"  # the state in which a training gave up; not a checkpoint


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
    notes: list[str] = field(default_factory=list)  # what happened on the way; see `training`


Watcher = Callable[[Progress], str | None]
"""Looks at a logged step and may ask for something: "save" a checkpoint now, or save one and "stop"; None goes on."""

WISHES = (None, "save", "stop")


class Journal:
    """Of one training, in the process that writes. Its methods raise PplkitError if a file cannot be written."""

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
        self.precision = made_by.get("precision", model.config.precision)
        self.first, self.began = first, time.perf_counter()
        self.bar = tqdm(total=self.config.steps, initial=first, disable=not bar, unit="step", mininterval=2)
        self.step = self.saved = first
        self.loss = math.nan
        self.back(first)
        if first:
            self.bar.write(f"continues {run.path} after step {first}")

    def back(self, step: int) -> None:
        """Go on after `step`: what was logged later is dropped, as it will come again."""
        with self._writing():
            for name in LINES:
                self.run.cut(name, step)
        rows = self.run.rows(LINES[0])
        self.loss = rows[-1].get("loss", math.nan) if rows else math.nan
        self.bar.update(step - self.step)
        self.step = self.saved = step

    def log(self, step: int, row: dict[str, float], every: int) -> None:
        """Add a row of losses; `every` is the number of steps between rows."""
        self.bar.update(step - self.step)
        self.step, self.loss = step, row["loss"]
        self.bar.set_postfix_str(f"loss {row['loss']:.3f}, {self.speed():.0f} images/s", refresh=False)
        with self._writing():
            self.run.append(LINES[0], {"step": step, **row})
            every *= max(1, self.config.steps // (40 * every))  # the prior about forty times over a run
            if step % every == 0 or step == self.config.steps:
                prior = self.model.prior()
                links = {"keypoints": prior.keypoints.tolist(), "connectivity": prior.connectivity.tolist()}
                self.run.append(LINES[1], {"step": step, **links})

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, after the lines that belong before it are on the disk."""
        self.bar.update(step - self.step)
        self.step = step
        with self._writing():
            for name in LINES:
                sync(self.run.path / name)
            self.run.save(step, self.model, self.optimiser, self.made_by, state)
        self.saved = step

    def show(self, row: dict[str, float], batch: Batch, output: Output) -> str | None:
        """What the watcher wishes after the row was logged."""
        if not self.watch:
            return None
        seen = Progress(self.step, self.config.steps, row, self.speed(), self.model, batch, output.detached())
        wish = self.watch(seen)
        if wish not in WISHES:
            raise PplkitError(f"the watcher returned {wish!r}: let it return 'save', 'stop' or None.")
        return wish

    def note(self, notes: list[str], new: int = 0) -> None:
        """Write down all notes, and say the last `new`."""
        for note in notes[len(notes) - new :]:
            self.bar.write(note)
        with self._writing():
            if notes:
                write_json(self.run.path / NOTES, {"notes": notes})
            else:
                remove(self.run.path / NOTES)

    def give_up(self, step: int) -> str:
        """Keep the state for inspection; the path of its file."""
        path = self.run.path / INSPECTED
        about = {"schema": "pplkit-diverged-1", "step": str(step)}
        with self._writing():
            checkpoints.write(path, checkpoints.weights(self.model, self.optimiser), about)
        return str(path)

    def speed(self) -> float:
        """Images per second since this call began."""
        return max(0, self.step - self.first) * self.config.batch_size / (time.perf_counter() - self.began)

    def finish(self, device: str, notes: list[str]) -> Result:
        """Close the bar, write the prior and the summary; a run that had been finished keeps its own."""
        self.bar.close()
        path = self.run.path / "training.json"
        if self.first >= self.config.steps and (before := self._before(path)):
            return before
        self.model.made_by = {**self.made_by, "run": self.run.path.name, "step": self.step}
        self.model.eval()
        seconds, speed = time.perf_counter() - self.began, self.speed()
        names = (self.run.path.name, self.step, self.loss, seconds, speed, device, self.precision, notes)
        result = Result(*names)
        with self._writing():
            self.model.prior().save(self.run.path / "prior.json")
            write_json(path, asdict(result))
        return result

    def _before(self, path: Path) -> Result | None:
        """The summary of a run that had been finished; None if it is not there, or torn, and is to be written anew."""
        try:
            found = read_json(path, "")
            numbers = [found[name] for name in ("loss", "seconds", "images_per_second")]
            words = [found["run"], found["device"], found["precision"], *found["notes"]]
            sound = all(type(number) in (int, float) for number in numbers) and all(type(word) is str for word in words)
            return Result(**found) if sound and found["steps"] == self.first else None
        except (PplkitError, KeyError, TypeError):
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the system says of a file, in a sentence that says where the training is and what to do."""
        try:
            yield
        except WriteError as error:
            self.bar.close()
            said = f"the training stopped at step {self.step}, as {error.detail}"
            raise PplkitError(f"{said}; {self._kept()}.") from None

    def _kept(self) -> str:
        if not self.saved:
            return "nothing was saved yet, and the same call or command starts again"
        return f"what was saved is whole, and the same call or command continues after step {self.saved}"
