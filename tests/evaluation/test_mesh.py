"""Scores of mesh poses computed by hand, and the table of baselines."""

import json

import numpy as np
import pytest
from solids import bent, sheet, torus

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh, posed_mesh
from pplkit.evaluation.mesh import (
    compare,
    edge_change,
    mesh_scores,
    pose_distances,
    row_dicts,
    table_lines,
    vertex_distances,
)
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.nearest_face import NearestFace

SQUARE = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def body(rest: np.ndarray, faces: np.ndarray, poses: np.ndarray, marks: np.ndarray | None = None) -> PosedMesh:
    names = tuple("abcdefg"[: len(rest if marks is None else marks)])
    return posed_mesh(rest, faces, poses, None if marks is None else Landmarks(names, marks), "a body")


def test_distances_do_not_depend_on_the_place() -> None:
    truth = np.zeros((1, 4, 3))
    moved = truth + [1, 2, 3]
    moved[0, 0, 0] += 4  # the mean moves by 1: one vertex is 3 off, three are 1 off
    assert vertex_distances(moved, truth).tolist() == [[3, 1, 1, 1]]
    assert vertex_distances(truth + [1, 2, 3], truth).max() == 0
    for wrong, words in ((truth[0], "shapes"), (truth[:, :3], "shapes"), (truth * np.nan, "not finite")):
        with pytest.raises(PplkitError, match=words):
            vertex_distances(wrong, truth)


def test_scores_by_hand() -> None:
    """The box is 2 wide; distances are 3, 1, 1, 1, in the unit box 1.5 and three times 0.5."""
    moved = SQUARE[None].copy()
    moved[0, 0, 0] += 4
    scores = mesh_scores(moved, body(SQUARE, HALVES, SQUARE[None]))
    assert scores.mean == pytest.approx(75) and scores.pmd == pytest.approx(750)
    assert scores.worst == pytest.approx(50 + 100 * 0.85)  # between the third and fourth of four, at 2.85
    # The edges at vertex 0 are 2, √8 and 2 long; it moves to (4, 0, 0), which changes the last one to √20.
    changes = [0, 0, 20**0.5 / 2 - 1, 0, 0]
    assert scores.edges == pytest.approx(100 * np.mean(changes))
    assert scores.intersections == 0


def test_edges_count_once_whatever_the_number_of_faces() -> None:
    assert edge_change(SQUARE, HALVES, np.stack([SQUARE, 2 * SQUARE])) == pytest.approx(50)
    assert edge_change(SQUARE, HALVES, SQUARE[None] * [2, 1, 1]) == pytest.approx(100 * (1 + 1 + 2.5**0.5 - 1) / 5)


def test_the_table_has_the_truth_and_every_baseline() -> None:
    rest, faces = torus()
    poses = np.stack([bent(rest), rest[:, [1, 2, 0]]])  # the second is a rotation
    source = body(rest, faces, poses, rest[:7])
    half = body(3 * rest + 5, faces, 3 * poses - 2)  # another unit, no landmarks
    rows = compare({"a method": NearestFace()}, source, [source, half], poses)
    names = ["truth", "rest pose", "mean training pose", "nearest vertex, displacement", "nearest face, tangential"]
    names += ["nearest face, full", "nearest face, full, landmarks", "a method"]
    assert [row.method for row in rows] == names + [name for name in names if not name.endswith("landmarks")]
    for row in rows:
        assert row.scores.mean == pytest.approx(0, abs=1e-9) or row.method in names[1:3]
        assert row.scores.mean > 5 or row.method not in names[1:3]
    assert rows[1].scores[:3] == pytest.approx(rows[9].scores[:3])  # whatever the unit
    lines = table_lines(rows)
    assert len(lines) == 2 + len(rows) and lines[2].startswith("| a body | truth | 0.00 | 0.00 | 0.000 |")
    with pytest.raises(PplkitError, match="a body has 1 poses and a body 2: give the same poses of all bodies"):
        compare({}, source, [body(rest, faces, poses[:1])])


def test_the_mean_pose_of_poses_that_scale_is_their_mean() -> None:
    """Jacobians 2 I and 4 I have the mean 3 I."""
    rest, faces = sheet()
    source = body(rest, faces, 3 * rest[None])
    rows = compare({}, source, [source], np.stack([2 * rest, 4 * rest]), intersections=False)
    scores = {row.method: row.scores for row in rows}
    assert scores["mean training pose"].mean == pytest.approx(0, abs=1e-9) and scores["rest pose"].mean > 50
    values = json.loads(json.dumps(row_dicts(rows)))
    assert values[0]["scores"]["intersections"] is None and "| – |" in table_lines(rows)[2]


def test_distances_of_poses_by_hand() -> None:
    """Two vertices, 4 apart at rest; a pose with 6 between them, moved away, is 1 off at both: 25 % of the side."""
    rest = np.array([[0.0, 0, 0], [4, 0, 0]])
    wide = np.array([[0.0, 0, 0], [6, 0, 0]]) + [7, 8, 9]
    assert pose_distances(np.stack([rest, wide]), rest[None] + 5, rest) == pytest.approx(np.array([[0.0], [25.0]]))
