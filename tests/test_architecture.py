"""The rooms of the house: who may import whom. import-linter checks the same in `make lint`, with the whole graph."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pplkit.core import old_names

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*ROOT.glob("pplkit/**/*.py"), *ROOT.glob("data_prep/**/*.py")])
ROOMS = ["core", "geometry", "data", "models", "training", "inference", "evaluation", "viz", "experiments", "cli"]
METHODS = ["prior", "lifting", "mesh", "motion"]
KNOW_METHODS = (
    "pplkit.training.tasks",
    "pplkit.training.saved_model",
    "pplkit.training.saved_lifter",
    "pplkit.training.saved_mesh",
)
FOR_DATA_PREP = ("pplkit.core", "pplkit.geometry", "pplkit.data", "pplkit.models.prior.presets")
CROPS = ("pplkit.inference.object_crop",)  # what finds crops looks through a network
OWNED = {
    "matplotlib": ("pplkit.viz", "pplkit.experiments"), "ipywidgets": ("pplkit.viz.widgets",),
    "anywidget": ("pplkit.viz.widgets",), "lightning": ("pplkit.training",), "papermill": ("pplkit.experiments",),
    "submitit": ("pplkit.experiments",), "av": ("pplkit.data", "data_prep"), "trimesh": ("pplkit.data",),
    "mujoco": ("pplkit.models.motion",),
}  # fmt: skip

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            own = [name for name in names if name in MODULES]
            yield from own
            if len(own) < len(names):
                yield node.module


def below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_module_lies_in_the_corridor() -> None:
    assert [path.name for path in sorted(ROOT.glob("pplkit/*.py"))] == ["__init__.py", "__main__.py"]
    assert sorted(path.parent.name for path in ROOT.glob("pplkit/*/__init__.py")) == sorted(ROOMS)


@every_file
def test_rooms_import_downwards(path: Path) -> None:
    name = module_of(path)
    if name.startswith("pplkit.") and room_of(name) in ROOMS:
        others = {other for other in imported(path) if other.startswith("pplkit.")}
        assert not {other for other in others if ROOMS.index(room_of(other)) > ROOMS.index(room_of(name))}


@every_file
def test_methods_do_not_know_one_another(path: Path) -> None:
    name = module_of(path)
    for method in METHODS:
        if name.startswith(f"pplkit.models.{method}."):
            others = tuple(f"pplkit.models.{other}" for other in METHODS if other != method)
            assert not {other for other in imported(path) if below(other, others)}
    if name.startswith("pplkit.models.layers."):
        assert not {
            o for o in imported(path) if o.startswith("pplkit.models.") and not below(o, ("pplkit.models.layers",))
        }


@every_file
def test_data_prep_imports_little_and_the_command_line_alone_imports_it(path: Path) -> None:
    name, others = module_of(path), set(imported(path))
    if name.split(".")[0] == "data_prep":
        assert not {other for other in others if other.startswith("pplkit") and not below(other, FOR_DATA_PREP + CROPS)}
    elif room_of(name) not in ("cli", ""):  # and `pplkit.prepare` does
        assert not {other for other in others if other.split(".")[0] == "data_prep"}


@every_file
def test_packages_are_imported_by_their_owners(path: Path) -> None:
    name = module_of(path)
    for package, owners in OWNED.items():
        if package in {other.split(".")[0] for other in imported(path)}:
            assert below(name, owners), f"{name} imports {package}"
    if name.startswith("pplkit.core"):
        assert not {other.split(".")[0] for other in imported(path)} & {"numpy", "torch", "matplotlib"}


@every_file
def test_the_engine_knows_no_method(path: Path) -> None:
    name = module_of(path)
    if room_of(name) == "training" and not below(name, (*KNOW_METHODS,)) and path.name != "__init__.py":
        methods = tuple(f"pplkit.models.{method}" for method in METHODS)
        assert not {other for other in imported(path) if below(other, (*methods, *KNOW_METHODS))}


def defined(path: Path) -> set[str]:
    """Names that a module defines at its top level, without those that it imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


@every_file
def test_names_are_imported_from_where_they_are_defined(path: Path) -> None:
    """Nor does anything in the package import `pplkit` itself."""
    if path.name == "__init__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (home := MODULES.get(node.module or "")):
            assert node.module not in ("pplkit", *(f"pplkit.{room}" for room in ROOMS[:-1])) or all(
                f"{node.module}.{alias.name}" in MODULES for alias in node.names
            ), f"{node.module} hands on {[alias.name for alias in node.names]}"
            if home.name != "__init__.py":
                assert {alias.name for alias in node.names} <= defined(home), node.module


def test_no_file_is_longer_than_400_lines() -> None:
    """A longer one has two nouns."""
    lengths = {module_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_imports_form_no_circle() -> None:
    named = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    graph = {name: {other for other in imported(path) if other in named} for name, path in named.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_old_module_names_lead_to_modules() -> None:
    """Who moves or removes a module corrects the table of pplkit/core/old_names.py, by which old imports still work."""
    targets = {target for name in old_names.MODULES for target in old_names.new_modules(f"pplkit.{name}")}
    assert targets and targets <= MODULES.keys()
