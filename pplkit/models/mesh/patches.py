"""Overlapping patches of a surface, each moved by a matrix of its own, and put together again.

A pose is a 3x3 matrix M for each of K patches. Point x belongs to patch k with weight w_k(x), all of them adding up to
1, and lies at y = Σ_k w_k (M_k x + c_k). The shifts c are those with which overlapping patches agree best:
they minimize Σ_x a Σ_k w_k |M_k x + c_k - y|², where a is the area around x. This is linear in M, so that for one mesh
it is a matrix. It differs from a Poisson solve of the blended Σ w_k M_k in that y also stretches where the weights
change, as the skin of a thick limb does more than that of a thin one.
"""

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from pplkit.geometry.mesh import farthest_points
from pplkit.models.mesh.template import Template

SHARPNESS = 0.35  # standard deviation of a patch's first weights, in distances between neighboring anchors
NEAREST = 3  # vertices between which weights are interpolated
SOFTNESS = 1e-4  # of the unit box, within which the nearest vertex no longer gains


def patch_shifts(weights: Tensor, points: Tensor, areas: Tensor, matrices: Tensor) -> Tensor:
    """Shifts c (B, K, 3), mean 0, with which patches agree best; see the module.

    Args:
        weights: (Q, K) of points in patches.
        points: (Q, 3) at rest.
        areas: (Q,) around them.
        matrices: (B, K, 3, 3).

    Setting the derivative by c_k to 0 gives (D - A) c = Σ_l (M_l - M_k) x_kl, with A = wᵀ a w, D the sums of its rows
    and x_kl = Σ a w_k w_l x.
    """
    count = weights.shape[1]
    weighted = weights * areas[:, None]
    overlap = weighted.T @ weights
    system = torch.diag(overlap.sum(1)) - overlap
    # Shifting all patches changes nothing; a little more keeps patches without any overlap solvable.
    system = system + overlap.sum() / count**2 * (1 / count + 1e-6 * torch.eye(count, dtype=weights.dtype))
    shared = (weighted.T @ (weights[:, :, None] * points[:, None]).flatten(1)).view(count, count, 3)
    right = torch.einsum("blij,klj->bki", matrices, shared)
    right = right - torch.einsum("bkij,kj->bki", matrices, shared.sum(1))
    shifts = torch.linalg.solve(system, right)
    return shifts - shifts.mean(1, keepdim=True)


def place_patches(weights: Tensor, points: Tensor, areas: Tensor, matrices: Tensor) -> Tensor:
    """Points (B, Q, 3) of poses (B, K, 3, 3); arguments as in `patch_shifts`."""
    shifts = patch_shifts(weights, points, areas, matrices)
    turned = (weights[:, :, None] * points[:, None]).flatten(1) @ matrices.mT.flatten(1, 2)
    return turned + weights @ shifts


def patch_operator(weights: Tensor, points: Tensor, areas: Tensor) -> Tensor:
    """The matrix (Q, K, 3) for which coordinate i of a point is its sum with row i of all M; see `place_patches`."""
    count = weights.shape[1]
    units = torch.eye(3 * count, dtype=weights.dtype).view(3 * count, count, 1, 3)
    units = torch.cat([units, torch.zeros(3 * count, count, 2, 3, dtype=weights.dtype)], 2)  # only row 0 of each M
    return place_patches(weights, points, areas, units)[..., 0].T.reshape(len(points), count, 3)


def surface_distances(template: Template, starts: np.ndarray) -> np.ndarray:
    """Distances (V, K) along edges from vertices `starts` (K,); straight, and far, to other parts of the mesh."""
    points, faces = template.vertices.numpy(), template.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) + 1e-12
    edges, first = np.unique(np.sort(edges, axis=1), axis=0, return_index=True)
    graph = sparse.csr_array((lengths[first], edges.T), shape=(len(points),) * 2)
    along = dijkstra(graph, directed=False, indices=starts).T
    straight = np.linalg.norm(points[:, None] - points[starts], axis=2)
    return np.where(np.isfinite(along), along, 1 + straight)


def first_patches(template: Template, anchors: int, neighbors: int) -> tuple[Tensor, Tensor]:
    """For each vertex the patches (V, n) it may belong to, and the logits (V, n) of its first weights.

    Patches lie around vertices that are far from one another; a vertex may belong to the `neighbors` nearest.
    """
    count = min(anchors, len(template.vertices))
    starts = farthest_points(template.vertices[None], count, skipped=-1)[0].numpy()
    distances = surface_distances(template, starts)
    near = np.argsort(distances, axis=1, kind="stable")[:, : min(neighbors, count)]
    between = np.sort(distances[starts], axis=1)[:, 1] if count > 1 else np.ones(1)
    width = SHARPNESS * np.median(between)
    logits = -0.5 * (np.take_along_axis(distances, near, 1) / width) ** 2
    return torch.from_numpy(near), torch.from_numpy(logits - logits.max(1, keepdims=True)).float()


def interpolation(points: np.ndarray, queries: np.ndarray) -> tuple[Tensor, Tensor]:
    """For each of Q queries the nearest points (Q, n) of (V, 3), and their shares (Q, n), by inverse distance."""
    distances, numbers = KDTree(points).query(queries, range(1, min(NEAREST, len(points)) + 1))
    shares = 1 / (distances + SOFTNESS)
    return torch.from_numpy(numbers), torch.from_numpy(shares / shares.sum(1, keepdims=True))
