"""Links between the parts of a mesh that share no vertex: a tree over the smallest gaps."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay, KDTree

FACES_AROUND = 100  # whose mean deformation a gap follows
FLATNESS = 1e-3  # of the largest eigenvalue, below which faces around a gap say nothing about that direction


class Links(NamedTuple):
    """One link fewer than there are components: L links, sparse matrices over V vertices and F faces."""

    difference: sparse.csr_array  # (L, V): end minus start
    gap_of_field: sparse.csr_array  # (L, 3F): the deformed gap is this @ J + gap_offset
    gap_offset: np.ndarray  # (L, 3)
    tree: sparse.csr_array  # (C, C): which components are linked


def component_links(
    points: np.ndarray, faces: np.ndarray, normals: np.ndarray, areas: np.ndarray, component: np.ndarray
) -> Links:
    """Links along the minimum spanning tree of the components (V,), with how the faces around each deform its gap.

    A gap d becomes M d, where M is the matrix that fits the Jacobians around it with least squares, weighted by area;
    directions in which they are blind, as a flat sheet is along its normal, keep the gap at rest.
    """
    ends = _nearest_pairs(points, component)
    gaps = points[ends[:, 1]] - points[ends[:, 0]]
    solid = np.flatnonzero(areas)
    centers = points[faces[solid]].mean(1)
    around = KDTree(centers).query(points[ends].mean(1), min(FACES_AROUND, len(solid)))[1].reshape(len(ends), -1)
    around = solid[around]  # (L, N) faces
    weights = areas[around] / areas[around].sum(1, keepdims=True)
    normal = normals[around]
    planes = np.eye(3) - np.einsum("ln,lni,lnj->lij", weights, normal, normal)
    inverse = np.linalg.pinv(planes, rcond=FLATNESS, hermitian=True)
    reduced = np.einsum("lij,lj->li", inverse, gaps)
    # M d = Σ w J P A⁺ d; J P is J without its part along the normal.
    seen = reduced[:, None] - normal * np.einsum("lni,li->ln", normal, reduced)[..., None]
    links = np.arange(len(ends))
    rows = links[:, None, None].repeat(around.shape[1], 1).repeat(3, 2)
    columns = 3 * around[..., None] + np.arange(3)
    shape = (len(ends), 3 * len(faces))
    field = sparse.csr_array(((weights[..., None] * seen).ravel(), (rows.ravel(), columns.ravel())), shape=shape)
    signs = np.tile([-1.0, 1.0], len(ends))
    difference = sparse.csr_array((signs, (links.repeat(2), ends.ravel())), shape=(len(ends), len(points)))
    count = component.max() + 1
    tree = sparse.csr_array((np.ones(len(ends)), component[ends].T), shape=(count, count))
    return Links(difference, field, gaps - np.einsum("lij,lj->li", planes, reduced), tree)


def _nearest_pairs(points: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Pairs (L, 2) of vertices that connect all components with the smallest sum of distances.

    The minimum spanning tree of points is part of their Delaunay triangulation.
    """
    if len(points) > 4:
        simplices = Delaunay(points, qhull_options="Qbb Qc Q12 QJ").simplices
        pairs = np.concatenate([simplices[:, list(pair)] for pair in combinations(range(4), 2)])
    else:
        pairs = np.array(list(combinations(range(len(points)), 2)))
    pairs = pairs[component[pairs[:, 0]] != component[pairs[:, 1]]]
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    order = np.argsort(lengths, kind="stable")
    pairs, lengths = pairs[order], lengths[order] + 1e-9 * np.ptp(points)  # SciPy takes 0 for no edge
    between, first = np.unique(np.sort(component[pairs], axis=1), axis=0, return_index=True)
    count = component.max() + 1
    graph = sparse.csr_array((lengths[first], between.T), shape=(count, count))
    tree = sparse.coo_array(minimum_spanning_tree(graph))
    chosen = dict(zip(map(tuple, between.tolist()), first.tolist(), strict=True))
    return pairs[[chosen[a, b] for a, b in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]]
