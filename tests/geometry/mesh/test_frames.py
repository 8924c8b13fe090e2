"""Unit boxes, and turned axes that are found again."""

import numpy as np
import pytest
from solids import sheet

from data_prep.synthetic.bodies3d import body3d, body_landmarks, body_poses
from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.frames import (
    ROTATIONS,
    UPWARD,
    find_turn,
    signed_axis,
    surface_points,
    turn_from_words,
    unit_box,
    unit_of,
    upward_axis,
    y_up,
)


def test_the_unit_box_by_hand() -> None:
    points = np.array([[0.0, 1, 0], [4, 3, 1], [2, 2, 2]])
    box = unit_box(points)
    assert box.center.tolist() == [2, 2, 1] and box.side == 4
    assert box.inside(points).tolist() == [[-0.5, -0.25, -0.25], [0.5, 0.25, 0], [0, 0, 0.25]]
    assert box.outside(box.inside(points)) == pytest.approx(points)
    with pytest.raises(PplkitError, match="all vertices of the mesh lie in one place"):
        unit_box(np.ones((5, 3)))


def test_rotations_are_all_different_and_none_mirrors() -> None:
    assert len({rotation.tobytes() for rotation in ROTATIONS + 0.0}) == 24
    assert np.linalg.det(ROTATIONS) == pytest.approx(1) and np.array_equal(ROTATIONS[0], np.eye(3))


def test_words_of_turns_by_hand_and_back() -> None:
    """The target's z is up, which is the source's y."""
    up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) -> (x, z, -y)
    turn = turn_from_words("x, -z, y")
    assert np.array_equal(turn.rotation, up) and turn.words == "x, -z, y"
    assert all(np.array_equal(turn_from_words(words).rotation, up) for words in ("X,-Z,Y", " x , -z,y"))
    for words in ("x,y,-z", "x,x,z", "x,y", "up", ""):
        with pytest.raises(PplkitError, match="is no turn of axes: write which of the source's axes"):
            turn_from_words(words)


def test_units_go_by_size() -> None:
    sizes = {1.7: ("meters", 1.0), 170: ("centimeters", 0.01), 1700: ("millimeters", 0.001), 0.01: ("", 1.0)}
    assert {size: unit_of(size) for size in sizes} == sizes


def test_every_upward_axis_becomes_y_and_nothing_is_mirrored() -> None:
    for axis, turn in UPWARD.items():
        direction = np.eye(3)["xyz".index(axis[-1])] * (-1 if axis[0] == "-" else 1)
        assert y_up(direction, axis).tolist() == [0, 1, 0] and signed_axis(direction) == axis
        assert np.linalg.det(turn) == pytest.approx(1)


def test_y_is_up_unless_it_is_the_thinnest() -> None:
    person, animal = (body_poses(kind, count=1).mesh.vertices for kind in ("humanoid", "quadruped"))
    assert upward_axis(person) == "y" and upward_axis(person[:, [0, 2, 1]]) == "z" and upward_axis(animal) == "y"


def test_points_lie_on_the_surface_and_cover_it_evenly() -> None:
    points, faces = sheet(2)
    samples = surface_points(points * [3, 1, 0], faces, count=4000)
    assert np.abs(samples[:, 2]).max() == 0 and samples.mean(0) == pytest.approx(points.mean(0) * [3, 1, 0], abs=0.05)
    assert np.histogram(samples[:, 0], 4)[0].min() > 800


TURNS = [np.eye(3), turn_from_words("x,-z,y").rotation, turn_from_words("x,z,-y").rotation, ROTATIONS[11]]


@pytest.mark.parametrize("kind", ["humanoid", "quadruped"])
def test_turned_axes_of_another_body_are_found(kind: str) -> None:
    """Of a person without landmarks, only the usual turns; any other leaves front and back open."""
    source, target = body3d(kind), body3d(kind, "tall-thin", "turned")
    marks = body_landmarks(source).points, body_landmarks(target).points
    for rotation in TURNS:
        moved, joints = (100 * (points @ rotation) + [3, 2, 1] for points in (target.vertices, marks[1]))
        found = find_turn(source.vertices, source.faces, moved, target.faces)
        assert np.array_equal(found.rotation[1], rotation[1])  # what is up
        assert np.array_equal(found.rotation, rotation) or (kind == "humanoid" and rotation is TURNS[3])
        assert found.clear == (kind == "quadruped")
        told = find_turn(source.vertices, source.faces, moved, target.faces, (marks[0], joints))
        assert np.array_equal(told.rotation, rotation) and told.clear


def test_a_body_without_front_and_back_is_not_clear() -> None:
    rng = np.random.default_rng(0)
    points, faces = sheet(6)
    points = points * [1, 2, 0] + 1e-3 * rng.normal(size=points.shape)
    assert not find_turn(points, faces, points @ ROTATIONS[5], faces).clear
