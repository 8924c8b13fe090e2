"""Linear operators of a triangle mesh: gradients of functions on its vertices, Jacobians of deformations, Laplacian.

Faces are (F, 3) vertex numbers, counter-clockwise seen from outside. A face without area has no gradients: its rows
are 0 everywhere here.
"""

from typing import TypeVar

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError

Array = TypeVar("Array", Tensor, np.ndarray)  # what goes in as NumPy array comes out as one
Values = Tensor | np.ndarray
SMALLEST_HEIGHT = 1e-7  # lengths of its longest edge, below which a face has no area


def face_frames(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Edges (..., F, 3, 3), unit normals (..., F, 3) and twice the areas (..., F) of vertices (..., V, 3).

    Edge i lies opposite to corner i and runs counter-clockwise. Normal and area of a face without area are 0.
    """
    corners = vertices[..., faces, :]
    edges = corners.roll(1, -2) - corners.roll(-1, -2)
    normals = torch.linalg.cross(edges[..., 1, :], edges[..., 2, :])
    areas = normals.norm(dim=-1)
    longest = edges.square().sum(-1).amax(-1)
    areas = torch.where(areas > SMALLEST_HEIGHT * longest, areas, 0)
    positive = areas > 0
    normals = torch.where(positive[..., None], normals / torch.where(positive, areas, 1)[..., None], 0)
    return edges, normals, areas


def checked_mesh(vertices: Values, faces: Values) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) in float64 and faces (F, 3) as tensors on the CPU. Raises PplkitError unless they form a mesh."""
    points = torch.as_tensor(vertices).detach().to("cpu", torch.float64)
    corners = torch.as_tensor(np.ascontiguousarray(faces) if not isinstance(faces, Tensor) else faces).to(
        "cpu", torch.int64
    )
    if points.ndim != 2 or points.shape[1] != 3 or corners.ndim != 2 or corners.shape[1] != 3 or not len(corners):
        shapes = f"{tuple(points.shape)} and {tuple(corners.shape)}"
        raise PplkitError(f"rest and faces have the shapes {shapes}: give (V, 3) and at least one triangle, (F, 3).")
    if corners.min() < 0 or corners.max() >= len(points):
        raise PplkitError(f"faces name vertices up to {int(corners.max())} of {len(points)}: count from 0 to V - 1.")
    if not points.isfinite().all():
        raise PplkitError("rest has vertices that are not finite: repair the mesh.")
    return points, corners


def gradients(rest: Values, faces: Values) -> Tensor:
    """Gradients (F, 3, 3) of the corners' hat functions: row i of a face is n x eᵢ / a, float64.

    n is the face's unit normal, a twice its area and eᵢ the edge opposite to corner i. Raises PplkitError for arrays
    that are no mesh.
    """
    edges, normals, areas = face_frames(*checked_mesh(rest, faces))
    scale = torch.where(areas > 0, areas, torch.inf)
    return torch.linalg.cross(normals[:, None].expand_as(edges), edges) / scale[:, None, None]


def jacobians(rest: Values, faces: Values, posed: Array, full: bool = False) -> Array:
    """The deformation gradient of each face: J = Σᵢ yᵢ gᵢᵀ, row = output coordinate, column = rest direction.

    J is blind along the normal n of the rest face: J n = 0, and the rest pose itself has I - n nᵀ. With `full`, J n is
    the posed unit normal, so that the rest pose has I and a turned mesh its rotation.

    Args:
        rest: (V, 3) the template.
        faces: (F, 3) its triangles.
        posed: (..., V, 3) the template's vertices in other poses.
        full: Whether J also turns the normal.

    Returns (..., F, 3, 3), of the type of `posed`, differentiable in it; the arithmetic is in float64. Raises
    PplkitError for arrays of other shapes.
    """
    points, corners = checked_mesh(rest, faces)
    values = torch.as_tensor(posed)
    if values.shape[-2:] != points.shape:
        raise PplkitError(f"posed has the shape {tuple(values.shape)}: rest needs (..., {len(points)}, 3).")
    corners = corners.to(values.device)
    exact = values.double()  # single precision would lose three digits to cancellation
    field = exact[..., corners, :].mT @ gradients(rest, faces).to(exact)
    if full:
        normals = face_frames(points, corners.cpu())[1].to(exact)
        field = field + face_frames(exact, corners)[1][..., :, None] * normals[:, None, :]
    field = field.to(values)
    return field if isinstance(posed, Tensor) else field.numpy()


def laplacian(rest: Values, faces: Values) -> sparse.csc_array:
    """The cotangent Laplacian (V, V), positive semi-definite, of twice the usual size: Σ over faces of a gᵢᵀgⱼ."""
    points, corners = checked_mesh(rest, faces)
    edges, _, areas = face_frames(points, corners)
    scale = torch.where(areas > 0, areas, torch.inf)
    weights = (edges @ edges.mT / scale[:, None, None]).flatten().numpy()
    rows, columns = corners.repeat_interleave(3, 1).flatten().numpy(), corners.repeat(1, 3).flatten().numpy()
    matrix = sparse.csc_array((weights, (rows, columns)), shape=(len(points), len(points)))
    matrix.eliminate_zeros()  # of faces without area, which connect nothing
    return matrix
