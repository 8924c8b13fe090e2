import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.motion.imitation_config import ImitationConfig


def test_a_round_has_as_many_steps_as_its_experience_fills() -> None:
    assert ImitationConfig(bodies=32, horizon=128, batch_size=1024, passes=5).round_steps == 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bodies": 0}, "bodies=0 must be 1 or more"),
        ({"fps": 0.0}, "fps=0.0 must be positive"),
        ({"force": -1.0}, "force=-1.0 must be 0 or more"),
        ({"discount": 1.1}, "discount=1.1 must be from 0 to 1"),
        ({"batch_size": 1000}, "not a multiple of batch_size=1000"),
        ({"widths": ()}, "at least one positive width"),
        ({"precision": "16-mixed"}, "use '32-true'"),
        ({"noise": float("nan")}, "noise=nan must be positive"),
    ],
)
def test_what_no_training_can_have_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(PplkitError, match=said):
        ImitationConfig().replace(**change)


def test_settings_come_back_from_json() -> None:
    config = ImitationConfig(widths=(64, 32), force=50.0)
    assert ImitationConfig.from_dict(config.to_dict()) == config
