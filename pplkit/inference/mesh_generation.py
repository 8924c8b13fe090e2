"""New poses of a mesh whose poses have been learned."""

import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh, posed_mesh
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.models.mesh.model import NPRModel, PatchModel
from pplkit.training.saved_mesh import GENERATOR, DiffusionRun, code_of, is_diffusion, load_diffusion, load_mesh_run

TRIES = 20  # poses that are drawn at most for each that is wanted
AT_ONCE = 16  # poses that a diffusion draws together


def generate_poses(
    run: str | os.PathLike[str], count: int = 8, seed: int = 0, crossings: float | None = None
) -> PosedMesh:
    """New poses of the mesh that a run has learned from, with that mesh and its landmarks.

    From a run of mesh pose they are drawn from the distribution of the training poses (`models.mesh.generator`), from
    one of a diffusion over its codes by that. A draw is left out if more than `crossings` pairs of its faces cross; by
    default, of models with patches, more than in nine tenths of the training poses. `pplkit.transfer_pose` gives poses
    to other meshes. The same seed gives the same poses, whatever their number.

    Raises PplkitError for a run that is not trained to its end, or whose codes only a diffusion can draw, and where
    nearly all draws cross.
    """
    if count < 1:
        raise PplkitError(f"count={count} is too small: ask for at least one pose.")
    diffusion = load_diffusion(run) if is_diffusion(run) else None
    mesh_run = Path(run) if diffusion is None else diffusion.mesh_run
    model = load_mesh_run(mesh_run).model
    if diffusion is not None:
        draws = _diffused(diffusion, model, seed)
    elif isinstance(model, PatchModel):
        draws = _drawn(PoseGenerator.read(mesh_run / GENERATOR), seed)
    else:
        raise PplkitError(f"{run} was trained with network='npr': train a diffusion on it (--preset mesh-diffusion).")
    limit = crossings
    if limit is None:
        limit = PoseGenerator.read(mesh_run / GENERATOR).crossings if isinstance(model, PatchModel) else math.inf
    template, poses = model.template, list[np.ndarray]()
    faces = template.faces.numpy()
    for code in islice(draws, TRIES * count):
        (pose,) = model.apply_code(code, template)
        if math.isinf(limit) or len(intersecting_faces(pose, faces)) <= limit:
            poses.append(pose)
        if len(poses) == count:
            break
    else:
        raise PplkitError(f"{len(poses)} of {TRIES * count} draws cross themselves little: train on more poses.")
    marks = template.landmarks
    if marks is not None:
        marks = Landmarks(marks.names, template.restored(marks.points), marks.bones)
    rest = template.restored(template.vertices.numpy())
    return posed_mesh(rest, faces, np.stack(poses), marks, f"the mesh of {mesh_run}")


def _drawn(generator: PoseGenerator, seed: int) -> Iterator[Any]:
    """Codes of patches, one by one, without end."""
    for number in count_from(0):
        yield torch.from_numpy(generator.draw(1, seed, number))


def _diffused(run: DiffusionRun, model: PatchModel | NPRModel, seed: int) -> Iterator[Any]:
    """Codes of a diffusion, one by one, without end; always as many are drawn at once, so that all are the same."""
    for first in count_from(0, AT_ONCE):
        generators = [np.random.default_rng([seed, number]) for number in range(first, first + AT_ONCE)]
        tokens = run.diffusion.draw(partial(_noise, generators, run.diffusion.parts))
        for token in tokens:
            yield code_of(run.mesh_run, model, token[None])


def _noise(generators: Sequence[np.random.Generator], parts: int, channels: int) -> Tensor:
    """Normal numbers (B, K, c), from a generator for each pose."""
    draws = [generator.standard_normal((parts, channels), np.float32) for generator in generators]
    return torch.from_numpy(np.stack(draws))
