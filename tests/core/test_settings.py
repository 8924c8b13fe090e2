"""Settings keep their names and types."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings


@dataclass(frozen=True)
class Example(Settings):
    OLD_NAMES: ClassVar[dict[str, str]] = {"speed": "rate"}

    steps: int = 3
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)
    name: str = "a"
    flip: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise PplkitError("steps is too small.")


def test_settings_are_replaced_and_come_back_from_json() -> None:
    changed = Example().replace(steps=4, sizes=[3], speed=2)
    assert changed == Example(4, 2.0, (3,)) and type(changed.rate) is float
    assert Example.from_dict(changed.to_dict()) == changed == Example.from_dict(json.loads(changed.to_json()))
    assert Example.from_dict({}) == Example() and Example.new_names({"speed": 1, "b": 2}) == {"rate": 1, "b": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"step": 4},
            "setting 'step' is unknown: perhaps 'steps' is meant; else choose one of flip, name, rate, sizes, steps.",
        ),
        ({"xyz": 4}, "setting 'xyz' is unknown: choose one of flip, name, rate, sizes, steps."),
        ({"steps": True}, "setting steps=True must be of type int."),
        ({"steps": 4.0}, "setting steps=4.0 must be of type int."),
        ({"speed": "1"}, "setting rate='1' must be of type float."),
        ({"sizes": 3}, "setting sizes=3 must be of type tuple."),
        ({"flip": 1}, "setting flip=1 must be of type bool."),
        ({"steps": 0}, "steps is too small."),
    ],
)
def test_unknown_names_wrong_types_and_impossible_values_are_refused(change: dict[str, Any], said: str) -> None:
    for make in (lambda: Example().replace(**change), lambda: Example.from_dict(change)):
        with pytest.raises(PplkitError) as refused:
            make()
        assert str(refused.value) == said


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().steps = 4  # type: ignore[misc]
