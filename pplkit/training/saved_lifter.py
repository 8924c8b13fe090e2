"""A trained lifter as it is read from its run folder."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import Skeleton
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.frame_mlp import FrameMLP
from pplkit.models.lifting.model import Lifter, build_model
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.training.checkpoint import restore
from pplkit.training.run_folder import RunFolder


class LifterRun(NamedTuple):
    """A lifter and what its input must be."""

    model: Lifter | PoseFormer | FrameMLP  # in eval mode
    config: LiftingConfig
    skeleton: Skeleton
    fps: float  # frames a second of the sequences that it was trained on
    step: int  # steps of training


def is_lifter(run: str | os.PathLike[str]) -> bool:
    """Whether a run folder holds a lifter. Raises PplkitError if it is no run folder."""
    return "joint_names" in RunFolder(Path(run)).read("config.json", "config")["config"]


def load_lifter(run: str | os.PathLike[str], device: str = "cpu") -> LifterRun:
    """The lifter of a run folder that `train_lifter` wrote.

    Raises PplkitError if the folder has no checkpoint, or is a run of the pose prior.
    """
    folder = RunFolder(Path(run))
    if not is_lifter(run):
        raise PplkitError(f"{folder.path} is not a run of lifting: train one with `pplkit train --preset lift`.")
    config = folder.settings(LiftingConfig)
    model = build_model(config)
    step = restore(folder.latest(), model, None)
    return LifterRun(model.to(torch.device(device)).eval(), config, config.skeleton, config.fps, step)
