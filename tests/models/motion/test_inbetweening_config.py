import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.models.motion.inbetweening_config import InBetweeningConfig


def test_settings_come_back_from_json() -> None:
    config = InBetweeningConfig(width=64, longest_gap=20)
    assert InBetweeningConfig.from_dict(config.to_dict()) == config
    assert config.skeleton == H36M17


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"past": 0}, "past=0 must be a whole number from 1"),
        ({"shortest_gap": 50}, "shortest_gap=50 is above longest_gap=40"),
        ({"speed": 0.5}, "speed=0.5 must be 1 or more"),
        ({"weight_slide": float("nan")}, "weight_slide=nan must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(PplkitError, match=message):
        InBetweeningConfig(**settings)
