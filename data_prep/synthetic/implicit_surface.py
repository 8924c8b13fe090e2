"""Surfaces of bodies: capsules around bones, joined smoothly, and triangles on them (dual grid, "surface nets")."""

from typing import NamedTuple

import numpy as np

SMOOTH = 0.03  # width of the seam between two capsules, in units of the body
SMOOTHING_ROUNDS = 4


class Capsules(NamedTuple):
    """C capsules with a radius at either end, in the body's rest pose."""

    start: np.ndarray  # (C, 3)
    end: np.ndarray  # (C, 3)
    radii: np.ndarray  # (C, 2)


def capsule_distances(points: np.ndarray, capsules: Capsules) -> np.ndarray:
    """Distances (N, C) of points (N, 3) from each capsule's surface, negative inside."""
    axis = capsules.end - capsules.start
    length = np.maximum((axis * axis).sum(1), 1e-12)
    away = points[:, None] - capsules.start
    along = np.clip((away * axis).sum(2) / length, 0, 1)
    radius = capsules.radii[:, 0] + along * (capsules.radii[:, 1] - capsules.radii[:, 0])
    return np.linalg.norm(away - along[..., None] * axis, axis=2) - radius


def union_distance(points: np.ndarray, capsules: Capsules) -> np.ndarray:
    """About the distance (N,) from the smooth union of all capsules, negative inside."""
    distances = capsule_distances(points, capsules)
    nearest = distances.min(1)
    return nearest - SMOOTH / 4 * np.log(np.exp((nearest[:, None] - distances) * 4 / SMOOTH).sum(1))


def triangulated(
    capsules: Capsules, spacing: float, turn: np.ndarray, uneven: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and counter-clockwise faces (F, 3) of the union's surface, closed.

    Args:
        capsules: What is joined.
        spacing: Of the grid, about the length of an edge.
        turn: (3, 3) rotation of the grid.
        uneven: How much the spacing varies along each axis of the grid, from 0 to 1, for triangles of many sizes.
        seed: Decides that.
    """
    rng = np.random.default_rng(seed)
    ends = np.concatenate([capsules.start, capsules.end]) @ turn.T
    margin = capsules.radii.max() + 2 * spacing
    axes = []
    for low, high in zip(ends.min(0) - margin, ends.max(0) + margin, strict=True):
        count = int((high - low) / spacing) + 2
        steps = 1 + uneven * np.sin(np.linspace(0, rng.uniform(9, 15), count) + rng.uniform(0, 6))
        axes.append(low + np.cumsum(steps) * (high - low) / steps.sum())
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    flat = grid.reshape(-1, 3) @ turn  # back to the body's axes
    values = np.concatenate([union_distance(part, capsules) for part in np.array_split(flat, len(flat) // 20_000 + 1)])
    values = values.reshape(grid.shape[:3])
    _open_pinches(values, spacing)
    vertices, quads = _surface_net(flat.reshape(grid.shape), values)
    vertices = _relaxed(vertices, quads, capsules)
    first = np.linalg.norm(vertices[quads[:, 0]] - vertices[quads[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quads[:, 1]] - vertices[quads[:, 3]], axis=1)
    quads = np.where((first <= second)[:, None], quads, np.roll(quads, 1, axis=1))  # cut along the shorter diagonal
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _open_pinches(values: np.ndarray, spacing: float) -> None:
    """Put points of the grid outside where two parts would touch along an edge, so that the surface is a manifold."""
    pinches = True
    while pinches:
        pinches = False
        for axis in range(3):
            view = np.moveaxis(values, axis, 0)
            corners = np.stack([view[:, :-1, :-1], view[:, 1:, 1:], view[:, 1:, :-1], view[:, :-1, 1:]])
            inside = corners < 0
            pinched = (inside[0] == inside[1]) & (inside[2] == inside[3]) & (inside[0] != inside[2])
            for a, b, c in np.argwhere(pinched):
                places = [(a, b, c), (a, b + 1, c + 1), (a, b + 1, c), (a, b, c + 1)]
                within = [place for place in places if view[place] < 0]
                if len(within) == 2:  # and not opened just now
                    view[max(within, key=lambda place: view[place])] = 0.01 * spacing
                    pinches = True


def _surface_net(grid: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A vertex in each cell that the surface crosses, a quad around each edge of the grid that it crosses."""
    shape = np.array(values.shape)
    total, number = np.zeros((values.size, 3)), np.zeros(values.size)
    quads = []
    for axis in range(3):
        lower = np.moveaxis(values, axis, 0)[:-1]
        upper = np.moveaxis(values, axis, 0)[1:]
        crossed = np.moveaxis((lower < 0) != (upper < 0), 0, axis)
        at = np.argwhere(crossed)
        step = np.eye(3, dtype=int)[axis]
        a, b = values[tuple(at.T)], values[tuple((at + step).T)]
        share = (a / (a - b))[:, None]
        points = (1 - share) * grid[tuple(at.T)] + share * grid[tuple((at + step).T)]
        second, third = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        cells = np.stack([at - second - third, at - third, at, at - second], 1)
        keys = np.ravel_multi_index(tuple(np.moveaxis(cells, -1, 0)), tuple(shape))
        np.add.at(total, keys.ravel(), points.repeat(4, axis=0))
        np.add.at(number, keys.ravel(), 1)
        quads.append(np.where((a < 0)[:, None], keys, keys[:, ::-1]))
    used = np.flatnonzero(number)
    new = np.zeros(values.size, int)
    new[used] = np.arange(len(used))
    return total[used] / number[used, None], new[np.concatenate(quads)]


def _relaxed(vertices: np.ndarray, quads: np.ndarray, capsules: Capsules) -> np.ndarray:
    """Vertices moved towards the middle of their neighbors, and back onto the surface."""
    for _ in range(SMOOTHING_ROUNDS):
        total, number = np.zeros_like(vertices), np.zeros((len(vertices), 1))
        for side in (1, 3):
            np.add.at(total, quads.ravel(), vertices[np.roll(quads, side, axis=1).ravel()])
            np.add.at(number, quads.ravel(), 1)
        vertices = 0.5 * vertices + 0.5 * total / number
        for _ in range(2):
            values = union_distance(vertices, capsules)
            steps = 1e-4 * np.eye(3)
            slope = np.stack([union_distance(vertices + step, capsules) - values for step in steps], 1) / 1e-4
            vertices = vertices - (values / np.maximum((slope**2).sum(1), 0.25))[:, None] * slope
    return vertices
