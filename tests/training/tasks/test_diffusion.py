"""Diffusion of codes on the engine: of both networks, continued to the same bits, and poses drawn from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from solids import bent, torus

from data_prep.synthetic.bodies3d import body_poses
from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import posed_mesh
from pplkit.inference.mesh_generation import generate_poses
from pplkit.models.mesh import MeshConfig
from pplkit.models.mesh.diffusion_config import DiffusionConfig
from pplkit.training import RunFolder, load_diffusion, train_diffusion, train_mesh
from pplkit.training.logger import Progress
from pplkit.training.saved_mesh import code_of, load_mesh_run, read_codes

REST, FACES = torus()
POSES = np.stack([bent(REST) * [1 + 0.1 * number, 1, 1] for number in range(4)])
BODY = body_poses("humanoid", count=4)
TINY = DiffusionConfig(width=8, layers=1, noise_steps=4, steps=4, batch_size=4)
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}


@pytest.fixture(scope="module")
def mesh_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "mesh"
    config = MeshConfig.preset("mesh-small").replace(steps=2, patches=40, batch_size=2)
    train_mesh(config, BODY, run, **QUIET)
    return run


def test_codes_of_the_training_poses_are_kept(mesh_run: Path) -> None:
    tokens, model = read_codes(mesh_run), load_mesh_run(mesh_run).model
    assert tokens.shape == (4, 40, 9)
    placed = model.apply_code(code_of(mesh_run, model, tokens), model.template)
    assert placed == pytest.approx(model.transfer(BODY.poses, model.template), abs=1e-3)


def test_a_training_that_was_stopped_gives_the_same_bits(mesh_run: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 2 else None

    train_diffusion(TINY, mesh_run, tmp_path / "whole", **QUIET)
    train_diffusion(TINY, mesh_run, tmp_path / "parts", callback=stop, save_every=2, **QUIET)
    train_diffusion(TINY, mesh_run, tmp_path / "parts", **QUIET)
    one, two = (RunFolder(tmp_path / name).last() for name in ("whole", "parts"))
    assert one is not None and two is not None and one.step == two.step == 4 and one.method == "diffusion"
    assert all(torch.equal(value, two.tensors[name]) for name, value in one.tensors.items())


def test_the_published_form_has_two_stages_and_makes_poses(tmp_path: Path) -> None:
    """Keypoints, then features; the summary follows from these."""
    small = posed_mesh(REST, FACES, POSES, None, "a torus")
    train_mesh(MeshConfig.preset("npr").replace(steps=1), small, tmp_path / "npr", **QUIET)
    with pytest.raises(PplkitError, match="network='npr': train a diffusion on it"):
        generate_poses(tmp_path / "npr")
    train_diffusion(TINY.replace(steps=1), tmp_path / "npr", tmp_path / "diffusion", **QUIET)
    run = load_diffusion(tmp_path / "diffusion")
    assert run.diffusion.channels == (3, 256) and read_codes(tmp_path / "npr").shape == (4, 100, 259)
    assert run.diffusion.stages[1].condition is not None and run.diffusion.stages[0].condition is None
    made = generate_poses(tmp_path / "diffusion", 2, seed=3)
    assert made.poses.shape == (2, *REST.shape) and np.isfinite(made.poses).all()
    assert np.array_equal(generate_poses(tmp_path / "diffusion", 1, seed=3).poses, made.poses[:1])
    with pytest.raises(PplkitError, match="npr is no run of preset mesh-diffusion: train one"):
        load_diffusion(tmp_path / "npr")


def test_damaged_codes_are_refused(mesh_run: Path, tmp_path: Path) -> None:
    (tmp_path / "codes.safetensors").write_bytes(b"no tensors")
    with pytest.raises(PplkitError, match="codes.safetensors holds no codes of poses: train mesh pose to its end"):
        read_codes(tmp_path)
