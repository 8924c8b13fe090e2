"""Pose transfer without training: each face of the target takes the Jacobian of the nearest face of the source."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial import KDTree

from pplkit.geometry.mesh.landmarks import Landmarks, shared_points
from pplkit.geometry.mesh.operators import jacobians
from pplkit.geometry.mesh.warp import landmark_warp


class PoseMethod(Protocol):
    """What says how the faces of one mesh deform, from poses of another."""

    def predict_jacobians(
        self,
        source_rest: np.ndarray,
        source_faces: np.ndarray,
        source_posed: np.ndarray,
        target_rest: np.ndarray,
        target_faces: np.ndarray,
        source_landmarks: Landmarks | None = None,
        target_landmarks: Landmarks | None = None,
    ) -> np.ndarray:
        """Jacobians (K, F, 3, 3) of the target's faces, row = output coordinate, column = rest direction.

        Args:
            source_rest: (V, 3) in its unit box.
            source_faces: (F', 3).
            source_posed: (K, V, 3) moved and scaled as the rest pose was.
            target_rest: (W, 3) in its unit box, turned to the axes of the source.
            target_faces: (F, 3).
            source_landmarks: of the rest pose in the unit box, if any; they may lie inside the body.
            target_landmarks: of the target; those with the names of the source's count.

        Raises PplkitError if the method does not know this source.
        """


@dataclass(frozen=True)
class NearestFace:
    """Copies Jacobians between the faces whose centers are nearest at rest.

    Attributes:
        full: Whether they also turn normals (Sumner and Popović, 2004), or are blind to them, as in NPR.
        warp: Whether landmarks, if there are any, take the target's faces to the source before the search.
    """

    full: bool = True
    warp: bool = True

    def predict_jacobians(
        self,
        source_rest: np.ndarray,
        source_faces: np.ndarray,
        source_posed: np.ndarray,
        target_rest: np.ndarray,
        target_faces: np.ndarray,
        source_landmarks: Landmarks | None = None,
        target_landmarks: Landmarks | None = None,
    ) -> np.ndarray:
        """As `PoseMethod` says."""
        queries = target_rest[target_faces].mean(1)
        if self.warp and source_landmarks is not None and target_landmarks is not None:
            queries = landmark_warp(queries, *shared_points(target_landmarks, source_landmarks))
        nearest = KDTree(source_rest[source_faces].mean(1)).query(queries)[1]
        return jacobians(source_rest, source_faces, source_posed, self.full)[:, nearest]
