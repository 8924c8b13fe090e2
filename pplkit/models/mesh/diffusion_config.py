"""All settings of a diffusion over pose codes and its training, and their presets."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings

PRESETS: dict[str, dict[str, Any]] = {
    "mesh-diffusion": {},
    "mesh-diffusion-small": {"width": 128, "layers": 3, "noise_steps": 250, "steps": 4000},
}
CHOICES = {"precision": ("32-true", "bf16-mixed", "16-mixed")}
INTEGERS = {  # the least and the largest that a setting may be
    "width": (4, 8192), "layers": (1, 64), "heads": (1, 64), "noise_steps": (2, 10_000), "batch_size": (1, 10**6),
    "steps": (1, 10**9), "seed": (0, 2**62),
}  # fmt: skip


@dataclass(frozen=True)
class DiffusionConfig(Settings):
    """Settings of a diffusion over pose codes; the defaults are as published where anything was.

    Raises PplkitError for values that no model can have (checked at construction).
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    name: str = "mesh-diffusion"  # of the preset that the settings come from
    mesh_run: str = ""  # the run of mesh pose whose codes are learned, from this run's folder; filled in
    # network
    width: int = 512  # channels of the transformer, a multiple of heads; as SALAD has it
    layers: int = 6  # of the transformer; as SALAD has it
    heads: int = 4  # of the attention; as SALAD has it
    noise_steps: int = 1000  # T; published: 1000
    # optimization
    steps: int = 50_000  # of the whole training; not published (SALAD: 5,000 epochs)
    batch_size: int = 32  # poses in a step, of all processes together; not published (SALAD: 32)
    learning_rate: float = 1e-3  # of Adam; published
    final_learning_rate: float = 0.02  # fraction of the learning rate left at the last step (a cosine); not published
    precision: str = "32-true"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        self.check_values(CHOICES, INTEGERS, positive=("learning_rate",))
        if self.width % self.heads:
            raise PplkitError(f"width={self.width} must be a multiple of heads={self.heads}.")
