"""What a training shows while it goes on: the monitor with its buttons in a notebook, lines of text elsewhere."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import psutil
import torch

from pplkit.training.logger import Progress
from pplkit.viz.training import training_state
from pplkit.viz.widgets.notebook_host import attended, handle_events, in_notebook

SHOWN = 2  # images with what is painted for them
SPARED = 50  # the training goes on undisturbed for this many times what a picture took
RECENT = 10  # logged steps from which the speed is taken
AWAKE = 0.1  # seconds between two looks for a button pressed while paused

Request = Literal["save", "stop"] | None


class TrainingMonitor:
    """Pass as `watch=` of `pplkit.train`: one figure, drawn anew as it goes, and buttons to pause, save and stop.

    The figure has losses, prior, reconstructions and how much of the memory's banks is in use. `every` is the least
    time between two figures in seconds. After a figure it waits SPARED times as long as that took, if this is longer,
    so that drawing costs next to nothing. The last step is always drawn, and stays as the output of the cell. Outside
    notebooks it prints a line instead; without somebody before the notebook (papermill) there are no buttons.

    The methods `pause`, `go_on`, `save` and `stop` are what the buttons do, from any thread, and act at the next logged
    step; with several devices a pause may last ten minutes, then the other processes give up waiting for the first.
    `rows` holds the lines of metrics.jsonl seen in this call.
    """

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self.rows: list[dict[str, float]] = []
        self.paused = False
        self._wanted: Request = None
        self._next = -float("inf")
        self._display: Any = None
        self._buttons: _Buttons | None = None
        self._speed = Speed()

    def pause(self) -> None:
        """Wait after the next logged step until `go_on` or `stop`."""
        self.paused = True
        self._say("pauses after the next logged step")

    def go_on(self) -> None:
        """End a pause."""
        self.paused = False
        self._say("goes on")

    def save(self) -> None:
        """Have a checkpoint written after the next logged step, and go on; a pause begins again after a few steps."""
        self._wanted = "save"
        self._say("saves after the next logged step")

    def stop(self) -> None:
        """Have a checkpoint written after the next logged step, and end; training can be continued from there."""
        self._wanted = "stop"
        self._say("saves and stops after the next logged step")

    def ended(self) -> None:
        """Forget the figure and buttons of a cell that has ended; the next call makes new ones."""
        self._display, self._buttons = None, None

    def __call__(self, progress: Progress) -> Request:
        """Take note of a logged step, draw if it is time, wait while paused; what `pplkit.train` is asked to do."""
        before = [row for row in self.rows if row["step"] < progress.step]  # a training may have gone back
        self.rows = [*before, {"step": progress.step, **progress.row}]
        speed = self._speed.at(progress)
        said = status(progress, speed)
        if self._buttons is None and attended():
            self._buttons = _Buttons(self)
        if self._buttons:
            handle_events()
        begun = time.monotonic()
        last = progress.step == progress.steps or self.paused or self._wanted == "stop"
        if begun >= self._next or last:
            self._show(progress, said)
            done = time.monotonic()
            self._next = done + max(self.every, SPARED * (done - begun))
        self._say(said)
        while self.paused and self._wanted is None and progress.step < progress.steps:
            self._say(f"paused at {said}")
            time.sleep(AWAKE)
            handle_events()
        wanted, self._wanted = self._wanted, None
        if wanted == "stop":
            self._say(f"saves step {progress.step} of {progress.steps} and stops: run the cell again to go on there")
        self._speed.goes_on(progress.step)
        return wanted

    def _say(self, text: str) -> None:
        if self._buttons:
            self._buttons.show(text, self.paused)

    def _show(self, progress: Progress, said: str) -> None:
        if not in_notebook():
            print(said, flush=True)
            return
        from IPython.display import display

        figure = self._figure(progress, said)
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)

    def _figure(self, progress: Progress, said: str) -> Any:
        prior = progress.model.prior()
        links = prior.links()
        device = next(progress.model.parameters()).device
        return training_state(
            self.rows,
            prior.keypoints,
            links,
            [prior.strength(link) for link in links],
            progress.batch.images[:SHOWN],
            progress.output.reconstruction[:SHOWN],
            progress.model.memory.in_use().cpu().numpy(),
            f"{said}   {memory_taken(device)}",
        )


class Speed:
    """Images a second over the last RECENT logged steps; the time between `at` and `goes_on` does not count."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._left: tuple[int, float] | None = None

    def at(self, progress: Progress) -> float:
        """The speed at a logged step; at the first, that of the whole call so far."""
        if self._left is not None:
            step, when = self._left
            self._spans.append((progress.step - step, time.monotonic() - when))
        steps, seconds = (sum(span[k] for span in self._spans) for k in (0, 1))
        return steps * progress.model.config.batch_size / seconds if seconds else progress.images_per_second

    def goes_on(self, step: int) -> None:
        """The training takes its next step after `step`."""
        self._left = step, time.monotonic()


def status(progress: Progress, speed: float) -> str:
    """One line: step, loss, images a second and the time left at that speed."""
    left = (progress.steps - progress.step) * progress.model.config.batch_size / max(speed, 1e-9)
    return (
        f"step {progress.step} of {progress.steps}   loss {progress.row['loss']:.3f}   "
        f"{speed:.0f} images/s   {_clock(left)} left"
    )


def memory_taken(device: torch.device) -> str:
    """The memory that this process and those it started hold, and what PyTorch holds of the GPU, if it is on one."""
    own = psutil.Process()
    held = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            held += process.memory_info().rss
    said = f"memory {held / 1e9:.1f} GB"
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        said += f", GPU {torch.cuda.memory_reserved(device) / 1e9:.1f} of {total / 1e9:.0f} GB"
    if device.type == "mps":
        said += f", GPU {torch.mps.driver_allocated_memory() / 1e9:.1f} GB"
    return said


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


class _Buttons:
    """The buttons above the figure and a line of text beside them, which alone stays when the cell has ended."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        from IPython import get_ipython
        from IPython.display import display
        from ipywidgets import Button, HBox, Label

        def button(name: str, icon: str, tooltip: str, press: Callable[[], None]) -> Any:
            made = Button(description=name, icon=icon, tooltip=tooltip)
            made.on_click(lambda _: press())
            return made

        self._monitor = monitor
        self._pause = button("Pause", "pause", "wait after the next logged step, or go on", self._pause_or_go_on)
        save = button("Save", "save", "write a checkpoint after the next logged step", monitor.save)
        stop = button("Stop", "stop", "write a checkpoint after the next logged step and end", monitor.stop)
        self._text = Label()
        self._panel = HBox([self._pause, save, stop, self._text])
        self._display = display(self._panel, display_id=True)
        self._events = get_ipython().events  # type: ignore[no-untyped-call]
        self._events.register("post_run_cell", self._end)  # also after an error or an interrupt

    def show(self, text: str, paused: bool) -> None:
        self._text.value = text
        self._pause.description, self._pause.icon = ("Go on", "play") if paused else ("Pause", "pause")

    def _pause_or_go_on(self) -> None:
        (self._monitor.go_on if self._monitor.paused else self._monitor.pause)()

    def _end(self, *_: Any) -> None:
        self._events.unregister("post_run_cell", self._end)
        self._display.update({"text/plain": self._text.value}, raw=True)
        for widget in (*self._panel.children, self._panel):
            widget.close()
        self._monitor.ended()
