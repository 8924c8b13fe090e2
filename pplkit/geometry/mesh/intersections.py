"""Faces of a mesh that cross one another."""

import numpy as np
from scipy.spatial import KDTree


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Pairs (N, 2) of faces (F, 3) that cross without sharing a vertex, the lower number first.

    Two triangles cross where an edge of one passes through the inside of the other; triangles that merely touch, or
    overlap within one plane, do not count.
    """
    corners = np.asarray(vertices, np.float64)[faces]
    pairs = _near(corners)
    shared = (np.asarray(faces)[pairs[:, 0], :, None] == np.asarray(faces)[pairs[:, 1], None]).any((1, 2))
    low, high = corners.min(1), corners.max(1)
    first, second = pairs.T
    apart = (low[first] > high[second]).any(1) | (low[second] > high[first]).any(1)
    pairs = pairs[~shared & ~apart]
    a, b = corners[pairs[:, 0]], corners[pairs[:, 1]]
    astride = _astride(a, b) & _astride(b, a)
    pairs, a, b = pairs[astride], a[astride], b[astride]
    crossing = np.zeros(len(pairs), bool)
    for first, second in ((a, b), (b, a)):
        for corner in range(3):
            crossing |= _passes(first[:, corner], first[:, corner - 1], second)
    return pairs[crossing]


def _near(corners: np.ndarray) -> np.ndarray:
    """Pairs (N, 2) of faces whose enclosing balls may overlap.

    Faces are grouped by size in steps of two, so that one large face does not make all small ones its neighbors.
    """
    centers = corners.mean(1)
    radii = np.linalg.norm(corners - centers[:, None], axis=2).max(1)
    levels = np.floor(np.log2(np.maximum(radii, radii.max() * 2.0**-40))).astype(int)
    members = [np.flatnonzero(levels == level) for level in np.unique(levels)]
    trees = [KDTree(centers[numbers]) for numbers in members]
    pairs = []
    for i, (numbers, tree) in enumerate(zip(members, trees, strict=True)):
        for other, others in zip(trees[i:], members[i:], strict=True):
            reach = radii[numbers].max() + radii[others].max()
            if other is tree:
                candidates = tree.query_pairs(reach, output_type="ndarray")
                pairs.append(numbers[candidates])
            else:
                table = tree.sparse_distance_matrix(other, reach, output_type="ndarray")
                pairs.append(np.stack([numbers[table["i"]], others[table["j"]]], 1))
    candidates = np.concatenate(pairs)
    gaps = centers[candidates[:, 0]] - centers[candidates[:, 1]]
    close = np.einsum("nd,nd->n", gaps, gaps) <= (radii[candidates[:, 0]] + radii[candidates[:, 1]]) ** 2
    return np.sort(candidates[close], axis=1)


def _volumes(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Six times the signed volumes (N,) of tetrahedra with corners (N, 3)."""
    return np.einsum("nd,nd->n", np.cross(b - a, c - a), d - a)


def _astride(triangles: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Whether the first triangles (N, 3, 3) have corners on both sides of the planes of the second."""
    a, b, c = planes.transpose(1, 0, 2)
    sides = np.stack([_volumes(a, b, c, triangles[:, corner]) for corner in range(3)], 1)
    return (sides.min(1) < 0) & (sides.max(1) > 0)


def _passes(start: np.ndarray, end: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Whether segments between points (N, 3) pass through the inside of triangles (N, 3, 3)."""
    a, b, c = triangles.transpose(1, 0, 2)
    opposite = _volumes(a, b, c, start) * _volumes(a, b, c, end) < 0
    sides = np.stack([_volumes(start, end, *edge) for edge in ((a, b), (b, c), (c, a))], 1)
    return opposite & ((sides > 0).all(1) | (sides < 0).all(1))
