"""Settings of the published estimator and its training, here of the joints of h36m17."""

from dataclasses import dataclass

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.models.motion.estimator import KERNEL, LEARNING_RATE


@dataclass(frozen=True)
class EstimatorConfig(Settings):
    """Settings of the two temporal convolution networks. Raises PplkitError for values that no model can have."""

    name: str = "estimator"
    # network
    channels: int = 1024  # of all hidden layers
    blocks: int = 2  # each sees 3 times as many frames as the one before: 27 with two
    fps: float = 30.0  # frames a second
    flip_test: bool = True  # whether poses are the mean over the input and its mirror image
    # optimization
    steps: int = 10_000  # of the whole training; the learning rate falls to 2 % over them, for the pose alone
    batch_size: int = 512  # windows in a step
    learning_rate: float = LEARNING_RATE  # of Adam
    precision: str = "32-true"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        for name in ("channels", "blocks", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise PplkitError(f"{name}={getattr(self, name)} must be 1 or more.")
        if not (self.fps > 0 and self.learning_rate > 0 and self.seed >= 0):
            raise PplkitError("fps and learning_rate must be positive, seed at least 0.")

    @property
    def frames(self) -> int:
        """Frames that one frame of the output sees, the length of a window."""
        return int(KERNEL ** (self.blocks + 1))
