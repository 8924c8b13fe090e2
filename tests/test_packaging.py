"""What an installation from the project brings: both packages, the notebooks, the widgets' JavaScript."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from pplkit.core.version import __version__
from pplkit.experiments import notebooks

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_wheel_holds_the_packages_and_the_notebooks(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="setuptools builds the wheel")
    for name in ("pplkit", "data_prep", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("pplkit", "data_prep"):
        assert {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")} <= files
    assert {f"pplkit/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "notebooks").rglob("*.ipynb")} <= files
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "pplkit").rglob("*.js")} <= files
    assert not {name for name in files if name.startswith(("tests", "docs", "notebooks"))}


def test_notebooks_are_found_beside_the_package_and_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "01_data_preparation"
    assert notebooks.notebook_file(name, tmp_path) == ROOT / "notebooks" / f"{name}.ipynb"
    installed = tmp_path / "site-packages" / "pplkit"
    for folder in (installed / "experiments", installed / "notebooks", tmp_path / "notebooks"):
        folder.mkdir(parents=True)
    (installed / "notebooks" / f"{name}.ipynb").touch()
    monkeypatch.setattr(notebooks, "__file__", str(installed / "experiments" / "notebooks.py"))
    assert notebooks.notebook_file(name, tmp_path) == installed / "notebooks" / f"{name}.ipynb"
    (tmp_path / "notebooks" / f"{name}.ipynb").touch()  # one's own go first
    assert notebooks.notebook_file(name, tmp_path) == tmp_path / "notebooks" / f"{name}.ipynb"


def test_the_citation_names_software_and_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__ and citation["cff-version"] == "1.2.0"
    assert citation["preferred-citation"]["year"] == 2026
    assert "@inproceedings{" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
