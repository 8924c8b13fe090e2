"""A trained run of the project, by its name: folder, data set and model."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from pplkit.core.errors import PplkitError
from pplkit.core.project import run_folder
from pplkit.data.crops import CROPS, current_name
from pplkit.data.dataset import Dataset
from pplkit.data.reader import OBJECT
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder, data_of
from pplkit.training.saved_model import load


class TrainedRun(NamedTuple):
    """All that the notebooks after training start from."""

    run: RunFolder
    data: Dataset
    model: PosePriorLearner  # in eval mode, on a GPU if there is one


def load_run(run: str, scale: str = "default") -> TrainedRun:
    """The run of that name with its data set and its model.

    Raises PplkitError if it has not been trained, or its data set is missing or has changed since.
    """
    folder = RunFolder(run_folder(run, scale))
    if not folder.checkpoints():
        raise PplkitError(f"{folder.path} holds no trained model: train first (notebook 02_training, run={run!r}).")
    return TrainedRun(folder, data_of(folder), load(folder.path, "cuda" if torch.cuda.is_available() else "cpu"))


def crop_of(run: str | os.PathLike[str]) -> str:
    """The crop that the data set of a run was prepared with: "center", "pad" or "object".

    "center" also where the data set is missing, or has a crop that other files cannot have, such as a box in pixels.
    """
    try:
        crop = data_of(RunFolder(Path(run))).options.get("crop")
    except PplkitError:
        return "center"
    crop = current_name(crop) if isinstance(crop, str) else None
    return crop if crop in (*CROPS, OBJECT) else "center"
