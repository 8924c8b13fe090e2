"""The doctor never advises what is set already, and gives whole commands, which the command line accepts."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from pplkit.cli.main import build_parser
from pplkit.cli.options import settings_of
from pplkit.data.dataset import Dataset
from pplkit.evaluation.diagnosis.advice import NOTHING_LEFT, advice, changed_options, changed_settings, command
from pplkit.evaluation.diagnosis.checks import CHECKS, Check
from pplkit.models.prior.config import Config

PRESET = Config.preset("puppets")
OPTIONS = {"crop": "center", "size": 64}
by_name = {check.name: check for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_advice_that_was_followed_is_not_given_again(check: Check) -> None:
    settings, options = changed_settings(check, PRESET), changed_options(check, OPTIONS)
    followed = PRESET.replace(**settings)  # raises for settings that do not exist, and for impossible values
    text = advice(check, PRESET, OPTIONS)
    assert text and len(check.meaning) < 160
    assert all(f"{name}=" in text for name in (*settings, *options))
    left = changed_settings(check, followed)
    assert set(left) <= {"learning_rate", "convolution_learning_rate", "steps", "connectivity_learning_rate",
                         "thickness", "weight_separation", "weight_equivariance"}  # fmt: skip
    assert not changed_options(check, {**OPTIONS, **options})
    assert "preset photographs" not in advice(check, PRESET.replace(backbone="random"), OPTIONS)


def test_where_all_is_set_other_images_help() -> None:
    check = by_name["dead vectors"]
    assert advice(check, PRESET.replace(prior_from="all", reset_dead_codes=False), {}) == (
        "prior_from=used (now all), reset_dead_codes=True (now False)"
    )
    assert advice(check, PRESET.replace(prior_from="used", reset_dead_codes=True), {}) == NOTHING_LEFT


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("executed", [True, False])
def test_commands_are_accepted_and_set_what_is_advised(
    check: Check, executed: bool, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = PRESET.replace(banks=5, seed=3), tmp_path / "runs" / "cats"
    data = replace(puppets, path=tmp_path / "data" / "video-cats", origin={"path": "/clips", "options": {"rate": 5}})
    if executed:
        (run / "notebooks").mkdir(parents=True)
        (run / "notebooks" / "02_training.ipynb").touch()
    monkeypatch.chdir(tmp_path)
    line = command(check, config, data, run)
    if line is None:
        assert not changed_settings(check, config) and not check.options
        return
    parsed = build_parser().parse_args(shlex.split(line)[1:])
    if check.options or check.backbone:
        assert (parsed.dataset, parsed.source, dict(parsed.option)["rate"]) == ("video-cats-2", "/clips", 5)
        assert parsed.preset == ("films" if check.backbone else "puppets")
        return
    settings = settings_of(parsed, "steps", "seed")
    assert config.replace(**changed_settings(check, config)) == Config.preset(parsed.preset).replace(**settings)
    name = "cats" if check.continues else "cats-2"
    if executed:
        assert (parsed.dataset, parsed.name) == ("video-cats", name)
    else:
        assert (parsed.dataset, parsed.run) == (Path("data/video-cats"), Path("runs") / name)


def test_the_next_free_number_is_used(puppets: Dataset, tmp_path: Path) -> None:
    for name in ("cats", "cats-2"):
        (tmp_path / name).mkdir()
    line = command(by_name["diverging"], PRESET, puppets, tmp_path / "cats-2")
    assert line is not None and " cats-3 " not in line and "cats-3" in line
