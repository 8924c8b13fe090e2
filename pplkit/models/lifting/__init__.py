"""Lifting: from sequences of 2D poses to 3D."""

from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.model import Lifter, build_model
from pplkit.models.lifting.poseformer import PoseFormer, load_poseformer

__all__ = ["LiftingConfig", "Lifter", "PoseFormer", "build_model", "load_poseformer"]
