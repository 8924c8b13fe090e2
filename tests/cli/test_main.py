"""The command line calls what it should with what it was given; the notebook driver runs small notebooks for real."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest

import pplkit
from pplkit import cli
from pplkit.cli import commands
from pplkit.cli.main import _option
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import DatasetWriter
from pplkit.experiments import notebooks as driver

Calls = list[tuple[Any, ...]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Records what `pplkit run` hands to the notebook driver instead of preparing data and running notebooks."""
    calls: Calls = []
    monkeypatch.setattr(
        commands, "prepare_data", lambda dataset, parameters: pplkit.Config.preset(parameters["preset"])
    )
    monkeypatch.setattr(driver, "run_notebooks", lambda *given: calls.append(given))
    return calls


def write_notebook(folder: Path, name: str, parameters: str, code: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")


def test_run_hands_over_what_was_given_and_the_size_of_the_preset(runs: Calls) -> None:
    assert cli.main(["run", "puppets"]) == 0
    assert cli.main(["run", "cub", "--preset", "paper-cub-three"]) == 0
    assert runs == [
        ("puppets", "puppets", {"preset": "puppets", "size": 64}),
        ("cub", "cub", {"preset": "paper-cub-three", "size": 128}),
    ]


def test_run_hands_over_every_option(runs: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    line = "run birds --preset paper --steps 7 --seed 3 --device cpu --source raw --size 64 --scale smoke --name first"
    assert cli.main([*line.split(), "--option", "classes=1,2,3", "aligned=true", "--option", "split=test"]) == 0
    ((dataset, name, parameters),) = runs
    assert (dataset, name) == ("birds", "first")
    assert parameters == {
        "preset": "paper",
        "steps": 7,
        "seed": 3,
        "device": "cpu",
        "source": str(tmp_path / "raw"),
        "size": 64,
        "scale": "smoke",
        "options": {"classes": [1, 2, 3], "aligned": True, "split": "test"},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=0.5", 0.5),
        ("a=false", False),
        ("a=x", "x"),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=1,x", [1, "x"]),
        ("a=1,", [1]),
        ('a={"b": 1, "c": "x"}', {"b": 1, "c": "x"}),
    ],
)
def test_option_values(text: str, value: object) -> None:
    assert _option(text) == ("a", value)


@pytest.mark.parametrize("text", ["classes", "=1", "two words=1"])
def test_an_option_without_a_name_is_refused(text: str, runs: Calls) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "puppets", "--option", text])
    assert stop.value.code == 2
    assert runs == []


def test_a_category_of_puppets_is_no_path(runs: Calls) -> None:
    assert cli.main(["run", "puppets", "--source", "quadruped"]) == 0
    assert runs == [("puppets", "puppets", {"preset": "puppets", "size": 64, "source": "quadruped"})]


def test_wrong_input_is_one_line_and_status_2(runs: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "puppets", "--preset", "nonsense"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("pplkit: ")
    assert said.count("\n") == 1
    assert "nonsense" in said
    assert runs == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("birds", "no settings are named after the data set 'birds'"),
        ("birds --preset cub", "'birds' is not known by name"),
        ("cub", "source is empty"),
        ("cub --source nowhere", "there is no folder nowhere"),
        ("puppets --size 40", "image_size=40"),
        ("puppets --option legs=3", "option 'legs' is unknown"),
        ("folder-x --source . --option labels=a.csv,b.csv", "labels=['a.csv', 'b.csv'] names no file"),
        ("folder-x --source . --option labels=1", "labels=1 names no file"),
        ("puppets --steps 0", "steps=0 is too small"),
        ("noise --preset puppets", "has no videos"),
        ("noise --preset images", "has no split 'test'"),
    ],
)
def test_run_finds_wrong_input_before_it_leaves_a_run(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setattr(driver, "run_notebooks", lambda *_: pytest.fail("notebooks were run"))
    with DatasetWriter(tmp_path / "data" / "noise", name="noise", size=64) as writer:
        writer.add("train", np.zeros((4, 64, 64, 3), np.uint8))
    assert cli.main(["run", *line.split()]) == 2
    answer = capsys.readouterr().err.splitlines()[-1]
    assert answer.startswith("pplkit: ") and said in answer
    assert not (tmp_path / "runs").exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["noise"]


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "prepare_data", interrupted)
    assert cli.main(["run", "puppets"]) == 130
    assert capsys.readouterr().err == "pplkit: interrupted\n"


def test_train_replaces_only_the_given_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    data = SimpleNamespace(name="puppets")
    monkeypatch.setattr(pplkit, "open_dataset", lambda path: data)
    monkeypatch.setattr(pplkit, "train", lambda *given, **named: calls.append((*given, named)))
    assert cli.main(["train", "data/puppets", "runs/first", "--steps", "7", "--device", "cpu"]) == 0
    expected = pplkit.Config.preset("puppets").replace(steps=7)
    assert calls == [(expected, data, Path("runs/first"), {"device": "cpu"})]


def test_complete_hands_over_the_run_and_its_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: Calls = []
    monkeypatch.setattr("pplkit.training.run_folder.data_of", lambda folder: f"data of {folder.path}")
    monkeypatch.setattr(pplkit, "complete", lambda *given, **named: calls.append((*given, named)))
    assert cli.main(["complete", "runs/first"]) == 0
    assert cli.main(["complete", "runs/first", "--steps", "7", "--device", "cpu"]) == 0
    given = Path("runs/first"), "data of runs/first"
    assert calls == [(*given, {}), (*given, {"steps": 7, "device": "cpu"})]
    assert "The completer is in runs/first" in capsys.readouterr().out


def test_complete_wants_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["complete", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("pplkit: nowhere/config.json does not exist: ") and said.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["run", "batch", "train", "complete", "estimate", "landmarks", "track", "export", "doctor"]
)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: pplkit {command} ")


def test_python_m_pplkit_is_the_same_command() -> None:
    line = [sys.executable, "-m", "pplkit", "estimate", "nowhere", "a.png", "--out", "no/such/folder/poses.json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert done.stderr.startswith("pplkit: the folder no/such/folder of --out does not exist")


def test_notebooks_run_in_order_with_their_own_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_notebook(
        tmp_path / "notebooks",
        "01_first",
        'dataset = "none"  # a name\nsize = 1  # pixels',
        "import os\nfrom pathlib import Path\nhome = Path(os.environ['PPLKIT_HOME'])\n"
        "run = home / 'runs' / 'r'\n(run / 'first.txt').write_text(f'{dataset} {size} {Path.cwd().name}')",
    )
    write_notebook(
        tmp_path / "notebooks",
        "02_second",
        'run = "none"  # a name\nsteps = 1  # of training',
        "import json, os\nfrom pathlib import Path\nfolder = Path(os.environ['PPLKIT_HOME']) / 'runs' / run\n"
        "said = (folder / 'first.txt').read_text()\nassert 'size' not in globals()\n"
        "result = {'error': 2.5, 'steps': steps, 'said': said, 'config': {'seed': 0}, 'test': {'ours': 0.125}}\n"
        "(folder / 'evaluation.json').write_text(json.dumps(result))",
    )
    before = os.environ.get("PPLKIT_HOME")
    run = driver.run_notebooks("d", "r", {"size": 64, "steps": 7}, ("01_first", "02_second"), tmp_path)
    assert run == tmp_path / "runs" / "r"
    assert os.environ.get("PPLKIT_HOME") == before
    assert (run / "first.txt").read_text() == "d 64 notebooks"
    executed = [nbformat.read(run / "notebooks" / f"{name}.ipynb", as_version=4) for name in ("01_first", "02_second")]
    assert all(notebook.cells[-1].execution_count for notebook in executed)
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said if line.startswith("  evaluation")] == [
        ["evaluation", "error", "2.5"],
        ["evaluation", "steps", "7"],
        ["evaluation", "test.ours", "0.125"],
    ]


def test_a_parameter_that_no_notebook_declares_stops_before_anything_runs(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks", "01_first", "steps = 1  # of training", "open('ran', 'w').close()")
    with pytest.raises(PplkitError, match="'stepz'.*choose from steps"):
        driver.run_notebooks("d", "r", {"stepz": 7}, ("01_first",), tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["01_first.ipynb", "notebooks"]


def test_a_missing_notebook_stops_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(PplkitError, match="01_first.ipynb is missing"):
        driver.run_notebooks("d", "r", {}, ("01_first",), tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_first.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(PplkitError, match="01_first.ipynb is no notebook"):
        driver.run_notebooks("d", "r", {}, ("01_first",), tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="run=.* cannot name a folder"):
        driver.run_notebooks("d", name, {}, (), tmp_path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('too wide\\nby far')", r"01_first stopped in cell \[2\] with ValueError: too wide; .*ipynb"),
        ("import os\nos._exit(1)", "kernel of notebook 01_first stopped"),
    ],
)
def test_a_failing_notebook_names_the_error_and_the_traceback(code: str, message: str, tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks", "01_first", "steps = 1  # of training", code)
    with pytest.raises(PplkitError, match=message):
        driver.run_notebooks("d", "r", {}, ("01_first",), tmp_path)
    assert (tmp_path / "runs" / "r" / "notebooks" / "01_first.ipynb").is_file()
