"""Settings of mesh pose: the published ones, what is refused."""

from typing import Any

import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.mesh import MeshConfig
from pplkit.models.mesh.config import PRESETS


def test_the_published_preset() -> None:
    config = MeshConfig.preset("npr")
    assert (config.network, config.steps, config.batch_size, config.learning_rate) == ("npr", 300 * 300, 1, 1e-3)
    assert config.final_learning_rate == 1 and not config.landmarks


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_come_back_from_their_json(name: str) -> None:
    config = MeshConfig.preset(name).replace(landmark_names=("a", "b"), bones=((0, 1),))
    assert config.name == name and MeshConfig.from_dict(config.to_dict()) == config


def test_every_setting_is_explained() -> None:
    assert [name for _, name, text in MeshConfig.explanations() if not text] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "njf"}, "network='njf' is unknown: choose one of patches, npr"),
        ({"patches": 1}, "patches=1 must be a whole number from 2"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be positive"),
        ({"weight_smoothness": -1.0}, "0 or more, and finite"),
        ({"bones": ((0, 1),)}, "bones join landmarks that landmark_names lacks"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        MeshConfig(**settings)


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PplkitError, match="preset 'mesh-smal' is unknown.*mesh-small"):
        MeshConfig.preset("mesh-smal")
