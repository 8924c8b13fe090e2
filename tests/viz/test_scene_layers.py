"""What a scene takes, and what it says of anything else."""

from typing import Any

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.meshes import Mesh, MeshSequence
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, Skeleton
from pplkit.viz.scene_layers import Points, layers_of

ARM = Skeleton("arm", ("neck", "left hand", "right hand"), (-1, 0, 0), ((1, 2),))
JOINTS = np.array([[[0, 1, 0], [1, 1, 0.5], [-1, 1, 0]]], np.float32)
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def sequence(points: np.ndarray = JOINTS, **options: Any) -> PoseSequence:
    return PoseSequence(points=points, fps=30, skeleton=ARM, **options)


def test_left_is_blue_right_is_red_and_the_rest_gray() -> None:
    (layer,) = layers_of(sequence(space="world"), "x")
    assert layer.bones == ((0, 1), (0, 2)) and layer.names == ARM.joints and layer.sides
    gray, blue, red = layer.colors
    assert np.ptp(gray) == 0 and blue.argmax() == 2 and red.argmax() == 0
    assert layer.positions.tolist() == JOINTS.tolist()


def test_axes_of_a_camera_are_turned_and_arrays_have_y_up() -> None:
    (camera,) = layers_of(sequence(space="camera"), "x")
    assert camera.positions.tolist() == (JOINTS * [1, -1, -1]).tolist()
    (array,) = layers_of((JOINTS[0], ARM), "x")
    assert array.positions.tolist() == JOINTS.tolist() and array.names == ARM.joints


def test_the_second_motion_of_a_panel_has_one_color() -> None:
    first, points, second, third = layers_of([sequence(), Points(VERTICES), sequence(), (JOINTS, ARM)], "x")
    assert first.sides and not second.sides and not third.sides
    assert np.ptp(second.colors, 0).tolist() == [0, 0, 0] and second.colors.tolist() != third.colors.tolist()
    assert points.bones == () and points.faces is None and points.colors.shape == (4, 3)


def test_meshes_in_all_their_forms() -> None:
    mesh = Mesh(VERTICES, FACES)
    poses = np.stack([VERTICES, 2 * VERTICES])
    for item, frames in [(mesh, 1), (MeshSequence(mesh, poses), 2), ((VERTICES, FACES), 1), ((poses, FACES), 2)]:
        (layer,) = layers_of(item, "x")
        assert layer.positions.shape == (frames, 4, 3) and layer.faces is not None
        assert layer.faces.tolist() == FACES.tolist() and layer.faces.dtype == np.uint32
    one, other = layers_of([mesh, mesh], "x")
    assert one.colors.tolist() != other.colors.tolist()


def test_a_joint_that_is_missing_in_part_is_missing() -> None:
    points = JOINTS.copy()
    points[0, 1, 2] = np.inf
    (layer,) = layers_of(sequence(points), "x")
    assert np.isnan(layer.positions[0]).tolist() == [[False] * 3, [True] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (PoseSequence(points=np.zeros((1, 17, 2)), fps=30, skeleton=H36M17), "in 2D: lift it first"),
        (sequence(np.full((2, 3, 3), np.nan)), "no finite point"),
        (Points(np.zeros((4, 2))), r"shape \(1, 4, 2\)|shape \(4, 2\)"),
        (Points(VERTICES, colors=np.zeros((3, 3))), r"give \(4, 3\)"),
        (Points(VERTICES, names=("a",)), "1 names; give 4"),
        ((VERTICES, FACES.astype(float)), "numbers of vertices"),
        ((VERTICES, np.array([[0, 1, 4]])), "has 4 vertices, but its faces name others"),
        ((np.where(VERTICES > 0, np.nan, VERTICES), FACES), "not finite"),
        ("mesh.obj", "holds a str; give a PoseSequence"),
        (VERTICES[0], "holds a ndarray"),
    ],
)
def test_what_is_refused(item: Any, words: str) -> None:
    with pytest.raises(PplkitError, match=words):
        layers_of(item, "panel A")
