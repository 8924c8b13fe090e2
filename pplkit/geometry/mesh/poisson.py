"""The Poisson solve: vertices whose Jacobians come nearest to a given field, area-weighted, with exact gradients."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import splu
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.links import component_links
from pplkit.geometry.mesh.operators import Array, Values, checked_mesh, face_frames, laplacian

MOST_DENSE = 4000  # vertices of a mesh that is solved by a dense inverse on a GPU (128 MB in float64)
POSES_AT_ONCE = 8  # columns of one triangular solve, in threes: more no longer fit into the cache


class PoissonSolver:
    """Vertices from Jacobians for one template, factored once (mesh_pose: L y = Gᵀ M J, Neural Jacobian Fields 2022).

    Faces without area do not count. A part of the mesh that shares no vertex with the rest (and so does a vertex
    without a face) is placed by the gap to its nearest neighbor, which is deformed as the faces around it are.

    Args:
        rest: (V, 3) the template.
        faces: (F, 3) its triangles.

    Raises PplkitError for arrays that are no mesh, and if no face has an area.
    """

    def __init__(self, rest: Values, faces: Values) -> None:
        points, corners = checked_mesh(rest, faces)
        edges, normals, areas = face_frames(points, corners)
        if not areas.any():
            raise PplkitError("no face of the mesh has an area: give a mesh whose vertices do not all lie on a line.")
        system = laplacian(points, corners)
        columns = np.arange(3 * len(corners)).reshape(-1, 1, 3).repeat(3, 1)
        weights = torch.linalg.cross(normals[:, None].expand_as(edges), edges).numpy()  # a g
        rows = corners.numpy()[:, :, None].repeat(3, 2)
        shape = (len(points), 3 * len(corners))
        # The right side is `divergence` @ J + `offset`, with a field as (3F, 3): row 3f + k is column k of J.
        self.divergence = sparse.csr_array((weights.ravel(), (rows.ravel(), columns.ravel())), shape=shape)
        self.offset = np.zeros(points.shape)
        count, self._component = connected_components(system, directed=False)
        self._tree = sparse.csr_array((count, count))
        if count > 1:
            links = component_links(points.numpy(), corners.numpy(), normals.numpy(), areas.numpy(), self._component)
            self._tree = links.tree
            stiffness = system.diagonal().mean()  # any would do: no link is ever under tension
            system = system + stiffness * links.difference.T @ links.difference
            self.divergence = self.divergence + stiffness * links.difference.T @ links.gap_of_field
            self.offset = stiffness * links.difference.T @ links.gap_offset
        self.vertices, self.faces = shape[0], len(corners)
        self._factors = splu(  # vertex 0 stays at the origin
            sparse.csc_matrix(system[1:, 1:]), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, relax=8,
            options={"SymmetricMode": True},
        )  # fmt: skip
        self._adjoint = sparse.csr_array(self.divergence.T)
        self._dense: tuple[Tensor, Tensor, Tensor] | None = None

    def solve(self, jacobians: Array, pins: Mapping[int, Any] | None = None, stiffness: float = np.inf) -> Array:
        """Vertices (..., V, 3) whose Jacobians come nearest to `jacobians` (..., F, 3, 3), of the same type.

        The arithmetic is in float64, and gradients are exact. The part of a Jacobian along the rest normal does not
        matter. A field on a GPU is solved there, by a dense inverse, if the mesh has at most MOST_DENSE vertices.

        Args:
            jacobians: Row = output coordinate, column = rest direction; many poses in one call are the faster way.
            pins: Vertex numbers and their positions, (3,) or (..., 3); without any, the mean lies at the origin.
            stiffness: How hard pins pull; by default they hold exactly. 1 is about as hard as a vertex is held by
                its neighbors.

        Raises PplkitError for arrays of another shape, and pins that the mesh does not have.
        """
        field = torch.as_tensor(jacobians)
        if field.shape[-3:] != (self.faces, 3, 3):
            raise PplkitError(
                f"jacobians have the shape {tuple(field.shape)}: this mesh needs (..., {self.faces}, 3, 3)."
            )
        if field.device.type not in ("cpu", "mps") and self.vertices <= MOST_DENSE:  # mps has no float64
            vertices = self._dense_solve(field.double())
        else:
            vertices = cast(Tensor, _Solve.apply(field.double().cpu(), self))  # type: ignore[no-untyped-call]
        if pins:
            vertices = self._pinned(vertices, pins, stiffness)
        vertices = vertices.to(field)
        return vertices if isinstance(jacobians, Tensor) else vertices.numpy()

    def _dense_solve(self, field: Tensor) -> Tensor:
        """The solve (..., V, 3) of a field in float64 on its own device, with its mean at the origin."""
        if self._dense is None or self._dense[0].device != field.device:
            inverse = torch.from_numpy(self._solved(np.eye(self.vertices)))
            divergence = self.divergence.tocoo()
            numbers = torch.from_numpy(np.stack(divergence.coords).astype(np.int64))
            matrix = torch.sparse_coo_tensor(
                numbers, torch.from_numpy(divergence.data), divergence.shape, check_invariants=False
            )
            parts = inverse - inverse.mean(0), matrix, torch.from_numpy(self.offset)
            self._dense = tuple(part.to(field.device) for part in parts)  # type: ignore[assignment]
        assert self._dense is not None
        inverse, matrix, offset = self._dense
        columns = field.reshape(-1, self.faces, 3, 3).permute(1, 3, 0, 2).reshape(3 * self.faces, -1)
        right = torch.sparse.mm(matrix, columns).view(self.vertices, -1, 3) + offset[:, None]
        solution = (inverse @ right.flatten(1)).view(self.vertices, -1, 3)
        return solution.movedim(1, 0).reshape(*field.shape[:-3], self.vertices, 3)

    def _pinned(self, vertices: Tensor, pins: Mapping[int, Any], stiffness: float) -> Tensor:
        """Vertices moved to meet the pins with the least change of their Jacobians, in one small dense solve."""
        numbers = sorted(pins)
        if not 0 <= numbers[0] <= numbers[-1] < self.vertices:
            raise PplkitError(f"pins name the vertices {numbers}: the mesh has 0 to {self.vertices - 1}.")
        forces = np.zeros((self.vertices, len(numbers)))
        forces[numbers, range(len(numbers))] = 1
        # Forces λ at the pins that add up to 0 in each group of parts, which moves by t, so that no link is under
        # tension: (E Z + 1/k) λ + E N t = what the pins miss, (E N)ᵀ λ = 0.
        groups = self._groups(numbers)
        response = np.concatenate([self._solved(forces), groups], 1)
        matrix = np.block([[response[numbers]], [groups[numbers].T, np.zeros((groups.shape[1],) * 2)]])
        matrix[range(len(numbers)), range(len(numbers))] += 1 / stiffness
        moves = torch.from_numpy(response @ np.linalg.inv(matrix)[:, : len(numbers)])
        moves = moves.to(vertices.device)
        positions = [torch.as_tensor(pins[number], dtype=torch.float64).to(vertices.device) for number in numbers]
        goals = torch.stack([position.expand_as(vertices[..., 0, :]) for position in positions], -2)
        return vertices + moves @ (goals - vertices[..., numbers, :])

    def _groups(self, numbers: list[int]) -> np.ndarray:
        """Groups (V, G), 0 or 1: one for each part of the mesh with a pin, which the parts nearest in the tree join."""
        pinned = np.unique(self._component[numbers])
        nearest = dijkstra(self._tree, False, pinned, True, unweighted=True, min_only=True)[2]
        return (nearest[self._component][:, None] == pinned).astype(float)

    def _solved(self, right: np.ndarray) -> np.ndarray:
        """The solution (V, N) of the system with vertex 0 at the origin."""
        solution = np.zeros_like(right)
        solution[1:] = self._factors.solve(np.asfortranarray(right[1:]))
        return solution


class _Solve(torch.autograd.Function):
    """Fields (..., F, 3, 3) in float64 to vertices (..., V, 3) with their mean at the origin."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, solver: PoissonSolver) -> Tensor:
        ctx.solver = solver
        fields = field.detach().reshape(-1, solver.faces, 3, 3).numpy()
        vertices = np.empty((len(fields), solver.vertices, 3))
        for start in range(0, len(fields), POSES_AT_ONCE):
            part = fields[start : start + POSES_AT_ONCE]
            columns = part.transpose(1, 3, 0, 2).reshape(3 * solver.faces, -1)
            right = solver.divergence @ columns + np.tile(solver.offset, len(part))
            solution = solver._solved(right).reshape(solver.vertices, -1, 3)
            vertices[start : start + len(part)] = (solution - solution.mean(0)).transpose(1, 0, 2)
        return torch.from_numpy(vertices).view(*field.shape[:-3], solver.vertices, 3)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        solver, (gradient,) = ctx.solver, gradients
        pulls = gradient.reshape(-1, solver.vertices, 3).numpy()
        fields = np.empty((len(pulls), solver.faces, 3, 3))
        for start in range(0, len(pulls), POSES_AT_ONCE):
            part = pulls[start : start + POSES_AT_ONCE]
            centered = (part - part.mean(1, keepdims=True)).transpose(1, 0, 2).reshape(solver.vertices, -1)
            columns = solver._adjoint @ solver._solved(centered)
            fields[start : start + len(part)] = columns.reshape(solver.faces, 3, -1, 3).transpose(2, 0, 3, 1)
        return torch.from_numpy(fields).view(*gradient.shape[:-2], solver.faces, 3, 3), None
