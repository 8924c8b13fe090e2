"""A training as it goes: a figure with buttons in a notebook, lines of text elsewhere."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import psutil
import torch
from matplotlib.figure import Figure

from pplkit.training.logger import Progress
from pplkit.viz.drawing import strong_links
from pplkit.viz.training import training_state
from pplkit.viz.widgets.notebook_host import attended, handle_events, in_notebook

MAX_IMAGES = 2  # shown with their reconstructions
UNDISTURBED = 50  # times the time that drawing took pass before the next figure
SPEED_STEPS = 10  # logged steps from which the speed is measured
POLL_SECONDS = 0.1  # between two checks for a button pressed while paused

Request = Literal["save", "stop"] | None
Rows = list[dict[str, float]]  # of metrics.jsonl


class TrainingMonitor:
    """Pass as `callback=` of a training: one figure, redrawn as it goes, and buttons to pause, save and stop.

    The figure has losses, prior, reconstructions and codebook usage; of other methods than the prior, pass the function
    that `draw`s it from the rows so far, what a callback gets, and the text above it. `every` is the least time between
    two figures in seconds; slow figures come less often (UNDISTURBED), so that drawing costs next to nothing. The last
    step is always drawn, and stays as the output of the cell. Outside notebooks it prints a line instead; where nobody
    attends the notebook (papermill) there are no buttons.

    The methods `pause`, `resume`, `save` and `stop` do what the buttons do, from any thread, and act at the next logged
    step; with several devices a pause may last ten minutes, then the other processes give up waiting for the first.
    `rows` holds the lines of metrics.jsonl of this call.
    """

    def __init__(self, every: float = 10.0, draw: Callable[[Rows, Progress, str], Figure] | None = None) -> None:
        self.every, self.draw = every, draw or prior_state
        self.rows: Rows = []
        self.paused = False
        self._request: Request = None
        self._next_figure = -float("inf")
        self._display: Any = None
        self._buttons: _Buttons | None = None
        self._speed = Speed()

    def pause(self) -> None:
        """Wait after the next logged step until `resume` or `stop`."""
        self.paused = True
        self._show_text("pauses after the next logged step")

    def resume(self) -> None:
        """End a pause."""
        self.paused = False
        self._show_text("goes on")

    def save(self) -> None:
        """Request a checkpoint after the next logged step; a pause begins again a few steps later."""
        self._request = "save"
        self._show_text("saves after the next logged step")

    def stop(self) -> None:
        """Request a checkpoint after the next logged step, and the end; training can be continued from there."""
        self._request = "stop"
        self._show_text("saves and stops after the next logged step")

    def forget_cell(self) -> None:
        """Drop the figure and buttons of a cell that has ended; the next call makes new ones."""
        self._display, self._buttons = None, None

    def __call__(self, progress: Progress) -> Request:
        """Record a logged step, draw if it is time, wait while paused; returns what `pplkit.train` is asked to do."""
        before = [row for row in self.rows if row["step"] < progress.step]  # a training may have gone back
        self.rows = [*before, {"step": progress.step, **progress.row}]
        text = status(progress, self._speed.measure(progress))
        if self._buttons is None and attended():
            self._buttons = _Buttons(self)
        if self._buttons:
            handle_events()
        began = time.monotonic()
        last = progress.step == progress.steps or self.paused or self._request == "stop"
        if began >= self._next_figure or last:
            self._show(progress, text)
            done = time.monotonic()
            self._next_figure = done + max(self.every, UNDISTURBED * (done - began))
        self._show_text(text)
        while self.paused and self._request is None and progress.step < progress.steps:
            self._show_text(f"paused at {text}")
            time.sleep(POLL_SECONDS)
            handle_events()
        request, self._request = self._request, None
        if request == "stop":
            position = f"step {progress.step} of {progress.steps}"
            self._show_text(f"saves {position} and stops: run the cell again to go on there")
        self._speed.start(progress.step)
        return request

    def _show_text(self, text: str) -> None:
        if self._buttons:
            self._buttons.show(text, self.paused)

    def _show(self, progress: Progress, text: str) -> None:
        if not in_notebook():
            print(text, flush=True)
            return
        from IPython.display import display

        device = next(progress.model.parameters()).device
        figure = self.draw(self.rows, progress, f"{text}   {memory_usage(device)}")
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)


def prior_state(rows: Rows, progress: Progress, text: str) -> Figure:
    """The figure of a training of the prior."""
    prior = progress.model.prior()
    return training_state(
        rows,
        prior.keypoints,
        *strong_links(prior),
        progress.batch.images[:MAX_IMAGES],
        progress.output.reconstruction[:MAX_IMAGES],
        progress.model.memory.in_use().cpu().numpy(),
        text,
    )


class Speed:
    """Images a second over the last SPEED_STEPS logged steps, without the time between `measure` and `start`."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, float]] = deque(maxlen=SPEED_STEPS)
        self._started: tuple[int, float] | None = None

    def measure(self, progress: Progress) -> float:
        """The speed at a logged step; at the first, that of the whole call so far."""
        if self._started is not None:
            step, moment = self._started
            self._spans.append((progress.step - step, time.monotonic() - moment))
        steps, seconds = (sum(span[k] for span in self._spans) for k in (0, 1))
        return steps * progress.batch_size / seconds if seconds else progress.images_per_second

    def start(self, step: int) -> None:
        """The training goes on after `step`."""
        self._started = step, time.monotonic()


def status(progress: Progress, speed: float) -> str:
    """One line: step, loss, images a second and the time left at that speed."""
    left = (progress.steps - progress.step) * progress.batch_size / max(speed, 1e-9)
    loss = f"loss {progress.row['loss']:.3f}"
    return f"step {progress.step} of {progress.steps}   {loss}   {speed:.0f} images/s   {_duration(left)} left"


def memory_usage(device: torch.device) -> str:
    """The memory of this process and its children, and what PyTorch holds of the GPU, if it is on one."""
    process = psutil.Process()
    size = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            size += each.memory_info().rss
    text = f"memory {size / 1e9:.1f} GB"
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        text += f", GPU {torch.cuda.memory_reserved(device) / 1e9:.1f} of {total / 1e9:.0f} GB"
    if device.type == "mps":
        text += f", GPU {torch.mps.driver_allocated_memory() / 1e9:.1f} GB"
    return text


def _duration(seconds: float) -> str:
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
            widget = Button(description=name, icon=icon, tooltip=tooltip)
            widget.on_click(lambda _: press())
            return widget

        self._monitor = monitor
        self._pause = button("Pause", "pause", "wait after the next logged step, or go on", self._pause_or_resume)
        save = button("Save", "save", "write a checkpoint after the next logged step", monitor.save)
        stop = button("Stop", "stop", "write a checkpoint after the next logged step and end", monitor.stop)
        self._text = Label()
        self._panel = HBox([self._pause, save, stop, self._text])
        self._display = display(self._panel, display_id=True)
        self._events = get_ipython().events  # type: ignore[no-untyped-call]
        self._events.register("post_run_cell", self._end)  # also after an error or an interrupt

    def show(self, text: str, paused: bool) -> None:
        self._text.value = text
        self._pause.description, self._pause.icon = ("Resume", "play") if paused else ("Pause", "pause")

    def _pause_or_resume(self) -> None:
        (self._monitor.resume if self._monitor.paused else self._monitor.pause)()

    def _end(self, *_: Any) -> None:
        self._events.unregister("post_run_cell", self._end)
        self._display.update({"text/plain": self._text.value}, raw=True)
        for widget in (*self._panel.children, self._panel):
            widget.close()
        self._monitor.forget_cell()
