"""The Pose Prior Learner: memory, regressor, link map, decoder, losses and batches."""

from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.released_weights import load_official

__all__ = ["Config", "PosePrior", "PosePriorLearner", "load_official"]
