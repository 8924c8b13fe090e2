"""Mesh pose: the pose of one mesh as a code, and the code applied to other meshes."""

from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.model import MeshModel, NPRModel, PatchModel, build_model
from pplkit.models.mesh.nearest_face import NearestFace, PoseMethod
from pplkit.models.mesh.npr import NPRApplier, NPRExtractor, PoseCode, load_npr
from pplkit.models.mesh.template import Template

__all__ = [
    "MeshConfig",
    "MeshModel",
    "NPRApplier",
    "NPRExtractor",
    "NPRModel",
    "NearestFace",
    "PatchModel",
    "PoseCode",
    "PoseMethod",
    "Template",
    "build_model",
    "load_npr",
]
