"""Triangle meshes: fields of Jacobians over their faces, and the Poisson solve that turns a field into vertices."""

from pplkit.geometry.mesh.operators import face_frames, gradients, jacobians, laplacian
from pplkit.geometry.mesh.poisson import PoissonSolver

__all__ = ["PoissonSolver", "face_frames", "gradients", "jacobians", "laplacian"]
