"""A character that moves like somebody."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.films3d import UNITS, write_character
from data_prep.synthetic.films3d import Film, film
from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.data.gltf_frames import read_morph_frames
from pplkit.data.meshes import Mesh
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.inference.character import move_character


@pytest.fixture(scope="module")
def shot() -> Film:
    return film(0, seconds=0.2)


@pytest.fixture(scope="module")
def character(shot: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("character") / "character.obj"
    write_character(path, shot)
    return path


def test_true_joints_move_the_same_body_nearly_as_it_moved(shot: Film, character: Path) -> None:
    moving = move_character(shot.motion(), character)
    truth = shot.posed()[0]
    poses = moving.poses / UNITS
    off = np.linalg.norm(poses - poses.mean(1, keepdims=True) - truth + truth.mean(1, keepdims=True), axis=-1)
    assert moving.meters == 0.01 and moving.fps == 25
    assert off.mean() < 0.02 * 1.74
    still = shot.body.vertices - shot.body.vertices.mean(0)
    assert off.mean() < 0.3 * np.linalg.norm(still - truth + truth.mean(1, keepdims=True), axis=-1).mean()


def test_a_file_in_meters_with_y_up(shot: Film, character: Path, tmp_path: Path) -> None:
    moving = move_character(shot.motion(), character)
    frames = read_morph_frames(moving.save(tmp_path / "moving.glb"))
    assert frames is not None and np.allclose(frames[-1], moving.poses / UNITS, atol=1e-4)
    assert len(list(moving.save(tmp_path / "series").glob("*.obj"))) == 5


def test_joints_of_other_skeletons_go_by_name() -> None:
    skeleton = Skeleton("arm", ("root", "elbow", "tip"), (-1, 0, 1))
    points = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]])
    motion = PoseSequence(points=points, fps=30, skeleton=skeleton, space="world")
    mesh = Mesh(np.array([[1.9, 0.0, 0], [2, 0.1, 0], [2, 0, 0.1]]), np.array([[0, 1, 2]]))
    marks = Landmarks(("tip", "elbow", "root"), np.array([[2.0, 0, 0], [1, 0, 0], [0, 0, 0]]))
    moved = move_character(motion, mesh, marks).poses
    assert np.allclose(moved[0], [[1, 0.9, 0], [0.9, 1, 0], [1, 1, 0.1]], atol=1e-3)
    with pytest.raises(PplkitError, match="no joint called tip"):
        move_character(motion, mesh, Landmarks(("elbow", "root"), np.zeros((2, 3))))


def test_what_cannot_move_is_said(shot: Film, character: Path, tmp_path: Path) -> None:
    motion = shot.motion()
    gap = motion.points.copy()
    gap[1, 3] = np.nan
    with pytest.raises(PplkitError, match="pplkit imitate"):
        move_character(PoseSequence(points=gap, fps=25, skeleton=motion.skeleton, space="world"), character)
    with pytest.raises(PplkitError, match="has no joints"):
        move_character(motion, Mesh(shot.body.vertices, shot.body.faces))
    alone = tmp_path / "alone.obj"
    alone.write_bytes(character.read_bytes())
    with pytest.raises(PplkitError, match=r"alone\.json"):
        move_character(motion, alone)
    write_json(tmp_path / "few.json", {"points": {"pelvis": [0, 0, 0]}})
    with pytest.raises(PplkitError, match="left hip"):
        move_character(motion, alone, tmp_path / "few.json")
