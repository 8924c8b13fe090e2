"""Settings of the published estimator."""

import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.motion.estimator_config import EstimatorConfig


def test_two_blocks_see_the_published_27_frames() -> None:
    assert EstimatorConfig().frames == 27 and EstimatorConfig(blocks=1).frames == 9


@pytest.mark.parametrize("values", [{"steps": 0}, {"fps": 0.0}, {"seed": -1}])
def test_impossible_values_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(PplkitError):
        EstimatorConfig(**values)  # type: ignore[arg-type]
