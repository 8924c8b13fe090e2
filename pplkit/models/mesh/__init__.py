"""Mesh pose: the pose of one mesh as a code, and the code applied to other meshes."""

from pplkit.models.mesh.nearest_face import NearestFace, PoseMethod
from pplkit.models.mesh.npr import NPRApplier, NPRExtractor, PoseCode, load_npr

__all__ = ["NPRApplier", "NPRExtractor", "NearestFace", "PoseCode", "PoseMethod", "load_npr"]
