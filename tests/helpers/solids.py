"""Small meshes: closed, open, non-manifold, of several components, with empty faces and stray vertices."""

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]  # vertices (V, 3), faces (F, 3)


def torus(around: int = 12, across: int = 7) -> Mesh:
    """A closed surface of 2 x around x across faces, a little uneven, so that no two edges are alike."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = 2 * np.pi * u / around, 2 * np.pi * v / across
    radius = 0.3 + 0.1 * np.cos(b)
    points = np.stack([radius * np.cos(a), radius * np.sin(a), 0.1 * np.sin(b)], -1).reshape(-1, 3)
    points += 0.004 * np.random.default_rng(0).normal(size=points.shape)

    def number(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return i % around * across + j % across

    corners = number(u, v), number(u + 1, v), number(u + 1, v + 1), number(u, v + 1)
    faces = np.stack([np.stack([corners[i] for i in three], -1) for three in ((0, 1, 2), (0, 2, 3))], -2)
    return points, faces.reshape(-1, 3)


def sheet(size: int = 5) -> Mesh:
    """An open, curved square of 2 (size - 1)² faces."""
    y, x = np.divmod(np.arange(size * size), size)
    points = np.stack([x, y, 0.1 * x * y], -1) / (size - 1) - [0.5, 0.5, 0]
    first = np.flatnonzero((x < size - 1) & (y < size - 1))
    faces = np.concatenate([first[:, None] + [0, 1, size + 1], first[:, None] + [0, size + 1, size]])
    return points, faces


def joined(*meshes: Mesh, shift: float = 0.0) -> Mesh:
    """Meshes in one, each moved by `shift` along x against the one before."""
    starts = np.cumsum([0, *(len(points) for points, _ in meshes)])
    points = np.concatenate([points + [shift * n, 0, 0] for n, (points, _) in enumerate(meshes)])
    return points, np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)])


def hard_meshes() -> dict[str, Mesh]:
    """Meshes of all kinds by name."""
    ring, (points, faces) = torus(), sheet()
    fin = np.concatenate([points, [[0.0, 0.0, 0.5]]]), np.concatenate([faces, [[6, 7, 25]]])  # 3 faces at one edge
    hanging = np.concatenate([points, 0.3 * points[:1] + 0.7 * points[1:2]])
    return {
        "closed": ring,
        "open": (points, faces),
        "non-manifold": fin,
        "two components": joined(ring, ring, shift=0.9),
        "faces without area": (points, np.concatenate([faces, [[0, 1, 1], [0, 1, 2]]])),
        "a vertex on a face without area": (hanging, np.concatenate([faces, [[0, 1, 25]]])),
        "a stray vertex": (np.concatenate([points, [[0.2, 0.1, 2.0]]]), faces),
        "unused first vertex": (np.concatenate([[[0.2, 0.1, 2.0]], points]), faces + 1),
        "five components": joined(ring, sheet(), ring, sheet(3), ring, shift=0.9),
    }


def bent(points: np.ndarray) -> np.ndarray:
    """Points (V, 3) after a smooth deformation that stretches and turns."""
    x, y, z = points.T
    angle = 1.5 * x + 0.4
    return np.stack(
        [np.cos(angle) * y - np.sin(angle) * z + 0.2, 1.1 * x + 0.3 * y * y, np.sin(angle) * y + np.cos(angle) * z], -1
    )


def turn(seed: int = 0) -> np.ndarray:
    """A random rotation (3, 3)."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))
