"""Generated poses: of the trained mesh, the same for a seed, few crossing faces, none without a finished training."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.synthetic.bodies3d import body_poses
from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.inference.mesh_generation import generate_poses
from pplkit.models.mesh import MeshConfig
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.training import train_mesh

DATA = body_poses("humanoid", count=30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = MeshConfig.preset("mesh-small").replace(steps=2, patches=40, batch_size=2)
    train_mesh(config, DATA, folder, device="cpu", bar=False, threads=1)
    return folder


def test_poses_are_new_and_cross_little(run: Path) -> None:
    made = generate_poses(run, 3, seed=1)
    assert made.poses.shape == (3, *DATA.mesh.vertices.shape) and made.landmarks is not None
    assert made.mesh.vertices == pytest.approx(DATA.mesh.vertices) and np.array_equal(made.mesh.faces, DATA.mesh.faces)
    assert made.landmarks.names == (DATA.landmarks and DATA.landmarks.names)
    assert np.array_equal(generate_poses(run, 2, seed=1).poses, made.poses[:2])
    limit = PoseGenerator.read(run / "generator.npz").crossings
    assert all(len(intersecting_faces(pose, made.mesh.faces)) <= limit for pose in made.poses)
    height, apart = np.ptp(DATA.mesh.vertices[:, 1]), made.poses[:, None] - DATA.poses
    apart -= apart.mean(2, keepdims=True)
    assert np.linalg.norm(apart, axis=3).mean(2).min() > 0.02 * height


def test_what_cannot_be_drawn_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="count=0 is too small"):
        generate_poses(run, 0)
    generator = PoseGenerator.read(run / "generator.npz")
    (run / "generator.npz").unlink()
    with pytest.raises(PplkitError, match="generator.npz.* train to the end"):
        generate_poses(run)
    PoseGenerator(generator.order, generator.parents, generator.mean, generator.components, -1).write(
        run / "generator.npz"
    )
    with pytest.raises(PplkitError, match="0 of 20 draws cross themselves little: train on more poses"):
        generate_poses(run, 1)
