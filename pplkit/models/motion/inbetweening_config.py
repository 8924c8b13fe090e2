"""Settings of the in-betweening network and its training."""

from dataclasses import dataclass
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.data.skeletons import H36M17, Skeleton

INTEGERS = {"past": (1, 1000), "future": (1, 1000), "shortest_gap": (1, 1000), "longest_gap": (1, 1000),
            "width": (1, 8192), "layers": (1, 16), "steps": (1, 10**9), "batch_size": (1, 10**6),
            "warmup_steps": (0, 10**9), "seed": (0, 2**62)}  # fmt: skip


@dataclass(frozen=True)
class InBetweeningConfig(Settings):
    """Settings of in-betweening. Raises PplkitError for values that no model can have."""

    name: str = "inbetween"
    # skeleton and motion
    joint_names: tuple[str, ...] = H36M17.joints  # J joints; those called ankle are the feet
    parents: tuple[int, ...] = H36M17.parents  # of each joint; -1 for the root
    flip_pairs: tuple[tuple[int, int], ...] = H36M17.flip_pairs  # (left, right), which a mirror exchanges
    fps: float = 30.0  # frames a second
    # network
    past: int = 10  # known frames before a gap
    future: int = 2  # known frames after it
    width: int = 192  # units for each direction of time
    layers: int = 2  # of the recurrent network
    # examples
    shortest_gap: int = 5  # frames
    longest_gap: int = 40  # frames
    speed: float = 1.5  # motion is up to so many times slower or faster than it was made
    posture: float = 0.08  # deviation of a constant change of the upper body's bones, in their lengths
    # losses
    weight_velocity: float = 1.0  # difference of the joints' steps in meters, beside that of their places
    weight_slide: float = 1.0  # steps along the ground of feet that touch it
    weight_contact: float = 0.02  # how well contact is predicted
    # optimization
    steps: int = 2000  # of the whole training
    batch_size: int = 32  # windows in a step, of all processes together
    learning_rate: float = 1.5e-3  # of AdamW
    warmup_steps: int = 50  # over which the learning rate rises to its value
    final_learning_rate: float = 0.02  # fraction of the learning rate left at the last step (a cosine)
    weight_decay: float = 0.01  # of AdamW
    precision: str = "32-true"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        self.check_values(integers=INTEGERS)
        if self.shortest_gap > self.longest_gap:
            raise PplkitError(
                f"shortest_gap={self.shortest_gap} is above longest_gap={self.longest_gap}: exchange them."
            )
        if self.speed < 1 or not self.fps or not self.learning_rate:
            raise PplkitError(f"speed={self.speed} must be 1 or more; fps and learning_rate must be positive.")

    @property
    def skeleton(self) -> Skeleton:
        """The joints, their parents and pairs."""
        pairs: Any = tuple((left, right) for left, right in self.flip_pairs)
        name = H36M17.name if self.joint_names == H36M17.joints else "own"
        return Skeleton(name, tuple(self.joint_names), tuple(self.parents), pairs)
