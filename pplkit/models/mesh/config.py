"""All settings of a model of mesh pose and its training, and their presets."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings

PRESETS: dict[str, dict[str, Any]] = {
    "npr": {  # published: 300 epochs of 300 poses, one pose a step
        "network": "npr", "landmarks": False, "steps": 90_000, "batch_size": 1, "learning_rate": 1e-3,
        "final_learning_rate": 1.0, "weight_smoothness": 0.0,
    },
    "mesh": {},
    "mesh-small": {"patches": 100, "steps": 600},
}  # fmt: skip
CHOICES = {"network": ("patches", "npr"), "precision": ("32-true", "bf16-mixed", "16-mixed")}
INTEGERS = {  # the least and the largest that a setting may be
    "patches": (2, 10_000), "neighbors": (1, 1000), "batch_size": (1, 10**6), "steps": (1, 10**9), "seed": (0, 2**62),
}  # fmt: skip


@dataclass(frozen=True)
class MeshConfig(Settings):
    """Settings of mesh pose; the defaults are those of the preset `mesh`.

    Raises PplkitError for values that no model can have (checked at construction).
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    name: str = "mesh"  # of the preset that the settings come from
    # landmarks of the mesh that is learned from
    landmark_names: tuple[str, ...] = ()  # names, filled in from the data set
    bones: tuple[tuple[int, int], ...] = ()  # pairs of their numbers, filled in likewise
    # network
    network: str = "patches"  # patches of the surface with matrices of their own: "patches"; the published one: "npr"
    patches: int = 150  # K, their number
    neighbors: int = 8  # patches that a point may belong to
    full_gradients: bool = True  # whether Jacobians also turn the normal; published: not
    align: bool = True  # whether patches are put together where they overlap; else by a Poisson solve of their blend
    landmarks: bool = True  # whether other meshes are warped by their landmarks, if they have them; published: not
    # examples
    scatter: bool = True  # whether learning is at points scattered anew in each step; else at the vertices
    # losses
    weight_smoothness: float = 0.01  # squared differences of a face's corners in how they belong to patches
    # optimization
    steps: int = 3000  # of the whole training
    batch_size: int = 16  # poses in a step, of all processes together; published: 1
    learning_rate: float = 0.05  # of Adam; published: 1e-3, in the released code 1e-4
    final_learning_rate: float = 0.02  # fraction of the learning rate left at the last step (a cosine); published: 1
    precision: str = "32-true"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        self.check_values(CHOICES, INTEGERS, positive=("learning_rate",))
        if any(not 0 <= end < len(self.landmark_names) for bone in self.bones for end in bone):
            raise PplkitError("bones join landmarks that landmark_names lacks: leave both to the data set.")
