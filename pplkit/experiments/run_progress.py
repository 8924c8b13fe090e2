"""How far a run through the notebooks is, and about how long it still takes."""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.progress import ProgressLine, duration, time_left
from pplkit.training.run_folder import RunFolder

LOOK_EVERY_SECONDS = 2
TRAINING = "02_training"
REST_SECONDS = 15  # of notebook 02 after its training
COSTS = {"03_prior_distillation": (12, 300), "04_evaluation": (10, 800), "05_occlusion": (20, 10_000)}
"""Seconds of the notebooks after the training, and images that are trained on in the rest of their time; measured."""


class RunProgress:
    """Prints which notebook runs and, during the training, how far it is; as a context, while notebooks run.

    The notebooks run in processes of their own; metrics.jsonl says how far the training is.
    """

    def __init__(self, run: Path, notebooks: Sequence[str]) -> None:
        self.run, self.notebooks, self.current = RunFolder(run), list(notebooks), ""
        self.line = ProgressLine(sys.stdout)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.speed = 0.0  # images a second of the training

    def __enter__(self) -> "RunProgress":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()
        self.line.close()

    def begin(self, notebook: str) -> None:
        """Say that a notebook begins, and how long those that remain take, once that can be told."""
        self.current = notebook
        if not self.speed and (self.run.path / "training.json").is_file():  # trained before
            with suppress(PplkitError):
                self.speed = float(self.run.read("training.json").get("images_per_second", 0.0))
        number = self._number(notebook)
        remaining = sum(self._cost(name) for name in self.notebooks[number:])
        left = f", about {duration(remaining)} left" if remaining and notebook in COSTS else ""
        self.say(f"[{number + 1} of {len(self.notebooks)}] {notebook}{left}")

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        self.line.close()
        print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)

    def _cost(self, notebook: str) -> float:
        """About the seconds that a notebook after the training takes; 0 while the speed is not known."""
        seconds, images = COSTS.get(notebook, (0, 0))
        images *= not self.run.path.name.endswith("-smoke")  # which looks at a few images
        return seconds + images / self.speed if self.speed and seconds else 0.0

    def _watch(self) -> None:
        first: tuple[float, int] | None = None  # when the first new line came, and after which step
        last = -1
        while not self.done.wait(LOOK_EVERY_SECONDS):
            if self.current != TRAINING:
                continue
            with suppress(PplkitError, KeyError, OSError):  # the training writes at the same time
                rows, now = self.run.rows("metrics.jsonl"), time.monotonic()
                if not rows or rows[-1]["step"] == last:
                    continue
                last = rows[-1]["step"]
                first = first or (now, last)
                self._show(rows[-1], last - first[1], now - first[0])

    def _show(self, row: dict[str, Any], steps: int, seconds: float) -> None:
        """Say what a line of metrics.jsonl says; `steps` were done in the `seconds` before."""
        config, after = self.run.read("config.json", "config")["config"], self.notebooks[self._number(TRAINING) + 1 :]
        rate = steps / seconds if seconds else 0.0
        self.speed = rate * config["batch_size"]
        text = f"{time_left(row['step'], config['steps'], rate)}, loss {row.get('loss', 0.0):.3f}"
        if rate:
            text += f", {self.speed:.0f} images/s"
            whole = (config["steps"] - row["step"]) / rate + REST_SECONDS + sum(map(self._cost, after))
            text += f"; about {duration(whole)} left of the whole run" if after else ""
        self.line.show(text)

    def _number(self, notebook: str) -> int:
        return self.notebooks.index(notebook)
