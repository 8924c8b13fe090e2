"""What is written and shown while training: metrics, history, checkpoints, the progress, the callback."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from pplkit.core.errors import PplkitError
from pplkit.core.files import WriteError, read_json, remove, sync, write_json
from pplkit.core.progress import ProgressLine, duration, time_left
from pplkit.training import checkpoint as checkpoints
from pplkit.training.run_folder import RunFolder
from pplkit.training.task import Task
from pplkit.training.threads import SlowdownWatch

METRICS = "metrics.jsonl"
NOTES = "notes.json"  # what happened that a reader of the results should know; absent if nothing did
PROGRESS = ".progress.json"  # how far the training is, for other processes; absent while none runs
PROGRESS_SECONDS = 2  # between two states of that file
DIVERGED = "diverged.safetensors"  # the state at which a training gave up; not a checkpoint


@dataclass(frozen=True)
class Progress:
    """What a callback gets after each logged step."""

    step: int
    steps: int
    row: dict[str, float]  # the line added to metrics.jsonl
    images_per_second: float
    batch_size: int
    model: Any
    batch: Any
    output: Any  # detached


@dataclass(frozen=True)
class Result:
    """Summary of a training that is finished, or was stopped by its callback; also in training.json."""

    run: str
    steps: int  # done so far
    loss: float
    seconds: float  # of this call
    images_per_second: float
    device: str
    precision: str
    notes: list[str] = field(default_factory=list)  # what happened on the way; see `training`


Callback = Callable[[Progress], str | None]
"""Looks at a logged step and may request something: "save" a checkpoint now, or save one and "stop"; None goes on."""

REQUESTS = (None, "save", "stop")


class TrainingLogger:
    """Of one training, in the process that writes. Its methods raise PplkitError if a file cannot be written."""

    def __init__(
        self,
        run: RunFolder,
        task: Task,
        optimizer: torch.optim.Optimizer,
        first: int,
        made_by: dict[str, Any],
        callback: Callback | None,
        bar: bool,
    ) -> None:
        self.run, self.task, self.config, self.optimizer = run, task, task.config, optimizer
        self.made_by, self.callback = made_by, callback
        self.precision = made_by.get("precision", task.config.precision)
        self.lines = [METRICS, task.history] if task.history else [METRICS]
        self.first, self.began = first, time.perf_counter()
        self.progress, self.next_file = ProgressLine(shown=bar), 0.0
        self.step = self.saved = first
        self.loss = math.nan
        self.slowdown = SlowdownWatch()
        self.go_back(first)
        if first:
            self._say(f"continues {run.path} after step {first}")

    def go_back(self, step: int) -> None:
        """Go on after `step`: lines logged later are dropped, as they will come again."""
        with self._writing():
            for name in self.lines:
                self.run.cut(name, step)
        rows = self.run.rows(METRICS)
        self.loss = rows[-1].get("loss", math.nan) if rows else math.nan
        self.step = self.saved = step

    def log(self, step: int, row: dict[str, float], every: int) -> str | None:
        """Add a row of losses; `every` is the number of steps between rows. Returns a notice if it has slowed down."""
        self.step, self.loss = step, row["loss"]
        work = self.task.first_work()
        if not work or not work.seconds_left:
            speed = self.speed()
            rate = speed / self.config.batch_size
            text = f"{time_left(step, self.config.steps, rate)}, loss {row['loss']:.3f}, {speed:.0f} images/s"
            seconds = (self.config.steps - step) / rate if rate else None
            self._show(text, seconds, speed, work.images_per_second if work else None)
        with self._writing():
            self.run.append(METRICS, {"step": step, **row})
            every *= max(1, self.config.steps // (40 * every))  # snapshots about forty times over a run
            if self.task.history and (step % every == 0 or step == self.config.steps):
                self.run.append(self.task.history, {"step": step, **(self.task.snapshot() or {})})
        return self.slowdown.notice((step - self.first) * self.config.batch_size)

    def show_first_search(self) -> None:
        """Before the first step: say what the task looks for, if that takes long."""
        if text := self.task.first_search():
            self.progress.due = 0.0
            self._show(text)

    def show_first_work(self, step: int) -> None:
        """After every step: say how far the work is that only the first steps do."""
        work = self.task.first_work()
        if work and work.seconds_left:
            left = duration(work.seconds_left)
            self._show(f"{work.text}, about {left} left; step {step} of {self.config.steps}")

    def _show(
        self, text: str, seconds_left: float | None = None, speed: float = 0.0, features_speed: float | None = None
    ) -> None:
        """Show the progress here, and in a file for `experiments.run_progress`, which runs in another process."""
        self.progress.show(text)
        if time.monotonic() < self.next_file:
            return
        self.next_file = time.monotonic() + PROGRESS_SECONDS
        state = {"text": text, "seconds_left": seconds_left, "images_per_second": speed}
        with self._writing():
            write_json(self.run.path / PROGRESS, state | {"features_per_second": features_speed})

    def close(self) -> None:
        """End the progress."""
        self.progress.close()
        with suppress(WriteError):
            remove(self.run.path / PROGRESS)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, after the lines that belong before it are on the disk."""
        self.step = step
        with self._writing():
            for name in self.lines:
                sync(self.run.path / name)
            self.run.save(step, self.task.model, self.optimizer, self.made_by, state, self.task.method)
        self.saved = step

    def show(self, row: dict[str, float], batch: Any, output: Any) -> str | None:
        """The callback's request after the row was logged."""
        if not self.callback:
            return None
        model, output = self.task.model, self.task.detach(output)
        request = self.callback(
            Progress(self.step, self.config.steps, row, self.speed(), self.config.batch_size, model, batch, output)
        )
        if request not in REQUESTS:
            raise PplkitError(f"the callback returned {request!r}: let it return 'save', 'stop' or None.")
        return request

    def note(self, notes: list[str], new: int = 0) -> None:
        """Write down all notes, and say the last `new`."""
        for note in notes[len(notes) - new :]:
            self._say(note)
        with self._writing():
            if notes:
                write_json(self.run.path / NOTES, {"notes": notes})
            else:
                remove(self.run.path / NOTES)

    def give_up(self, step: int) -> str:
        """Keep the state for inspection; the path of its file."""
        path = self.run.path / DIVERGED
        about = {"schema": "pplkit-diverged-1", "step": str(step)}
        with self._writing():
            checkpoints.write(path, checkpoints.weights(self.task.model, self.optimizer), about)
        return str(path)

    def _say(self, sentence: str) -> None:
        self.progress.close()
        print(sentence, flush=True)

    def speed(self) -> float:
        """Images per second since this call began, without the time that only its first steps take."""
        work = self.task.first_work()
        seconds = time.perf_counter() - self.began - (work.seconds if work else 0.0)
        return max(0, self.step - self.first) * self.config.batch_size / seconds

    def finish(self, device: str, notes: list[str]) -> Result:
        """Write what the task makes and the summary; a run that was finished before keeps its own."""
        path = self.run.path / "training.json"
        if self.first >= self.config.steps and path.is_file():
            with suppress(PplkitError, TypeError):
                before = Result(**read_json(path, ""))
                if before.steps == self.first:
                    return before
        seconds, speed = time.perf_counter() - self.began, self.speed()
        values = (self.run.path.name, self.step, self.loss, seconds, speed, device, self.precision, notes)
        result = Result(*values)
        with self._writing():
            self.task.finish(self.run.path, self.made_by, self.step)
            write_json(path, asdict(result))
        return result

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the system says of a file, in a sentence that says where the training is and what to do."""
        try:
            yield
        except WriteError as error:
            said = f"the training stopped at step {self.step}, as {error.detail}"
            raise PplkitError(f"{said}; {self._kept()}.") from None

    def _kept(self) -> str:
        if not self.saved:
            return "nothing was saved yet, and the same call or command starts again"
        return f"what was saved is whole, and the same call or command continues after step {self.saved}"
