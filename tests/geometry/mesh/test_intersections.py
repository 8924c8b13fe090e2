"""Crossing faces: triangles laid out by hand, and every pair tried on random ones."""

from itertools import combinations

import numpy as np
import pytest
from solids import joined, torus

from pplkit.geometry.mesh.intersections import intersecting_faces

FLAT = [[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]
TWO = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize(
    ("other", "crosses"),
    [
        ([[0.5, 0.5, -1], [0.5, 0.5, 1], [0.6, 5, 1]], True),  # an edge through the inside
        ([[-1, 0.5, -1], [-1, 0.5, 1], [5, 0.5, 0.1]], True),  # two edges of the flat one through this one
        ([[0.5, 0.5, 1], [0.5, 0.6, 2], [0.6, 5, 1]], False),  # above
        ([[1.5, 1.5, -1], [1.5, 1.5, 1], [3, 3, 1]], False),  # beside, through the same plane
        ([[0.5, 0.5, 0], [0.5, 0.5, 1], [0.6, 0.7, 1]], False),  # touches with a corner
        ([[0.1, 0.1, 0], [0.5, 0.1, 0], [0.1, 0.5, 0]], False),  # within the plane
    ],
)
def test_two_triangles(other: list[list[float]], crosses: bool) -> None:
    for order in (FLAT + other, other + FLAT):
        assert intersecting_faces(np.array(order), TWO).tolist() == ([[0, 1]] if crosses else [])


def test_faces_that_share_a_vertex_do_not_count() -> None:
    points = np.array([*FLAT, [0.5, 0.5, -1], [0.6, 0.6, 1]])
    assert intersecting_faces(points, np.array([[0, 1, 2], [0, 3, 4]])).tolist() == []


def test_all_pairs_of_faces_of_all_sizes_are_found() -> None:
    """The search against every pair by itself; sizes differ by a factor of 500."""
    rng = np.random.default_rng(0)
    corners = rng.random((40, 1, 3)) + rng.normal(size=(40, 3, 3)) * np.geomspace(0.002, 1, 40)[:, None, None]
    points, faces = corners.reshape(-1, 3), np.arange(120).reshape(-1, 3)
    alone = [list(pair) for pair in combinations(range(40), 2) if len(intersecting_faces(points, faces[list(pair)]))]
    assert sorted(intersecting_faces(points, faces).tolist()) == alone and len(alone) > 9


def test_a_torus_crosses_another_but_not_itself() -> None:
    ring = torus(40, 20)
    assert len(intersecting_faces(*ring)) == 0
    pairs = intersecting_faces(*joined(ring, ring, shift=0.3))
    assert len(pairs) > 20 and ((pairs[:, 0] < 1600) & (pairs[:, 1] >= 1600)).all()
