"""What is recognized of meshes, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from solids import bent, joined, sheet, torus

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_writers import write_obj, write_obj_series
from pplkit.data.meshes import Mesh
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.inference.mesh_inputs import transfer_inputs, welded

REST, FACES = torus()
RING = Mesh(REST, FACES, "rest.obj")
UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up to y up


def test_both_bodies_come_in_their_boxes_and_go_back() -> None:
    target = Mesh(100 * REST @ UP + [1, 2, 3], FACES, "target.obj")
    inputs = transfer_inputs(RING, bent(REST), target, None, "x,-z,y")
    assert inputs.source.height == pytest.approx(1) and inputs.target.vertices == pytest.approx(inputs.source.vertices)
    assert np.ptp(inputs.poses[0], axis=0) == pytest.approx(np.ptp(bent(REST), axis=0) / RING.height)
    assert inputs.outside(inputs.target.vertices) == pytest.approx(target.vertices)
    assert inputs.inside(target.vertices) == pytest.approx(inputs.target.vertices)
    assert inputs.notes[-3:] == (
        "rest.obj is 0.8091 large, probably meters.",
        "target.obj is 80.91 large, probably centimeters.",
        "target.obj is turned: its x, y and z are x, -z, y of rest.obj.",
    )


def test_a_round_body_leaves_its_axes_open_and_unlike_ones_ask_for_landmarks() -> None:
    notes = transfer_inputs(RING, REST, RING, None, "").notes
    assert "rest.obj has the axes of rest.obj." in notes and any("Front and back are much alike" in n for n in notes)
    tall = Mesh(sheet()[0] * [0.1, 1, 1], sheet()[1], "tall.obj")
    assert any("landmarks of both" in note for note in transfer_inputs(RING, REST, tall, None, "").notes)


def test_poses_in_another_unit_are_scaled_and_another_order_is_refused() -> None:
    inputs = transfer_inputs(RING, 100 * bent(REST), RING, None, "")
    same = transfer_inputs(RING, bent(REST), RING, None, "")
    assert np.ptp(inputs.poses, axis=1) == pytest.approx(np.ptp(same.poses, axis=1), rel=0.05)
    assert any("times as large as rest.obj: it was scaled to that size" in note for note in inputs.notes)
    order = np.random.default_rng(0).permutation(len(REST))
    with pytest.raises(PplkitError, match="its vertices are in another order, so export rest pose and poses with the"):
        transfer_inputs(RING, REST[order], RING, None, "")


def test_poses_of_another_mesh_are_refused(tmp_path: Path) -> None:
    other = write_obj(tmp_path / "other.obj", *sheet())
    with pytest.raises(PplkitError, match=r"other.obj has 25 vertices and rest.obj 84: give poses of that mesh"):
        transfer_inputs(RING, other, RING, None, "")
    with pytest.raises(PplkitError, match="some vertices of source_poses are not finite"):
        transfer_inputs(RING, REST * np.nan, RING, None, "")


def test_files_lists_and_folders_of_poses(tmp_path: Path) -> None:
    files = write_obj_series(tmp_path / "poses", np.stack([bent(REST), REST]), FACES)
    for source in (files, tmp_path / "poses", np.stack([bent(REST), REST])):
        assert len(transfer_inputs(RING, source, RING, None, "x,y,z").poses) == 2
    for one in (files[0], Mesh(bent(REST), FACES, "pose.obj"), bent(REST)):
        assert len(transfer_inputs(RING, one, RING, None, "x,y,z").poses) == 1


def test_landmarks_are_moved_with_their_bodies_and_decide_the_axes() -> None:
    target = Mesh(100 * REST @ UP, FACES, "target.obj")
    marks = Landmarks(tuple("abcdef"), REST[[0, 9, 20, 33, 50, 70]])
    theirs = Landmarks(tuple("bcdefg"), 100 * REST[[9, 20, 33, 50, 70, 0]] @ UP)
    inputs = transfer_inputs(RING, REST, target, (marks, theirs), "")
    assert np.array_equal(inputs.rotation, UP) and inputs.landmarks is not None
    first, second = (mark.named(tuple("bcdef")) for mark in inputs.landmarks)
    assert first == pytest.approx(second)
    with pytest.raises(PplkitError, match=r"the landmark '.' lies far outside of target.obj: give it in the unit and"):
        transfer_inputs(RING, REST, target, (marks, Landmarks(tuple("abcdef"), 100 * theirs.points)), "")


def test_split_vertices_become_one_in_the_order_of_the_file() -> None:
    points, faces = joined(sheet(), sheet())  # twice at the same place
    whole, triangles, number = welded(Mesh(points, faces))
    assert np.array_equal(whole, points[:25]) and np.array_equal(triangles[: len(faces) // 2], faces[: len(faces) // 2])
    assert np.array_equal(whole[number], points)
    assert np.array_equal(welded(RING)[0], REST) and np.array_equal(welded(RING)[1], FACES)
