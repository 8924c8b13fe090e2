"""Notebooks run in order with their own parameters, and what stops them is named."""

import json
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
        "import os\nfrom pathlib import Path\nfolder = Path(os.environ['PPLKIT_HOME']) / 'runs' / run\n"
        "assert (folder / 'first.txt').read_text() and 'size' not in globals() and steps == 7",
    )
    before = os.environ.get("PPLKIT_HOME")
    run = driver.run_notebooks("d", "r", {"size": 64, "steps": 7}, ("01_first", "02_second"), tmp_path)
    assert run == tmp_path / "runs" / "r"
    assert os.environ.get("PPLKIT_HOME") == before
    assert (run / "first.txt").read_text() == "d 64 notebooks"
    executed = [nbformat.read(run / "notebooks" / f"{name}.ipynb", as_version=4) for name in ("01_first", "02_second")]
    assert all(notebook.cells[-1].execution_count for notebook in executed)
    lines = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["[1 of 2] 01_first: starting Python for it", "[2 of 2] 02_second"]
    assert not (run / "index.html").exists()


def test_a_run_with_a_page_has_one_before_the_occlusion_and_ends_with_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, findings in (
        ("04_evaluation", [{"name": "few", "number": 1, "most": 0, "says": "s", "means": "m", "try": "t"}]),
        ("05_occlusion", []),
    ):
        report = json.dumps({"findings": findings, "numbers": {}})
        code = f"from pathlib import Path\nPath('../runs/r/doctor.json').write_text({report!r})"
        write_notebook(tmp_path / "notebooks", name, 'run = "none"  # a name', code)
    run = tmp_path / "runs" / "r"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {}, "made_by": {}}), encoding="utf8")
    driver.run_notebooks("d", "r", {}, ("04_evaluation", "05_occlusion"), tmp_path, page=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(f"a first look is ready: {run / 'index.html'}") and "05_occlusion" in lines[2]
    assert lines[4].startswith("r: done in 0 min")
    assert lines[5:] == ["  Good: the doctor finds nothing wrong.", f"  Look at {run / 'index.html'}"]
    driver.run_notebooks("d", "r", {}, ("04_evaluation",), tmp_path, page=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == [
        "  Not good yet: few. m", f"  `pplkit doctor {run}` says what to try.", f"  Look at {run / 'index.html'}"
    ]  # fmt: skip


def test_a_parameter_that_no_notebook_declares_stops_before_anything_runs(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks", "01_first", "steps = 1  # of training", "open('ran', 'w').close()")
    with pytest.raises(PplkitError, match="'stepz'.*choose one of steps"):
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
