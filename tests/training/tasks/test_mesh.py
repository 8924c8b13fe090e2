"""Mesh pose on the engine: batches, continuing to the same bits, folders, and that errors fall."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_prep.synthetic.bodies3d import body_poses, built_in
from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import posed_mesh, write_mesh_set
from pplkit.models.mesh import MeshConfig, Template
from pplkit.training import RunFolder, load, load_lifter, load_mesh_run, train_mesh
from pplkit.training.logger import Progress
from pplkit.training.task import Rank, split_batch
from pplkit.training.tasks.mesh import MeshTask, scattered_points

DATA = body_poses("humanoid", count=8)
TINY = MeshConfig.preset("mesh-small").replace(patches=20, batch_size=2, steps=6)
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}


def ready(config: MeshConfig = TINY, rank: int = 0, world_size: int = 1) -> MeshTask:
    task = MeshTask(config, DATA)
    task.setup(Rank(torch.device("cpu"), rank, world_size, "32-true"))
    return task


def test_a_batch_is_that_of_its_step_and_shared_by_processes() -> None:
    config = TINY.replace(batch_size=4)
    first, again, other = ready(config).batch(3), ready(config).batch(3), ready(config).batch(4)
    assert torch.equal(first.fields, again.fields) and not torch.equal(first.fields, other.fields)
    assert torch.equal(ready(config, 1, 2).batch(3).posed, first.posed[1::2])
    assert [part.seed for part in split_batch(first, 2)] == [first.seed] * 2


def test_scattered_points_lie_in_their_faces_and_cover_them_evenly() -> None:
    template = Template(DATA.mesh.vertices, DATA.mesh.faces)
    draws = [scattered_points(template, seed) for seed in range(40)]
    points = torch.stack([points for points, _ in draws])
    assert points.min() >= 0 and points.sum(2).numpy() == pytest.approx(1)
    assert points.mean((0, 1)).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    assert points.var((0, 1)).tolist() == pytest.approx([1 / 18] * 3, abs=0.003)  # of a uniform one
    areas = torch.stack([areas for _, areas in draws])
    assert areas.sum(1).tolist() == pytest.approx([1] * 40, abs=1e-5)


def test_a_training_that_was_stopped_gives_the_same_bits(tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 3 else None

    train_mesh(TINY, DATA, tmp_path / "whole", **QUIET)
    train_mesh(TINY, DATA, tmp_path / "parts", callback=stop, save_every=3, **QUIET)
    train_mesh(TINY, DATA, tmp_path / "parts", **QUIET)
    one, two = (RunFolder(tmp_path / name).last() for name in ("whole", "parts"))
    assert one is not None and two is not None and one.step == two.step == 6
    assert one.method == "mesh"
    assert all(torch.equal(value, two.tensors[name]) for name, value in one.tensors.items())


def test_errors_fall_on_poses_that_were_not_seen(tmp_path: Path) -> None:
    unseen, template = body_poses("humanoid", count=4, seed=99), Template(DATA.mesh.vertices, DATA.mesh.faces)
    errors = []
    for steps in (1, 40):
        config = TINY.replace(steps=steps, patches=60, batch_size=4)
        train_mesh(config, DATA, tmp_path / str(steps), **QUIET)
        run = load_mesh_run(tmp_path / str(steps))
        assert run.step == steps and run.model.template.landmarks is not None
        difference = run.model.transfer(unseen.poses, template) - unseen.poses
        errors.append(np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=2).mean())
    assert errors[1] < 0.7 * errors[0]


def test_the_published_form_is_trained_and_read_back(tmp_path: Path) -> None:
    corners, faces = np.eye(4)[:, :3], np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    small = posed_mesh(corners, faces, np.stack([corners, 2 * corners]), None, "a tetrahedron")
    train_mesh(MeshConfig.preset("npr").replace(steps=1), small, tmp_path, **QUIET)
    assert load_mesh_run(tmp_path).config.network == "npr"


def test_a_folder_of_meshes_and_a_built_in_body_are_the_same_data(tmp_path: Path) -> None:
    folder = write_mesh_set(tmp_path / "set", DATA)
    train_mesh(TINY.replace(steps=1), folder, tmp_path / "run", **QUIET)
    run, body = load_mesh_run(tmp_path / "run"), built_in("bodies3d-humanoid")
    assert body is not None and body.landmarks is not None and run.model.template.landmarks is not None
    assert run.config.landmark_names == body.landmarks.names and run.config.bones == body.landmarks.bones
    marks = run.model.template
    assert marks.landmarks is not None
    assert marks.restored(marks.landmarks.points) == pytest.approx(body.landmarks.points)
    assert marks.restored(marks.vertices.numpy()) == pytest.approx(body.mesh.vertices)
    assert built_in("puppets") is None


def test_runs_of_another_method_are_refused(tmp_path: Path) -> None:
    train_mesh(TINY.replace(steps=1), DATA, tmp_path / "mesh", **QUIET)
    with pytest.raises(PplkitError, match="is a run of mesh pose: load it with pplkit.training.load_mesh_run"):
        load(tmp_path / "mesh")
    with pytest.raises(PplkitError, match="is not a run of lifting"):
        load_lifter(tmp_path / "mesh")
    (tmp_path / "prior").mkdir()
    (tmp_path / "prior/config.json").write_text('{"config": {"keypoints": 4}, "made_by": {}}')
    with pytest.raises(PplkitError, match="is not a run of mesh pose: train one"):
        load_mesh_run(tmp_path / "prior")
