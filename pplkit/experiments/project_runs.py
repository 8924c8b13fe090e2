"""A trained run of the project, by its name: folder, data set and model."""

from typing import NamedTuple

import torch

from pplkit.core.errors import PplkitError
from pplkit.core.project import run_folder
from pplkit.data.dataset import Dataset
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
