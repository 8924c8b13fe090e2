"""pplkit: learn the pose of an object category from unlabelled images (Pose Prior Learner, ICLR 2026)."""

from pplkit.core import old_names
from pplkit.core.errors import PplkitError
from pplkit.core.version import __version__
from pplkit.data.dataset import open_dataset
from pplkit.data.occlusion import occlude
from pplkit.evaluation.protocols import evaluate
from pplkit.geometry.link_map import link_map
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.released_weights import load_official
from pplkit.training.saved_model import load
from pplkit.training.tasks.completer import complete
from pplkit.training.tasks.prior import train

old_names.install()

__all__ = [
    "Config",
    "PosePrior",
    "PosePriorLearner",
    "PplkitError",
    "__version__",
    "complete",
    "evaluate",
    "link_map",
    "load",
    "load_official",
    "occlude",
    "open_dataset",
    "train",
]
