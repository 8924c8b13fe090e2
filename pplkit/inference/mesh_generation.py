"""New poses of a mesh whose poses have been learned."""

import os
from pathlib import Path

import numpy as np
import torch

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh, posed_mesh
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.models.mesh.model import PatchModel
from pplkit.training.saved_mesh import load_mesh_run
from pplkit.training.tasks.mesh import GENERATOR

TRIES = 20  # poses that are drawn at most for each that is wanted


def generate_poses(run: str | os.PathLike[str], count: int = 8, seed: int = 0) -> PosedMesh:
    """New poses of the mesh that a run has learned from, with that mesh and its landmarks.

    They are drawn from the distribution of the training poses (`models.mesh.generator`); a draw whose surface crosses
    itself more than nine tenths of the training poses do is left out. `pplkit.transfer_pose` gives them to other
    meshes. The same seed gives the same poses, whatever their number.

    Raises PplkitError for a run that is not trained to its end or has no patches, and where nearly all draws cross.
    """
    if count < 1:
        raise PplkitError(f"count={count} is too small: ask for at least one pose.")
    model = load_mesh_run(run).model
    if not isinstance(model, PatchModel):
        raise PplkitError(f"{run} was trained with network='npr', which generates no poses: train with --preset mesh.")
    generator, template = PoseGenerator.read(Path(run) / GENERATOR), model.template
    faces, poses = template.faces.numpy(), list[np.ndarray]()
    for number in range(TRIES * count):
        (pose,) = model.apply_code(torch.from_numpy(generator.draw(1, seed, number)), template)
        if len(intersecting_faces(pose, faces)) <= generator.crossings:
            poses.append(pose)
        if len(poses) == count:
            break
    else:
        raise PplkitError(f"{len(poses)} of {TRIES * count} draws cross themselves little: train on more poses.")
    marks = template.landmarks
    if marks is not None:
        marks = Landmarks(marks.names, template.restored(marks.points), marks.bones)
    return posed_mesh(template.restored(template.vertices.numpy()), faces, np.stack(poses), marks, f"the mesh of {run}")
