"""Feet that stay on the ground: where a posed source touches its ground, the target is made to touch its own."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import KDTree

TOUCHING = 0.01  # of the unit box: how far above the ground still touches it
FOOT = 0.03  # of the unit box: how far above the ground a foot's vertices lie at rest


def ground_contacts(
    source_rest: np.ndarray, source_poses: np.ndarray, target_rest: np.ndarray, queries: np.ndarray, up: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which vertices of the target (K, W) touch the ground, and where their counterparts (K, W, 3) are in the source.

    Vertices touch it that are low at rest and whose counterpart lies on the ground in the pose: the vertex nearest
    along the ground of those that are low in the source at rest. The ground is where the source's lowest vertex is at
    rest.

    Args:
        source_rest: (V, 3).
        source_poses: (K, V, 3).
        target_rest: (W, 3).
        queries: (W, 3) where the target's vertices are looked for in the source.
        up: The axis that points upwards.
    """
    floor, along = source_rest[:, up].min(), [axis for axis in range(3) if axis != up]
    low = np.flatnonzero(source_rest[:, up] < floor + FOOT)
    nearest = low[KDTree(source_rest[low][:, along]).query(queries[:, along])[1]]
    touching = source_poses[:, nearest, up] < floor + TOUCHING
    return touching & (target_rest[:, up] < target_rest[:, up].min() + FOOT), source_poses[:, nearest]


def contact_goals(
    contacts: np.ndarray, placed: np.ndarray, source_places: np.ndarray, target_rest: np.ndarray, up: int
) -> np.ndarray:
    """Where vertices (K, W, 3) of the target shall be while they touch the ground; elsewhere they are as `placed`.

    As high above it as at rest. While a vertex stays in contact, it moves along the ground as its counterpart in
    `source_places` (K, W, 3) does: a foot that stands there does not slide.
    """
    goals = placed.copy()
    goals[..., up] = np.where(contacts, target_rest[:, up], placed[..., up])
    along = [axis for axis in range(3) if axis != up]
    for vertex in np.flatnonzero(contacts.any(0)):
        for start, stop in _runs(contacts[:, vertex]):
            path = source_places[start:stop, vertex][:, along]
            middle = (placed[start:stop, vertex][:, along] - path).mean(0)
            goals[start:stop, vertex, along[0]], goals[start:stop, vertex, along[1]] = (path + middle).T
    return goals


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """Starts and stops of the stretches of a row (K,) that are true."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True)
