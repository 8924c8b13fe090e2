"""From the names in a notebook's parameters to the folders behind them: data/<data set> and runs/<run>."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from pplkit.core.errors import PplkitError
from pplkit.core.project import home
from pplkit.data.crops import CROPS
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.reader import OBJECT
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder, load

SCALES = ("default", "smoke")


class Trained(NamedTuple):
    """All that the notebooks after training start from."""

    run: RunFolder
    data: Dataset
    model: PosePriorLearner  # in eval mode, on a GPU if there is one


def data_folder(dataset: str, scale: str = "default") -> Path:
    """<home>/data/<dataset>; at scale "smoke" the name ends in -smoke. Raises PplkitError for another scale or name."""
    return _folder("data", "dataset", dataset, scale)


def run_folder(run: str, scale: str = "default") -> Path:
    """<home>/runs/<run>; at scale "smoke" the name ends in -smoke. Raises PplkitError for another scale or name."""
    return _folder("runs", "run", run, scale)


def trained(run: str, scale: str = "default") -> Trained:
    """The run of that name with its data set and its model.

    Raises PplkitError if it has not been trained, or if its data set is gone or was changed since.
    """
    folder = RunFolder(run_folder(run, scale))
    if not folder.checkpoints():
        raise PplkitError(f"{folder.path} holds no trained model: train first (notebook 02_training, run={run!r}).")
    return Trained(folder, data_of(folder), load(folder.path, "cuda" if torch.cuda.is_available() else "cpu"))


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


def crop_of(run: str | os.PathLike[str]) -> str:
    """The crop that the data set of a run was prepared with: "centre", "pad" or "object"; "centre" if it says none.

    What cannot be had of other files, such as a box in pixels, counts as none; so does a data set that is gone.
    """
    try:
        crop = data_of(RunFolder(Path(run))).options.get("crop")
    except PplkitError:
        return "centre"
    return crop if crop in (*CROPS, OBJECT) else "centre"


def _folder(kind: str, what: str, name: str, scale: str) -> Path:
    if scale not in SCALES:
        raise PplkitError(f"scale={scale!r} is unknown: choose one of {', '.join(SCALES)}.")
    if name in ("", ".", "..") or Path(name).name != name or not name.isprintable():
        raise PplkitError(f"{what}={name!r} cannot name a folder: use letters, digits, - and _ only.")
    return home() / kind / (name if scale == "default" else f"{name}-{scale}")
