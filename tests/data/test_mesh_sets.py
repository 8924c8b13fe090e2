"""Data sets of mesh pose: folders that come back as they were written, and one sentence for each that is none."""

from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import posed_mesh, read_landmarks, read_mesh_set, write_mesh_set
from pplkit.geometry.mesh.landmarks import Landmarks

CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def test_a_data_set_comes_back_from_its_folder(tmp_path: Path) -> None:
    marks = Landmarks(("tip", "base"), CORNERS[[3, 0]], ((1, 0),))
    data = posed_mesh(CORNERS, FACES, np.stack([CORNERS * 2, CORNERS + 1]), marks, "a tetrahedron")
    back = read_mesh_set(write_mesh_set(tmp_path / "set", data))
    assert np.array_equal(back.mesh.vertices, CORNERS) and np.array_equal(back.poses, data.poses)
    assert back.landmarks is not None and back.landmarks.to_dict() == marks.to_dict()
    (tmp_path / "set" / "landmarks.json").unlink()
    assert read_mesh_set(tmp_path / "set").landmarks is None


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="is no folder: give one with a mesh at rest"):
        read_mesh_set(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PplkitError, match="empty holds no mesh files"):
        read_mesh_set(tmp_path / "empty")
    data = posed_mesh(CORNERS, FACES, np.zeros((0, 4, 3)), None, "a tetrahedron")
    with pytest.raises(PplkitError, match="holds a mesh but no poses of it"):
        read_mesh_set(write_mesh_set(tmp_path / "rest", data))
    (tmp_path / "marks.json").write_text("{}")
    with pytest.raises(PplkitError, match="marks.json are no landmarks"):
        read_landmarks(tmp_path / "marks.json")
