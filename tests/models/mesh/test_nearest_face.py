"""Copies of Jacobians between nearest faces."""

import numpy as np
import pytest
from solids import bent, sheet, torus

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.geometry.mesh.operators import jacobians
from pplkit.models.mesh.nearest_face import NearestFace


def test_onto_itself_it_is_the_field() -> None:
    rest, faces = torus()
    poses = np.stack([rest, bent(rest)])
    for full in (True, False):
        copied = NearestFace(full).predict_jacobians(rest, faces, poses, rest, faces)
        assert np.array_equal(copied, jacobians(rest, faces, poses, full))


def test_each_face_takes_the_nearest_one_and_landmarks_move_it() -> None:
    """Two sheets side by side; the right one is stretched. A landmark takes the target's face from left to right."""
    points, faces = sheet(2)
    rest = np.concatenate([points, points + [2, 0, 0]])
    both = np.concatenate([faces, faces + 4])
    posed = np.concatenate([points, 2 * points])[None]
    target, face = points + [0.3, 0, 0], faces
    marks = (
        Landmarks(("a", "b"), np.array([[2.0, 0, 0], [2, 1, 0]])),
        Landmarks(("b", "c"), np.eye(3)[[1, 1]]),
    )
    plain = NearestFace().predict_jacobians(rest, both, posed, target, face)
    warped = NearestFace().predict_jacobians(rest, both, posed, target, face, *marks)
    unwarped = NearestFace(warp=False).predict_jacobians(rest, both, posed, target, face, *marks)
    assert plain == pytest.approx(np.eye(3)[None, None].repeat(2, 1)) and np.array_equal(plain, unwarped)
    assert [round(float(np.linalg.det(J)), 6) for J in warped[0]] == [4, 4]  # twice in the plane; normals stay 1
    other = Landmarks(("d",), np.zeros((1, 3)))
    with pytest.raises(PplkitError, match=r"share no name \(d, ... and a, ...\): give the same points the same names"):
        NearestFace().predict_jacobians(rest, both, posed, target, face, marks[0], other)
