"""How far a run through the notebooks is, and about how long it still takes."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, remove
from pplkit.core.progress import ProgressLine, duration
from pplkit.data.dataset import read_description
from pplkit.training.logger import PROGRESS

LOOK_EVERY_SECONDS = 2
FIRST, TRAINING = "01_data_preparation", "02_training"
REST = 1.5  # of notebook 02 after its training, as a multiple of the time of notebook 01
COSTS = {"03_prior_distillation": 2.0, "04_evaluation": 1.5, "05_occlusion": 3.0}
"""Time of the notebooks without that of their images, as a multiple of the time of notebook 01; measured."""
FORWARD = 6  # images that pass the networks while training works on one
EVALUATIONS = 4  # of each test image
OCCLUSION_IMAGES = 60_000  # that pass the networks in notebook 05


class RunProgress:
    """Prints which notebook runs and, during the training, how far it is; as a context, while notebooks run.

    The notebooks run in processes of their own; the training says in a file of the run folder how far it is.
    """

    def __init__(self, run: Path, notebooks: Sequence[str], data: Path) -> None:
        self.file, self.notebooks, self.current = run / PROGRESS, list(notebooks), ""
        self.data = data  # the prepared data set
        self.line = ProgressLine(sys.stdout)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.began = time.monotonic()
        self.first_seconds = 0.0  # of notebook 01: the start of a kernel on this machine
        self.speed = 0.0  # images a second through the networks
        self.frozen = False  # whether a frozen backbone decides that speed

    def __enter__(self) -> "RunProgress":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()
        self.line.close()

    def begin(self, notebook: str) -> None:
        """Say that a notebook begins, and how long those that remain take, if that can be told."""
        now = time.monotonic()
        if self.current == FIRST:
            self.first_seconds = now - self.began
        self.current, self.began = notebook, now
        if notebook == TRAINING:
            remove(self.file)  # that of a training that was killed
        number = self.notebooks.index(notebook)
        remaining = self._seconds(self.notebooks[number:]) if notebook in COSTS else None
        left = f", about {duration(remaining)} left" if remaining else ""
        kernel = "" if number else ": starting Python for it"
        self.say(f"[{number + 1} of {len(self.notebooks)}] {notebook}{left}{kernel}")

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        self.line.close()
        print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)

    def _seconds(self, notebooks: Sequence[str]) -> float | None:
        """About how long notebooks after the training take; None where that is not known within a factor of two."""
        if not self.speed or not self.first_seconds or (self.frozen and "05_occlusion" in notebooks):
            return None
        counts = read_description(self.data)[1]
        training = counts.get("train", 0)
        images = {"03_prior_distillation": min(2000, training), "05_occlusion": OCCLUSION_IMAGES}
        images["04_evaluation"] = EVALUATIONS * (sum(counts.values()) - training)
        if self.file.parent.name.endswith("-smoke"):  # which looks at a few images
            images = {}
        return sum(COSTS[name] * self.first_seconds + images.get(name, 0) / self.speed for name in notebooks)

    def _watch(self) -> None:
        last: dict[str, Any] = {}
        while not self.done.wait(LOOK_EVERY_SECONDS):
            if self.current == TRAINING and self.file.exists():
                with suppress(PplkitError):  # the training may end at this moment
                    state = read_json(self.file, "")
                    if state != last:
                        self._show(state)
                    last = state

    def _show(self, state: Mapping[str, Any]) -> None:
        """Say what the file says, and how long the whole run takes once the speed is known."""
        text, left, features = state["text"], state["seconds_left"], state["features_per_second"]
        self.speed, self.frozen = features or FORWARD * state["images_per_second"], bool(features)
        after = self.notebooks[self.notebooks.index(TRAINING) + 1 :]
        rest = self._seconds(after) if after and left is not None else None
        if rest is not None:
            text += f"; about {duration(left + REST * self.first_seconds + rest)} left of the whole run"
        self.line.show(text)
