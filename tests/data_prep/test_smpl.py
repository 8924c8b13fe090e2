"""A body model of two joints made here, in the layout of SMPL."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.smpl import read_body_model
from pplkit.core.errors import PplkitError

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0]])


def model_file(path: Path, **changes: np.ndarray) -> Path:
    """Vertex 1 is the second joint; vertices 2 and 3 follow it."""
    arrays = {
        "v_template": POINTS,
        "f": np.array([[0, 1, 3], [1, 2, 3]], np.uint32),
        "weights": np.array([[1.0, 0], [0.5, 0.5], [0, 1], [0, 1]]),
        "kintree_table": np.array([[2**32 - 1, 0], [0, 1]], np.uint32),
        "J_regressor": np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]),
        "posedirs": np.zeros((4, 3, 9)),
    }
    np.savez(path, **(arrays | changes))
    return path


def test_a_quarter_turn_of_the_second_joint_by_hand(tmp_path: Path) -> None:
    body = read_body_model(model_file(tmp_path / "model.npz"))
    assert body.parents == (-1, 0) and body.joints.tolist() == [[0, 0, 0], [1, 0, 0]]
    posed = body.posed(np.array([[0, 0, 0, 0, 0, np.pi / 2], np.zeros(6)]))
    assert posed[0] == pytest.approx(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), abs=1e-12)
    assert posed[1] == pytest.approx(POINTS)


def test_corrections_are_linear_in_the_rotation_and_come_before_it(tmp_path: Path) -> None:
    bulge = np.zeros((4, 3, 9))
    bulge[2, 0, 0] = 0.5  # x of vertex 2 by R[0, 0] - 1, which is -1 after a quarter turn
    posed = read_body_model(model_file(tmp_path / "m.npz", posedirs=bulge)).posed(
        np.array([[0, 0, 0, 0, 0, np.pi / 2]])
    )
    assert posed[0, 2] == pytest.approx([1, 0.5, 0], abs=1e-12)


def test_sets_leave_out_the_direction_and_spread_over_the_sequence(tmp_path: Path) -> None:
    body = read_body_model(model_file(tmp_path / "m.npz"))
    rotations = np.zeros((11, 6))
    rotations[:, 0], rotations[:, 5] = 1.0, np.linspace(0, np.pi / 2, 11)
    data = body.posed_set(rotations, 3, "poses.npz")
    assert data.poses[:, 2] == pytest.approx(np.array([[2, 0, 0], [1 + 0.5**0.5, 0.5**0.5, 0], [1, 1, 0]]), abs=1e-12)
    with pytest.raises(PplkitError, match=r"poses.npz has poses of the shape \(11, 5\): give \(N, 6\) or more"):
        body.posed_set(rotations[:, :5], 3, "poses.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", v_template=POINTS)
    with pytest.raises(PplkitError, match=r"other.npz lacks f, weights, kintree_table, J_regressor: get SMPL"):
        read_body_model(tmp_path / "other.npz")
    with pytest.raises(PplkitError, match="which do not go together"):
        read_body_model(model_file(tmp_path / "bad.npz", weights=np.ones((3, 2))))
