"""`pplkit train` and `complete` hand over what they were given; `doctor` is tested with its report."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pplkit import cli
from pplkit.models.prior.config import Config
from pplkit.training import load_lifter


def test_train_replaces_only_the_given_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    data = SimpleNamespace(name="puppets")
    monkeypatch.setattr("pplkit.cli.train.open_dataset", lambda path: data)
    monkeypatch.setattr("pplkit.cli.train.warn_about", lambda data: None)
    monkeypatch.setattr("pplkit.training.train", lambda *given, **named: calls.append((*given, named)))
    assert cli.main(["train", "data/puppets", "runs/first", "--steps", "7", "--device", "cpu"]) == 0
    assert calls == [(Config.preset("puppets").replace(steps=7), data, Path("runs/first"), {"device": "cpu"})]
    assert cli.main(["train", "data/puppets", "runs/first", "--set", "banks=4", "flip=False", "--set", "steps=9"]) == 0
    assert calls[1][0] == Config.preset("puppets").replace(banks=4, flip=False, steps=9)


def test_complete_hands_over_the_run_and_its_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pplkit.cli.train.data_of", lambda folder: f"data of {folder.path}")
    monkeypatch.setattr("pplkit.training.complete", lambda *given, **named: calls.append((*given, named)))
    assert cli.main(["complete", "runs/first"]) == 0
    assert cli.main(["complete", "runs/first", "--steps", "7", "--device", "cpu"]) == 0
    given = Path("runs/first"), "data of runs/first"
    assert calls == [(*given, {}), (*given, {"steps": 7, "device": "cpu"})]
    assert "The completer is in runs/first" in capsys.readouterr().out


def test_complete_needs_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["complete", "nowhere"]) == 2
    answer = capsys.readouterr().err
    assert answer.startswith("pplkit: there is no run folder nowhere: ") and answer.count("\n") == 1


def test_a_preset_of_lifting_trains_a_lifter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--set", "width=24", "depth=1", "heads=2", "batch_size=4", "--steps", "2"]
    run = str(tmp_path / "lift")
    assert cli.main(["train", "motion_synthetic", run, "--preset", "lift-small", "--device", "cpu", *size]) == 0
    assert f"The lifter is in {run}" in capsys.readouterr().out
    assert load_lifter(run).config.width == 24
    assert cli.main(["train", str(tmp_path / "none"), run, "--preset", "lift"]) == 2
    assert "holds no pose sequences" in capsys.readouterr().err
