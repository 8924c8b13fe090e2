"""The run folder: settings, metrics, checkpoints. JSON and safetensors only."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import (
    MAX_TEXT_BYTES,
    PARTIAL,
    append_line,
    check_file,
    parse_json,
    read_json,
    remedy,
    remove,
    write_json,
    write_text,
)
from pplkit.core.locks import locked
from pplkit.core.settings import Settings
from pplkit.core.version import __version__
from pplkit.core.words import choice, quantity
from pplkit.data.crops import CROPS, current_name
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.reader import OBJECT
from pplkit.training import checkpoint as checkpoints
from pplkit.training.checkpoint import Checkpoint, Damaged, read_checkpoint, restore, weights
from pplkit.training.task import TrainingSettings

S = TypeVar("S", bound=Settings)

AGAIN = "run the step that writes it (training comes first)"
MODEL = "model.safetensors"  # of a folder that was handed on
KEPT = 2  # checkpoints: the last one and the one before it
FREE = ("steps", "name")  # settings that a continued run may change


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>`: where one training run keeps everything."""

    path: Path

    def held(self) -> AbstractContextManager[None]:
        """Inside, no other process trains in the folder; raises PplkitError if one does already."""
        return locked(self.path, f"the run folder {self.path} is in use", ".training.lock")

    def open(
        self,
        config: TrainingSettings,
        data: Dataset | None,
        machine: Mapping[str, Any] | None = None,
        folders: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Create the folder and `folders` in it, or check that it was made for these settings and data.

        Returns everything that, with the settings, determines a run: versions, the hash of the data, and `machine`,
        which describes device and threads. Files that a killed process left half-written are removed.
        Raises PplkitError when the folder belongs to a run with other settings or other data.
        """
        made_by: dict[str, Any] = {"version": __version__}
        if data is not None:
            made_by |= {"data": data.name, "data_sha256": data.sha256}
        made_by |= {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
        made_by |= machine or {}
        if data is not None:
            made_by["data_path"] = os.path.relpath(data.path, self.path)
        if (self.path / MODEL).exists():
            raise PplkitError(f"{self.path} holds a model that was handed on: choose another folder to train in.")
        try:
            if self.checkpoints():  # before the first there is nothing to lose, and wrong settings may be put right
                self._check(config, made_by)
            for folder in ("checkpoints", *folders):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
            remove(*self.path.glob(f"*.json*{PARTIAL}"), *(self.path / "checkpoints").glob(f"*{PARTIAL}"))
            write_json(self.path / "config.json", {"config": config.to_dict(), "made_by": made_by})
        except OSError as error:
            raise PplkitError(
                f"the run folder {self.path} cannot be written ({reason(error)}): {remedy(error)}, or choose another."
            ) from None
        return made_by

    def _check(self, config: TrainingSettings, made_by: dict[str, Any]) -> None:
        again = "choose another run name, or delete the folder to start again."
        if changed := ", ".join(name for name in self.changed(config) if name not in FREE):
            raise PplkitError(f"{self.path} holds a run with other settings ({changed}): {again}")
        if config.steps < (done := self.last_step()):
            raise PplkitError(
                f"{self.path} has done {quantity(done, 'step')} already: give as many steps, or another run name."
            )
        if self.read("config.json", "made_by")["made_by"].get("data_sha256") != made_by.get("data_sha256"):
            raise PplkitError(f"{self.path} was trained on other data than {made_by.get('data')}: {again}")

    def read(self, name: str, *keys: str) -> dict[str, Any]:
        """A JSON object of the run, in which `keys` hold objects; raises PplkitError if it is missing or torn."""
        if not self.path.is_dir():
            runs = sorted(path.parent.name for path in self.path.parent.glob("*/config.json"))
            advice = choice(self.path.name, runs) if runs else "train first, or correct the path"
            raise PplkitError(f"there is no run folder {self.path}: {advice}.")
        content = read_json(self.path / name, AGAIN)
        for key in keys:
            if not isinstance(content.get(key), dict):
                raise PplkitError(f"{self.path / name} has no {key!r} with names: {AGAIN}.")
        return content

    def changed(self, config: TrainingSettings) -> dict[str, tuple[Any, Any]]:
        """Settings that differ from those in config.json: name to (old, new)."""
        return config.differences(self.read("config.json", "config")["config"], self.path)

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add one line to a .jsonl file of the run; raises PplkitError if that cannot be."""
        append_line(self.path / name, json.dumps(row))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file: a step, and numbers or arrays of them by name.

        What comes after a line that is none, as one cut short by a crash, is left out. Raises PplkitError if the file
        cannot be read.
        """
        path = self.path / name
        if not path.exists():
            return []
        check_file(path, AGAIN)
        try:
            with path.open("rb") as file:
                return list(takewhile(bool, map(_row, iter(lambda: file.readline(MAX_TEXT_BYTES), b""))))
        except OSError as error:
            raise PplkitError(f"{path} cannot be read ({error}): {AGAIN}.") from None

    def cut(self, name: str, step: int) -> None:
        """Drop the lines of a .jsonl file that came after `step`, so that a continued run writes them again."""
        rows = [row for row in self.rows(name) if row["step"] <= step]
        write_text(self.path / name, "".join(json.dumps(row) + "\n" for row in rows))

    def recorded_threads(self) -> int | None:
        """The number of threads that a training with checkpoints ran on; None where there is none."""
        if not self.checkpoints():
            return None
        count = self.read("config.json", "config").get("made_by", {}).get("threads")
        return count if isinstance(count, int) else None

    def checkpoints(self) -> list[Path]:
        """Paths of the checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"))

    def last_step(self) -> int:
        """The step of the last checkpoint, by its file name; 0 if there is none."""
        return max((int(path.stem.partition("-")[2]) for path in self.checkpoints()), default=0)

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        made_by: dict[str, Any],
        state: dict[str, Any] | None = None,
        method: str = "prior",
    ) -> Path:
        """Write the checkpoint of `step` atomically, and when it is verified drop all but it and the one before it.

        Those of later steps, which a run leaves behind that had to go back, are dropped as well. One whose `state` is
        not "good" drops none. Raises PplkitError if it cannot be written.
        """
        path = self.path / "checkpoints" / f"step-{step:08d}.safetensors"
        about = {"schema": checkpoints.TRAINING[0], "step": str(step), "made_by": json.dumps(made_by), "method": method}
        checkpoints.write(path, weights(model, optimizer), {**about, "state": json.dumps(state or {})})
        if (state or {}).get("good", True):
            every = self.checkpoints()
            here = every.index(path) + 1
            remove(*every[: max(0, here - KEPT)], *every[here:])
        return path

    def settings(self, kind: type[S]) -> S:
        """The settings in config.json; raises PplkitError naming the file if they are missing or not usable."""
        content = self.read("config.json", "config")["config"]
        try:
            return kind.from_dict(content)
        except PplkitError as error:
            raise PplkitError(f"{self.path / 'config.json'} is not usable: {error}") from None

    def latest(self) -> Checkpoint:
        """As `last`; raises PplkitError if there is none."""
        if (checkpoint := self.last()) is None:
            raise PplkitError(f"{self.path} holds no checkpoint yet: train it first.")
        return checkpoint

    def last(self, *, good: bool = False) -> Checkpoint | None:
        """The last checkpoint that can be read, and with `good` that is "good"; None if there is none.

        Says which cannot be read. Raises PplkitError if there are some and none of them can, or one is of another
        version.
        """
        damaged = []
        paths = self.checkpoints()[::-1]
        for path in paths:
            try:
                checkpoint = read_checkpoint(path)
            except Damaged as error:
                if not os.path.lexists(path):  # a training has just replaced it
                    return self.last(good=good)
                damaged.append(str(error))
                print(f"pplkit: {error}", file=sys.stderr, flush=True)
                continue
            if checkpoint.state.get("good", True) or not good:
                return checkpoint
        if damaged and len(damaged) == len(paths):
            lost = f"no checkpoint in {self.path / 'checkpoints'} can be read, neither the last nor the one before"
            raise PplkitError(f"{lost}: bring back a copy of one, or delete the run folder to train anew.")
        return None

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
        """Load the last checkpoint into model and optimizer (parameters on their device); returns its step, else 0."""
        return restore(self.last(), model, optimizer)


def start_from(run: str | os.PathLike[str], model: nn.Module) -> None:
    """Give `model` the weights of another run's last checkpoint. Raises PplkitError without one, or of another form."""
    if not RunFolder(Path(run)).restore(model):
        raise PplkitError(f"{run} holds no checkpoint to start from: train it first.")


def _row(line: bytes) -> dict[str, Any]:
    """What a line of a .jsonl file says; {} if it is none."""
    try:
        row = parse_json(line.decode())
        sound = isinstance(row, dict) and type(row.get("step")) is int
        return row if sound and all(np.asarray(value).dtype.kind in "iuf" for value in row.values()) else {}
    except (ValueError, OverflowError):
        return {}


def crop_of(folder: RunFolder) -> str:
    """The crop that the data set of a run was prepared with: "center", "pad" or "object".

    "center" also where the data set is missing, or has a crop that other files cannot have, such as a box in pixels.
    """
    try:
        crop = data_of(folder).options.get("crop")
    except PplkitError:
        return "center"
    crop = current_name(crop) if isinstance(crop, str) else None
    return crop if crop in (*CROPS, OBJECT) else "center"


def data_of(folder: RunFolder) -> Dataset:
    """The data set that a run was trained on; raises PplkitError if it is gone, was changed since, or is not named."""
    made_by = folder.read("config.json", "made_by")["made_by"]
    place = made_by.get("data_path")
    if not isinstance(place, str) or not place or "\0" in place:
        raise PplkitError(f"{folder.path} does not say where its data set is: give the folder it was trained in.")
    data = open_dataset(os.path.normpath(folder.path / place))
    if data.sha256 != made_by.get("data_sha256"):
        raise PplkitError(f"{data.path} was changed after {folder.path} was trained on it: train again.")
    return data
