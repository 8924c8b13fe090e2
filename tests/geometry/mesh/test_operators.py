"""Jacobians, gradients and Laplacian: a triangle by hand, rigid and affine motion, faces without area."""

import numpy as np
import pytest
import torch
from solids import bent, hard_meshes, sheet, torus, turn

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh import face_frames, gradients, jacobians, laplacian

TRIANGLE = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])


def test_a_triangle_by_hand() -> None:
    """In the plane z = 0: hat functions 1 - x/2 - y, x/2, y."""
    points, faces = TRIANGLE
    edges, normals, areas = face_frames(torch.from_numpy(points), torch.from_numpy(faces))
    assert edges[0].tolist() == [[-2, 1, 0], [0, -1, 0], [2, 0, 0]]
    assert (normals.tolist(), areas.tolist()) == ([[0, 0, 1]], [2])
    assert gradients(*TRIANGLE).tolist() == [[[-0.5, -1, 0], [0.5, 0, 0], [0, 1, 0]]]
    posed = np.array([[1.0, 1, 1], [1, 5, 1], [1, 1, 4]])  # x is turned to y and doubled, y to z and tripled
    assert jacobians(points, faces, posed).tolist() == [[[0, 0, 0], [2, 0, 0], [0, 3, 0]]]
    assert jacobians(points, faces, posed, full=True).tolist() == [[[0, 0, 1], [2, 0, 0], [0, 3, 0]]]
    # Twice the area times the products of the gradients.
    assert laplacian(*TRIANGLE).toarray() == pytest.approx(np.array([[2.5, -0.5, -2], [-0.5, 0.5, 0], [-2, 0, 2]]))


@pytest.mark.parametrize("name", ["closed", "open", "non-manifold", "two components"])
def test_linear_maps_are_recovered_on_the_tangent_planes(name: str) -> None:
    points, faces = hard_meshes()[name]
    linear = turn() @ np.diag([1.0, 2, 0.5])
    normals = face_frames(torch.from_numpy(points), torch.from_numpy(faces))[1].numpy()
    planes = np.eye(3) - normals[:, :, None] * normals[:, None]
    assert jacobians(points, faces, points @ linear.T) == pytest.approx(linear @ planes, abs=1e-12)
    assert jacobians(points, faces, points @ turn().T + 3, full=True) == pytest.approx(
        np.broadcast_to(turn(), (len(faces), 3, 3)), abs=1e-12
    )


def test_the_laplacian_is_that_of_cotangents() -> None:
    points, faces = torus()
    matrix = laplacian(points, faces).toarray()
    assert matrix == pytest.approx(matrix.T)
    assert matrix.sum(1) == pytest.approx(np.zeros(len(points)), abs=1e-12)
    i, j = faces[0, 1:]
    opposite = [next(k for k in face if k not in (i, j)) for face in faces.tolist() if i in face and j in face]
    assert len(opposite) == 2
    cotangents = 0.0
    for corner in opposite:
        first, second = points[i] - points[corner], points[j] - points[corner]
        cotangents += first @ second / np.linalg.norm(np.cross(first, second))
    assert matrix[i, j] == pytest.approx(-cotangents)


def test_a_face_without_area_has_no_gradient() -> None:
    points, faces = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1 / 3, 2 / 3, 0]]), np.array([[0, 1, 2], [1, 3, 2]])
    field = jacobians(points, faces, bent(points), full=True)
    assert field[0].any() and not field[1].any()
    assert not gradients(points, faces)[1].any()


def test_many_poses_types_and_gradients() -> None:
    points, faces = sheet(3)
    poses = np.stack([[bent(points), points], [points @ turn(), 2 * points]])
    field = jacobians(points, faces, poses, full=True)
    assert isinstance(field, np.ndarray) and field.shape == (2, 2, len(faces), 3, 3)
    assert field[0, 0] == pytest.approx(jacobians(points, faces, poses[0, 0], full=True))
    single = jacobians(points, faces, torch.from_numpy(poses).float())
    assert single.dtype == torch.float32
    assert single.numpy() == pytest.approx(jacobians(points, faces, poses), abs=1e-5)
    variable = torch.from_numpy(bent(points)).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: jacobians(points, faces, y, full=True), variable)


@pytest.mark.parametrize(
    ("rest", "faces", "message"),
    [
        (np.zeros((4, 2)), [[0, 1, 2]], r"\(4, 2\) and \(1, 3\)"),
        (np.zeros((4, 3)), [[0, 1, 2, 3]], r"\(1, 4\)"),
        (np.zeros((4, 3)), [[0, 1, 4]], "up to 4 of 4"),
        (np.full((4, 3), np.nan), [[0, 1, 2]], "not finite"),
    ],
)
def test_what_is_no_mesh_is_refused(rest: np.ndarray, faces: list[list[int]], message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        gradients(rest, np.array(faces))


def test_poses_of_another_mesh_are_refused() -> None:
    with pytest.raises(PplkitError, match=r"posed has the shape \(4, 3\): rest needs \(..., 3, 3\)"):
        jacobians(*TRIANGLE, np.zeros((4, 3)))
