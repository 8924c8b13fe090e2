"""Mesh pose as the engine's task: poses of one mesh, points on it, and how far they come to lie from where they are."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh, read_mesh_set
from pplkit.geometry.mesh import jacobians
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.models.mesh.model import POSES_AT_ONCE, MeshModel, NPRModel, PatchModel, build_model
from pplkit.models.mesh.template import Template
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.saved_mesh import GENERATOR, write_codes
from pplkit.training.task import Losses, Rank, Task

LOSS_UNIT = 1e3  # losses are in thousandths, as the published scores are
COUNTED = 100  # training poses in which crossing faces are counted
CROSSED = 0.9  # of them have at most as many as generated poses may have
SEED_STRIDE = 10**7  # between the seeds of trainings; a step adds 1


class MeshBatch(NamedTuple):
    """Poses of one step."""

    fields: Tensor  # (B, F, 3, 3) Jacobians
    posed: Tensor  # (B, V, 3) in units of the box at rest
    seed: int  # of the points


def train_mesh(
    config: MeshConfig, source: PosedMesh | str | os.PathLike[str], run: str | os.PathLike[str], **options: Any
) -> Result:
    """Learn the poses of one mesh, or continue where the run folder stopped; `options` are those of `fit`.

    `source` is a mesh with poses, as `data_prep.synthetic.bodies3d.body_poses` makes it, or a folder of mesh files
    (`data.mesh_sets`). Raises PplkitError for files that are no poses of one mesh, and as `fit` does.
    """
    data = source if isinstance(source, PosedMesh) else read_mesh_set(source)
    return fit(MeshTask(config, data), run, **options)


class MeshTask(Task):
    """A model that codes the poses of one mesh and gives them to others."""

    method = "mesh"

    def __init__(self, config: MeshConfig, source: PosedMesh) -> None:
        if not len(source.poses):
            raise PplkitError(f"{source.mesh.source} has no poses to learn from: give some beside the mesh at rest.")
        if source.landmarks is not None:
            config = config.replace(landmark_names=source.landmarks.names, bones=source.landmarks.bones)
        self.config: MeshConfig = config
        self.source = source

    def setup(self, rank: Rank) -> None:
        """Build the network from the seed, and the Jacobians of all poses."""
        torch.manual_seed(self.config.seed)
        self.rank, mesh = rank, self.source.mesh
        self.template = Template(mesh.vertices, mesh.faces, self.source.landmarks, mesh.source)
        self.model: MeshModel = build_model(self.config, self.template)
        posed = torch.from_numpy(self.template.normalized(self.source.poses))
        full = self.config.full_gradients and self.config.network != "npr"
        fields = [jacobians(self.template.vertices, self.template.faces, pose, full=full).float() for pose in posed]
        self.fields, self.posed = torch.stack(fields), posed.float()

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam, as published."""
        return torch.optim.Adam(self.model.parameters())

    def learning_rates(self, step: int) -> Sequence[float]:
        """Half a cosine from the learning rate to its last fraction."""
        low = self.config.final_learning_rate
        return (self.config.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * step / self.config.steps)) / 2),)

    def batch(self, step: int) -> MeshBatch:
        """This process's share of the poses of a step."""
        seed = self.config.seed * SEED_STRIDE + step
        numbers = torch.randint(len(self.posed), (self.config.batch_size,), generator=_generator(seed))
        numbers = numbers[self.rank.number :: self.rank.world_size]
        device = self.rank.device
        return MeshBatch(self.fields[numbers].to(device), self.posed[numbers].to(device), seed)

    def finish(self, folder: Path, made_by: dict[str, Any], step: int) -> None:
        """Write the codes of the poses and their distribution, from which `pplkit generate` draws."""
        model, poses = self.model.cpu().eval(), self.source.poses
        codes = [model.encode(part) for part in np.array_split(poses, -(-len(poses) // POSES_AT_ONCE))]
        if isinstance(model, NPRModel):
            write_codes(folder, torch.cat([model.tokens(code) for code in codes]))
        elif isinstance(model, PatchModel) and len(poses) > 1:
            generator = fit_generator(model, torch.cat(codes).numpy(), poses)
            generator.write(folder / GENERATOR)
            write_codes(folder, torch.from_numpy(generator.numbers(torch.cat(codes).numpy())))

    def losses(self, forward: Callable[..., Any], batch: MeshBatch, progress: float) -> Losses:
        """Mean squared distance in thousandths of the box, wherever a pose lies as a whole; and how rough patches are.

        NPR's meshes are solved with vertex 0 at its true place, as in the released code.
        """
        if isinstance(self.model, NPRModel):
            centers = batch.posed[:, self.template.faces.to(batch.posed.device)].mean(2)
            field = forward(centers, batch.fields)
            solved = self.template.solver.solve(field, {0: batch.posed[:, 0]}).to(batch.posed)
            error = LOSS_UNIT * (solved - batch.posed).square().mean()
            return error, {"vertices": error.detach()}, field
        assert isinstance(self.model, PatchModel)
        truth, scattered = batch.posed, tuple[Tensor, ...]()
        if self.config.scatter:
            points, areas = (value.to(truth) for value in scattered_points(self.template, batch.seed))
            faces = self.template.faces.to(truth.device)
            truth, scattered = (truth[:, faces] * points[..., None]).sum(2), (points, areas)
        placed, roughness = forward(batch.fields, *scattered)
        apart = (placed - placed.mean(1, keepdim=True)) - (truth - truth.mean(1, keepdim=True))
        error = LOSS_UNIT * apart.square().sum(2).mean()
        parts = {"vertices": error.detach(), "roughness": roughness.detach()}
        return error + self.config.weight_smoothness * roughness, parts, placed


def fit_generator(model: PatchModel, codes: np.ndarray, poses: np.ndarray) -> PoseGenerator:
    """The distribution of the codes (N, K, 3, 3) of poses (N, V, 3), and how many faces cross in most of them.

    Crossing faces are counted in the poses as the model gives them back, at most COUNTED of them.
    """
    given = model.transfer(poses[:COUNTED], model.template)
    crossings = [len(intersecting_faces(pose, model.template.faces.numpy())) for pose in given]
    return PoseGenerator.fitted(codes, model.overlap(), int(np.quantile(crossings, CROSSED)))


def scattered_points(template: Template, seed: int) -> tuple[Tensor, Tensor]:
    """A random point in each face, as barycentric coordinates (F, 3), and areas (F,) up to twice the face's.

    No two steps see the same triangulation, so that what is learned does not depend on one.
    """
    corners = -torch.rand(len(template.faces), 4, generator=_generator(seed + 1)).clamp_min(1e-7).log()
    points = corners[:, :3] / corners[:, :3].sum(1, keepdim=True)
    areas = template.face_areas.float() * torch.exp(-corners[:, 3])
    return points, areas / areas.sum()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
