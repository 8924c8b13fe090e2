"""What a notebook shows while it works: the live training monitor. Does nothing outside a notebook."""

import time
from typing import Any

from pplkit.plots import training_state
from pplkit.training import Progress

SHOWN = 2  # images with what is painted for them
SPARED = 50  # the training goes on undisturbed for this many times what a picture took


class TrainingMonitor:
    """Pass as `watch=` of `pplkit.train`: one picture with loss, prior and reconstructions, drawn anew as it goes.

    `every` is the least time between two pictures in seconds. After a picture it waits SPARED times as long as that
    took, if this is longer, so that drawing costs next to nothing. The last step is always drawn, and stays as the
    output of the cell. `rows` holds the lines of metrics.jsonl seen in this call.
    """

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self.rows: list[dict[str, float]] = []
        self._next = -float("inf")
        self._display: Any = None

    def __call__(self, progress: Progress) -> None:
        """Take note of a logged step and draw if it is time."""
        self.rows.append({"step": progress.step, **progress.row})
        now = time.monotonic()
        if (now < self._next and progress.step < progress.steps) or not _in_notebook():
            return
        from IPython.display import display

        figure = self._figure(progress)
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)
        done = time.monotonic()
        self._next = done + max(self.every, SPARED * (done - now))

    def _figure(self, progress: Progress) -> Any:
        prior = progress.model.prior()
        links = prior.links()
        return training_state(
            self.rows,
            prior.keypoints,
            links,
            [prior.strength(link) for link in links],
            progress.batch.images[:SHOWN],
            progress.output.reconstruction[:SHOWN],
            status(progress),
        )


def status(progress: Progress) -> str:
    """One line: step, loss, images a second and the time left."""
    left = (progress.steps - progress.step) * progress.model.config.batch_size / max(progress.images_per_second, 1e-9)
    return (
        f"step {progress.step} of {progress.steps}   loss {progress.row['loss']:.3f}   "
        f"{progress.images_per_second:.0f} images/s   {_clock(left)} left"
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _in_notebook() -> bool:
    """Whether the output goes to a Jupyter kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell is not None and hasattr(shell, "kernel")
