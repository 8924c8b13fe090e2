"""A mesh at rest in the frame in which networks see it, with what is computed of it once."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pplkit.data.meshes import checked_mesh
from pplkit.geometry.mesh import PoissonSolver, face_frames
from pplkit.geometry.mesh.landmarks import Landmarks


class Template:
    """A mesh at rest: the middle of its box at the origin, the longest side 1.

    Args:
        vertices: (V, 3) in the units of its file.
        faces: (F, 3).
        landmarks: Of the rest pose, in the same units.
        source: What messages call it.

    Raises PplkitError for arrays that are no mesh.
    """

    def __init__(
        self, vertices: np.ndarray, faces: np.ndarray, landmarks: Landmarks | None = None, source: str = "the mesh"
    ) -> None:
        mesh = checked_mesh(vertices, faces, source)
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self.center, self.scale = (low + high) / 2, float((high - low).max())
        self.vertices = torch.from_numpy(self.normalized(mesh.vertices))  # (V, 3) float64
        self.faces = torch.from_numpy(mesh.faces)  # (F, 3)
        self._kept: tuple[object, Tensor] | None = None
        self.landmarks = landmarks
        if landmarks is not None:
            self.landmarks = Landmarks(landmarks.names, self.normalized(landmarks.points), landmarks.bones)

    def normalized(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in units of the file, in those of networks."""
        return (np.asarray(points, np.float64) - self.center) / self.scale

    def restored(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `normalized`."""
        return np.asarray(points) * self.scale + self.center

    @cached_property
    def solver(self) -> PoissonSolver:
        """The Poisson solve of this mesh."""
        return PoissonSolver(self.vertices, self.faces)

    @cached_property
    def face_areas(self) -> Tensor:
        """(F,), adding up to 1."""
        areas = face_frames(self.vertices, self.faces)[2]
        return areas / areas.sum()

    @cached_property
    def vertex_areas(self) -> Tensor:
        """(V,): a third of the area of each face around; adding up to 1."""
        areas = torch.zeros(len(self.vertices), dtype=torch.float64)
        return areas.index_add(0, self.faces.flatten(), self.face_areas.repeat_interleave(3) / 3)

    def kept(self, key: object, made: Callable[[], Tensor]) -> Tensor:
        """What `made` gives, computed once for a key, such as a model and its state."""
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, made())
        return self._kept[1]

    @property
    def face_centers(self) -> Tensor:
        """(F, 3)."""
        return self.vertices[self.faces].mean(1)
