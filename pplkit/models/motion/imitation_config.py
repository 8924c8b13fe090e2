"""Settings of a policy that imitates a motion, and of its training."""

import math
from dataclasses import dataclass

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings


@dataclass(frozen=True)
class ImitationConfig(Settings):
    """Settings of an imitator; see `models.motion.tracking` for what it does.

    Raises PplkitError for values that no training can have (checked at construction).
    """

    name: str = "imitate"  # of the preset that the settings come from
    reference: str = ""  # hash of the motion that is imitated, set by the training
    # bodies
    bodies: int = 64  # simulated side by side
    episode: int = 150  # control steps after which a body starts anew
    substeps: int = 8  # steps of the simulator in a control step
    fps: float = 30.0  # control steps a second
    force: float = 100.0  # N and Nm, the most that the root is helped by, at first
    final_force: float = 25.0  # the same at the end of the training
    spring: tuple[float, float] = (500.0, 80.0)  # N/m and Ns/m, from the root to the reference's, at the end
    free_bodies: float = 0.25  # fraction of the bodies that get no help
    full_bodies: float = 0.25  # fraction that may always get `force`, so that it is known how to do with less
    # networks
    widths: tuple[int, ...] = (256, 128)  # of the hidden layers, of policy and value alike
    noise: float = 0.12  # standard deviation of the actions at first; it is learned
    # optimization (PPO)
    horizon: int = 64  # control steps of each body between two rounds of learning
    passes: int = 5  # over what was collected
    batch_size: int = 1024  # control steps in a step of the optimizer
    steps: int = 5000  # of the optimizer, in the whole training
    discount: float = 0.97  # of the reward a control step later
    advantage_decay: float = 0.95  # λ of the generalized advantage estimate (Schulman et al. 2016)
    clip: float = 0.2  # of the ratio of probabilities
    learning_rate: float = 3e-4  # of the policy, falling to a fifth
    value_learning_rate: float = 1e-3
    precision: str = "32-true"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        for name in ("bodies", "episode", "substeps", "horizon", "passes", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise PplkitError(f"{name}={getattr(self, name)} must be 1 or more.")
        for name in ("fps", "noise", "learning_rate", "value_learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise PplkitError(f"{name}={getattr(self, name)} must be positive and finite.")
        for name in ("force", "final_force"):
            if not 0 <= getattr(self, name) < math.inf:
                raise PplkitError(f"{name}={getattr(self, name)} must be 0 or more, and finite.")
        for name in ("discount", "advantage_decay", "free_bodies", "full_bodies"):
            if not 0 <= getattr(self, name) <= 1:
                raise PplkitError(f"{name}={getattr(self, name)} must be from 0 to 1.")
        if self.bodies * self.horizon % self.batch_size:
            raise PplkitError(
                f"bodies x horizon = {self.bodies * self.horizon} is not a multiple of batch_size={self.batch_size}: "
                "change one of them."
            )
        if len(self.spring) != 2 or not all(0 < value < math.inf for value in self.spring):
            raise PplkitError(f"spring={self.spring} must be two positive numbers: stiffness and damping.")
        if not self.widths or min(self.widths) < 1:
            raise PplkitError(f"widths={self.widths} must hold at least one positive width.")
        if self.precision != "32-true":
            raise PplkitError(f"precision={self.precision!r} is not for imitation: use '32-true'.")

    @property
    def round_steps(self) -> int:
        """Steps of the optimizer between two times of collecting."""
        return self.passes * self.bodies * self.horizon // self.batch_size
