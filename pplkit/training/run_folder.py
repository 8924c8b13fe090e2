"""The run folder: configuration, metrics, checkpoints, and a model loaded from them. JSON and safetensors only."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import (
    MAX_TEXT_BYTES,
    PARTIAL,
    WriteError,
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
from pplkit.core.project import same_prior
from pplkit.core.version import __version__
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.models.prior.config import Config, with_new_names
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.training import checkpoint as checkpoints
from pplkit.training.checkpoint import Checkpoint, Damaged, restore, weights
from pplkit.training.checkpoint import read_checkpoint as read_checkpoint

AGAIN = "run the step that writes it (training comes first)"
COMPLETER = "completer.safetensors"
MODEL = "model.safetensors"  # of a folder that was handed on
KEPT = 2  # checkpoints: the last one and the one before it
FREE = ("steps", "name")  # settings that a continued run may change


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>`: where one training run keeps everything."""

    path: Path

    def held(self) -> AbstractContextManager[None]:
        """Inside, no other process trains the run or teaches its completer; raises PplkitError if one does already."""
        return locked(self.path, f"the run folder {self.path} is in use", ".training.lock")

    def open(self, config: Config, data: Dataset, machine: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Create the folder for `config` and `data`, or check that it was made for them; returns what made it.

        With the config and the hash of the data, that is all that determines a run: versions, and what `machine`
        says of device and threads. What a killed process left half-written is removed.
        Raises PplkitError when the folder belongs to a run with other settings or other data.
        """
        made_by = {"version": __version__, "data": data.name, "data_sha256": data.sha256, "torch": torch.__version__}
        made_by |= {"numpy": np.__version__, "python": platform.python_version(), **(machine or {})}
        made_by["data_path"] = os.path.relpath(data.path, self.path)
        if (self.path / MODEL).exists():
            raise PplkitError(f"{self.path} holds a model that was handed on: choose another folder to train in.")
        try:
            if self.checkpoints():  # before the first there is nothing to lose, and wrong settings may be put right
                self._check(config, made_by)
            for folder in ("checkpoints", "figures", "notebooks"):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
            remove(*self.path.glob(f"*.json*{PARTIAL}"), *(self.path / "checkpoints").glob(f"*{PARTIAL}"))
            write_json(self.path / "config.json", {"config": config.to_dict(), "made_by": made_by})
        except OSError as error:
            raise PplkitError(
                f"the run folder {self.path} cannot be written ({reason(error)}): {remedy(error)}, or choose another."
            ) from None
        return made_by

    def _check(self, config: Config, made_by: dict[str, Any]) -> None:
        again = "choose another run name, or delete the folder to start again."
        if changed := ", ".join(name for name in self.changed(config) if name not in FREE):
            raise PplkitError(f"{self.path} holds a run with other settings ({changed}): {again}")
        if config.steps < (done := int(self.checkpoints()[-1].stem.partition("-")[2])):
            raise PplkitError(f"{self.path} has done {done} steps already: give as many steps, or another run name.")
        if self.read("config.json", "made_by")["made_by"].get("data_sha256") != made_by["data_sha256"]:
            raise PplkitError(f"{self.path} was trained on other data than {made_by['data']}: {again}")

    def read(self, name: str, *keys: str) -> dict[str, Any]:
        """A JSON object of the run, in which `keys` hold objects; raises PplkitError if it is missing or torn."""
        content = read_json(self.path / name, AGAIN)
        for key in keys:
            if not isinstance(content.get(key), dict):
                raise PplkitError(f"{self.path / name} has no {key!r} with names: {AGAIN}.")
        return content

    def changed(self, config: Config) -> dict[str, tuple[Any, Any]]:
        """Settings before and now that config.json has otherwise; what has come since had its default before."""
        old = json.loads(Config().to_json()) | with_new_names(self.read("config.json", "config")["config"])
        if same_prior(old["predefined"], config.predefined, self.path):
            old["predefined"] = config.predefined
        return {name: (old[name], value) for name, value in json.loads(config.to_json()).items() if old[name] != value}

    def config(self) -> Config:
        """The settings of the run; raises PplkitError naming config.json if they are missing or not usable."""
        content = self.read("config.json", "config")
        try:
            return Config.from_dict(content["config"])
        except PplkitError as error:
            raise PplkitError(f"{self.path / 'config.json'} is not usable: {error}") from None

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

    def checkpoints(self) -> list[Path]:
        """Paths of the checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"))

    def write(self, model: PosePriorLearner, made_by: dict[str, Any]) -> None:
        """A folder for a model that was trained elsewhere: its config, its weights as step 0 and its prior.

        Raises PplkitError if it cannot be written.
        """
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(self.path, error) from None
        self.save(0, model, None, made_by)
        model.made_by = {**made_by, "run": self.path.name, "step": 0}
        model.prior().save(self.path / "prior.json")
        write_json(self.path / "config.json", {"config": model.config.to_dict(), "made_by": made_by})

    def save(
        self,
        step: int,
        model: nn.Module,
        optimiser: torch.optim.Optimizer | None,
        made_by: dict[str, Any],
        state: dict[str, Any] | None = None,
    ) -> Path:
        """Write the checkpoint of `step` atomically, and when it is verified drop all but it and the one before it.

        Those of later steps, which a run leaves behind that had to go back, are dropped as well. One whose `state` is
        not "good" drops none. Raises PplkitError if it cannot be written.
        """
        path = self.path / "checkpoints" / f"step-{step:08d}.safetensors"
        about = {"schema": checkpoints.TRAINING[0], "step": str(step), "made_by": json.dumps(made_by)}
        checkpoints.write(path, weights(model, optimiser), {**about, "state": json.dumps(state or {})})
        if (state or {}).get("good", True):
            every = self.checkpoints()
            here = every.index(path) + 1
            remove(*every[: max(0, here - KEPT)], *every[here:])
        return path

    def last(self, *, good: bool = False) -> Checkpoint | None:
        """The last checkpoint that can be read, and with `good` that is "good"; None if there is none.

        Says which cannot be read. Raises PplkitError if there are some and none of them can, or one is of another
        version.
        """
        damaged = []
        paths = self.checkpoints()[::-1]
        for path in paths:
            try:
                found = read_checkpoint(path)
            except Damaged as error:
                if not os.path.lexists(path):  # a training has just replaced it
                    return self.last(good=good)
                damaged.append(str(error))
                print(f"pplkit: {error}", file=sys.stderr, flush=True)
                continue
            if found.state.get("good", True) or not good:
                return found
        if damaged and len(damaged) == len(paths):
            lost = f"no checkpoint in {self.path / 'checkpoints'} can be read, neither the last nor the one before"
            raise PplkitError(f"{lost}: bring back a copy of one, or delete the run folder to train anew.")
        return None

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> int:
        """Load the last checkpoint into model and optimiser (parameters on their device); returns its step, else 0."""
        return restore(self.last(), model, optimiser)

    def save_completer(self, model: PosePriorLearner, steps: int) -> None:
        """Write the model's completer atomically, with the steps it learned for and the weights it learned from.

        Raises PplkitError if it cannot be written.
        """
        assert model.completer is not None
        path = self.path / COMPLETER
        about = {"schema": checkpoints.COMPLETER[0], "steps": str(steps), "of": fingerprint(model)}
        checkpoints.write(path, model.completer.state_dict(), about)

    def restore_completer(self, model: PosePriorLearner) -> int:
        """Give the model its completer, if there is one made from its weights; the steps it learned for, else 0.

        Raises PplkitError if the file is torn, altered or of another version.
        """
        path = self.path / COMPLETER
        if not path.exists():
            return 0
        again = "delete it, and run `pplkit complete` again"
        tensors, about = checkpoints.read(path, checkpoints.COMPLETER, again)
        if about.get("of") != fingerprint(model):  # the run went on, or was made anew
            return 0
        try:
            completer = Completer(model.regressor)
            completer.load_state_dict(tensors)
            steps = int(about["steps"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise PplkitError(f"{path} cannot be read ({str(error).splitlines()[-1].strip()}): {again}.") from None
        model.completer = completer
        return steps


def _row(line: bytes) -> dict[str, Any]:
    """What a line of a .jsonl file says; {} if it is none."""
    try:
        row = parse_json(line.decode())
        sound = isinstance(row, dict) and type(row.get("step")) is int
        return row if sound and all(np.asarray(value).dtype.kind in "iuf" for value in row.values()) else {}
    except (ValueError, OverflowError):
        return {}


def fingerprint(model: PosePriorLearner) -> str:
    """The sha256 of the regressor's weights and the prior, from which a completer learns."""
    found = hashlib.sha256(model.keypoint_prior().detach().cpu().numpy().tobytes())
    for value in model.regressor.state_dict().values():
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


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
