"""`pplkit run` hands its options to the notebooks, and refuses wrong input before it makes anything."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pplkit import cli
from pplkit.cli.run import held
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.notebooks import NOTEBOOKS
from pplkit.training.run_folder import RunFolder


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Records what the notebooks would be run with; no data set is prepared."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pplkit.cli.run.prepare_data", lambda *given: SimpleNamespace(protocol="h36m"))
    monkeypatch.setattr("pplkit.experiments.notebooks.run_notebooks", lambda *given, page: calls.append(given))
    return calls


def test_every_option_is_handed_over(
    runs: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "cub", "--preset", "paper-cub-three"]) == 0
    assert cli.main(["run", "puppets", "--source", "quadruped"]) == 0  # a category of puppets is not a path
    line = "run birds --preset paper --steps 7 --seed 3 --device cpu --source raw --size 64 --scale smoke --name first"
    assert cli.main([*line.split(), "--option", "classes=1,2,3", "aligned=true", "--option", "split=test"]) == 0
    assert (
        cli.main(["run", "cub", "--set", "seed=4", "banks=4", "image_size=64", "--set", "regressor_channels=8,8,8,8"])
        == 0
    )
    options = {"classes": [1, 2, 3], "aligned": True, "split": "test"}
    parameters = {"preset": "paper", "steps": 7, "seed": 3, "device": "cpu", "size": 64, "scale": "smoke"}
    assert {given[3] for given in runs} == {NOTEBOOKS}
    assert [given[:3] for given in runs] == [
        ("cub", "cub", {"preset": "paper-cub-three", "size": 128}),
        ("puppets", "puppets", {"preset": "puppets", "size": 64, "source": "quadruped"}),
        ("birds", "first", {**parameters, "source": str(tmp_path / "raw"), "options": options}),
        (
            "cub",
            "cub",
            {"seed": 4, "size": 64, "settings": {"banks": 4, "regressor_channels": [8, 8, 8, 8]}, "preset": "cub"},
        ),
    ]


@pytest.mark.parametrize(
    ("line", "protocol", "hides"),
    [
        ("puppets", "h36m", True),
        ("flowers", "pictures", False),
        ("folder-roses", "cub", False),  # labels or not: a first look at files of one's own is short
        ("video-cats --occlusion", "pictures", True),
        ("puppets --no-occlusion", "h36m", False),
    ],
)
def test_parts_of_images_are_hidden_in_labelled_data_or_when_asked_for(
    line: str, protocol: str, hides: bool, runs: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pplkit.cli.run.prepare_data", lambda *given: SimpleNamespace(protocol=protocol))
    assert cli.main(["run", *line.split()]) == 0
    assert ("05_occlusion" in runs[0][3]) == hides and len(runs[0][3]) == 4 + hides


def test_a_run_in_which_another_process_works_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setattr("pplkit.cli.run.prepare_data", lambda *given: pytest.fail("data were prepared"))
    folder = tmp_path / "runs" / "mine"
    for lock, message in (
        (RunFolder(folder).held(), f"the run folder {folder} is in use (process"),
        (held(folder), f"another process works in {folder} (process"),
    ):
        with lock:
            assert cli.main(["run", "puppets", "--name", "mine"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("birds", "no settings are named after the data set 'birds'"),
        ("birds --preset cub", "'birds' is not known by name"),
        ("puppets --preset nonsense", "nonsense"),
        ("cub", "source is empty"),
        ("cub --source nowhere", "there is no folder nowhere"),
        ("puppets --size 40", "image_size=40"),
        ("puppets --option legs=3", "option 'legs' is unknown"),
        ("puppets --steps 0", "steps=0 is too small"),
        ("puppets --set bank=4", "setting 'bank' is unknown: perhaps 'banks' is meant"),
        ("puppets --set name=paper", "--preset"),
        ("noise --preset puppets", "needs videos"),
        ("noise --preset images", "has no split 'test'"),
    ],
)
def test_wrong_input_is_refused_before_a_run_is_made(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setattr(
        "pplkit.experiments.notebooks.run_notebooks", lambda *_, **options: pytest.fail("notebooks were run")
    )
    with DatasetWriter(tmp_path / "data" / "noise", name="noise", size=64) as writer:
        writer.add("train", np.zeros((4, 64, 64, 3), np.uint8))
    assert cli.main(["run", *line.split()]) == 2
    answer = capsys.readouterr().err.splitlines()[-1]
    assert answer.startswith("pplkit: ") and message in answer
    assert not (tmp_path / "runs").exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["noise"]
