"""A trained model of mesh pose, and a diffusion over its codes, as they are read from their run folders."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path, check_file
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.diffusion import PoseDiffusion
from pplkit.models.mesh.diffusion_config import DiffusionConfig
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.models.mesh.model import NPRModel, PatchModel, build_model
from pplkit.models.mesh.template import Template
from pplkit.training.checkpoint import restore
from pplkit.training.run_folder import RunFolder

GENERATOR, CODES = "generator.npz", "codes.safetensors"  # in the run folder
PARTS = (3, 256)  # channels of keypoints and features of NPR: the stages of a diffusion


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


class DiffusionRun(NamedTuple):
    """A diffusion over the codes of a model of mesh pose."""

    diffusion: PoseDiffusion  # in eval mode
    config: DiffusionConfig
    mesh_run: Path  # the run of mesh pose


def load_diffusion(run: str | os.PathLike[str]) -> DiffusionRun:
    """The diffusion of a run folder that `train_diffusion` wrote.

    Raises PplkitError if the folder has no checkpoint, is a run of another method, or has lost its run of mesh pose.
    """
    folder = RunFolder(Path(run))
    if not is_diffusion(run):
        raise PplkitError(f"{folder.path} is no run of preset mesh-diffusion: train one.")
    config = folder.settings(DiffusionConfig)
    mesh_run = Path(os.path.normpath(folder.path / config.mesh_run))
    if not mesh_run.is_dir():
        raise PplkitError(
            f"{folder.path} was trained on the codes of {mesh_run}, which is missing: move both together."
        )
    checkpoint, model = folder.latest(), load_mesh_run(mesh_run).model
    channels = PARTS if isinstance(model, NPRModel) else (9,)
    diffusion = build_diffusion(config, model, (len(checkpoint.tensors["model.anchors"]), sum(channels)))
    restore(checkpoint, diffusion, None)
    return DiffusionRun(diffusion.eval(), config, mesh_run)


def is_diffusion(run: str | os.PathLike[str]) -> bool:
    """Whether a run folder is one of a diffusion over pose codes. Raises PplkitError where there is no run."""
    return "noise_steps" in RunFolder(Path(run)).read("config.json", "config")["config"]


def build_diffusion(config: DiffusionConfig, model: PatchModel | NPRModel, shape: Sequence[int]) -> PoseDiffusion:
    """The diffusion of the settings over codes (K, C) of a model, with random weights.

    Codes of patches, which lie at rest, are one stage; NPR's keypoints and then features are two, as published.
    """
    channels = PARTS if isinstance(model, NPRModel) else (shape[1],)
    sizes = config.width, config.layers, config.heads, config.noise_steps
    return PoseDiffusion(channels, shape[0], model.anchors(), *sizes)


def write_codes(run: Path, tokens: Tensor) -> None:
    """Keep the codes (N, K, C) of the training poses in a run folder of mesh pose. Raises WriteError."""
    with atomic_path(run / CODES) as partial:
        save_file({"codes": tokens.float().contiguous()}, partial)


def read_codes(run: str | os.PathLike[str]) -> Tensor:
    """What `write_codes` wrote. Raises PplkitError for a run that was not trained to its end."""
    path, remedy = Path(run) / CODES, "train mesh pose to its end first"
    if not Path(run).is_dir():
        raise PplkitError(f"there is no run {str(run)!r} of mesh pose: {remedy}.")
    check_file(path, remedy)
    try:
        return load_file(path)["codes"]
    except (SafetensorError, KeyError, OSError):
        raise PplkitError(f"{path} holds no codes of poses: {remedy}.") from None


def code_of(run: str | os.PathLike[str], model: PatchModel | NPRModel, tokens: Tensor) -> object:
    """The code that tokens (N, K, C) are, those that `read_codes` gives or a diffusion draws."""
    if isinstance(model, NPRModel):
        return model.code_of(tokens)
    return torch.from_numpy(PoseGenerator.read(Path(run) / GENERATOR).matrices(tokens.double().numpy()))
