"""Lifting: from sequences of 2D poses to 3D."""

from pplkit.models.lifting.poseformer import PoseFormer, load_poseformer

__all__ = ["PoseFormer", "load_poseformer"]
