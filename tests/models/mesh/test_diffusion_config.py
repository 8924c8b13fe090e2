"""Settings of a diffusion over codes: published values, and those that no model can have."""

import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.mesh.diffusion_config import DiffusionConfig


def test_published_sizes() -> None:
    config = DiffusionConfig.preset("mesh-diffusion")
    assert (config.width, config.layers, config.heads, config.noise_steps) == (512, 6, 4, 1000)
    assert config.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"width": 10}, "width=10 must be a multiple of heads=4"), ({"noise_steps": 1}, "noise_steps=1 must be a whole")],
)
def test_impossible_values_are_refused(changes: dict[str, int], words: str) -> None:
    with pytest.raises(PplkitError, match=words):
        DiffusionConfig().replace(**changes)
