"""pyproject.toml and environment.yml name the same packages, and the code imports nothing else."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORT_NAMES = {
    "ipython": "IPython",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pyyaml": "yaml",
    "sleap-io": "sleap_io",
}
EXTRAS = PROJECT["optional-dependencies"]
EVERYTHING = (
    PROJECT["dependencies"]
    + EXTRAS["data"]
    + EXTRAS["mesh"]
    + EXTRAS["motion"]
    + EXTRAS["lab"]
    + EXTRAS["onnx"]
    + EXTRAS["dev"]
)
JUPYTER = ("papermill", "nbformat", "IPython", "ipykernel", "ipywidgets", "anywidget", "jupyterlab", "nbval")


def conda_dependencies() -> list[str | dict[str, list[str]]]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def bounds(lines: list[str]) -> dict[str, str]:
    requirements = [Requirement(line) for line in lines]
    assert len({one.name for one in requirements}) == len(requirements), "a package is named twice"
    return {one.name: str(one.specifier) for one in requirements}


def test_both_files_name_the_same_packages_and_bounds() -> None:
    (from_pip,) = [entry["pip"] for entry in conda_dependencies() if isinstance(entry, dict)]
    assert "-e ." in from_pip
    wanted = bounds(EVERYTHING)
    assert bounds([line for line in from_pip if line != "-e ."]) == wanted


def test_every_package_has_a_lower_bound() -> None:
    for name, bound in bounds(EVERYTHING + EXTRAS["browser"] + EXTRAS["docs"]).items():
        assert bound.startswith(">="), f"{name} has no lower bound"


def test_conda_brings_a_python_that_the_package_accepts() -> None:
    (python,) = [e for e in conda_dependencies() if isinstance(e, str) and e.startswith("python=")]
    accepted = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert accepted.contains(python.removeprefix("python="))
    assert accepted.contains("3.11")
    assert not accepted.contains("3.10")


def test_every_import_is_a_declared_dependency() -> None:
    declared = {IMPORT_NAMES.get(name, name) for name in bounds(PROJECT["dependencies"])}
    declared |= {"pplkit", "data_prep"} | set(sys.stdlib_module_names)
    for path in [*ROOT.glob("pplkit/**/*.py"), *ROOT.glob("data_prep/**/*.py")]:
        # These say so where a package of an extra is missing.
        formats = ("data", "sleap")
        extras = {
            "pose_formats.py": formats,
            "label_readers.py": ("sleap",),
            "onnx.py": ("onnx",),
            "meshes.py": ("mesh",),
            "mjcf.py": ("motion",),
        }.get(path.name, ())
        extras = (
            ("data",)
            if "data_prep" in path.parts or path.name in ("deeplabcut.py", "images.py", "video.py", "video_writer.py")
            else extras
        )
        known = declared | {IMPORT_NAMES.get(name, name) for extra in extras for name in bounds(EXTRAS[extra])}
        if path.name == "link_map_triton.py":
            known |= {"triton"}  # PyTorch brings it where there are GPUs for it, and nothing else imports this module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                assert name.split(".")[0] in known, f"{path.name} imports {name}, which pyproject.toml does not name"


def test_the_package_imports_without_jupyter() -> None:
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in JUPYTER)
    subprocess.run([sys.executable, "-c", f"import sys; {blocked}import pplkit"], check=True, cwd=ROOT)


def test_the_package_imports_without_what_only_training_needs() -> None:
    """Lightning takes longer to import than all the rest, which every notebook and every `--help` would wait for."""
    code = "import sys, pplkit, pplkit.evaluation.report; sys.exit('lightning' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
