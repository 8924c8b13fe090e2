"""Motion: estimator, imitator and hallucinator, which teach one another, in their published forms and the kit's own."""

from pplkit.models.motion.estimator import TemporalConvolution, load_temporal_convolution
from pplkit.models.motion.skeleton import MOTION16

__all__ = ["MOTION16", "TemporalConvolution", "load_temporal_convolution"]
