"""Triangle meshes: fields of Jacobians over their faces, and the Poisson solve that turns a field into vertices."""

from pplkit.geometry.mesh.operators import face_frames, gradients, jacobians, laplacian
from pplkit.geometry.mesh.poisson import PoissonSolver
from pplkit.geometry.mesh.sampling import farthest_points, nearest_points

__all__ = ["PoissonSolver", "face_frames", "farthest_points", "gradients", "jacobians", "laplacian", "nearest_points"]
