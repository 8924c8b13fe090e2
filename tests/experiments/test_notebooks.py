"""Notebooks run in order with their own parameters, and what stops them is named."""

import os
from pathlib import Path

import nbformat
import pytest

from pplkit.core.errors import PplkitError
from pplkit.experiments import notebooks as driver


def write_notebook(folder: Path, name: str, parameters: str, code: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")


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
    with pytest.raises(PplkitError, match="01_first.ipynb is not a Python notebook"):
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
