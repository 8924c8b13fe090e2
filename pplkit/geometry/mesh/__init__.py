"""Triangle meshes: fields of Jacobians over their faces, and the Poisson solve that turns a field into vertices."""

from pplkit.geometry.mesh.frames import unit_box
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.geometry.mesh.operators import face_frames, gradients, jacobians, laplacian
from pplkit.geometry.mesh.poisson import PoissonSolver
from pplkit.geometry.mesh.sampling import farthest_points, nearest_points
from pplkit.geometry.mesh.warp import landmark_warp

__all__ = [
    "PoissonSolver",
    "face_frames",
    "farthest_points",
    "gradients",
    "intersecting_faces",
    "jacobians",
    "landmark_warp",
    "laplacian",
    "nearest_points",
    "unit_box",
]
