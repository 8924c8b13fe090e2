"""A trained model of mesh pose as it is read from its run folder."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.model import NPRModel, PatchModel, build_model
from pplkit.models.mesh.template import Template
from pplkit.training.checkpoint import restore
from pplkit.training.run_folder import RunFolder


class MeshRun(NamedTuple):
    """A model of mesh pose, with the mesh that it was trained on: `model.template`."""

    model: PatchModel | NPRModel  # in eval mode
    config: MeshConfig
    step: int  # steps of training


def load_mesh_run(run: str | os.PathLike[str], device: str = "cpu") -> MeshRun:
    """The model of a run folder that `train_mesh` wrote.

    Raises PplkitError if the folder has no checkpoint, or is a run of another method.
    """
    folder = RunFolder(Path(run))
    settings = folder.read("config.json", "config")["config"]
    if "landmark_names" not in settings:
        raise PplkitError(f"{folder.path} is not a run of mesh pose: train one with `pplkit train --preset mesh`.")
    config = folder.settings(MeshConfig)
    checkpoint = folder.latest()
    vertices, faces, points = (
        checkpoint.tensors[f"model.template_{name}"].numpy() for name in ("vertices", "faces", "landmarks")
    )
    landmarks = Landmarks(config.landmark_names, points, config.bones) if len(points) else None
    model = build_model(config, Template(vertices, faces, landmarks, f"the mesh of {folder.path}"))
    step = restore(checkpoint, model, None)
    return MeshRun(model.to(torch.device(device)).eval(), config, step)
