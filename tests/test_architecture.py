"""The rooms of the house: who may import whom. import-linter checks the same in `make lint`, with the whole graph."""

import ast
import graphlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from syntax_trees import ROOT, SOURCES, syntax_tree

from pplkit.core import old_names

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


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


@cache
def imported(path: Path) -> frozenset[str]:
    """Dotted names of the modules that a file imports, also inside functions."""
    modules: set[str] = set()
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= names & MODULES.keys()
            if not names <= MODULES.keys():
                modules.add(node.module)
    return frozenset(modules)


def below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_module_lies_in_the_corridor() -> None:
    assert [path.name for path in sorted(ROOT.glob("pplkit/*.py"))] == ["__init__.py", "__main__.py"]
    assert sorted(path.parent.name for path in ROOT.glob("pplkit/*/__init__.py")) == sorted(ROOMS)


def offenders(check: Callable[[str, frozenset[str]], Iterator[str]]) -> dict[str, list[str]]:
    """What a check of a module and its imports complains of, by module; those without complaints are left out."""
    complaints = {name: list(check(name, imported(path))) for name, path in MODULES.items()}
    return {name: some for name, some in complaints.items() if some}


def test_rooms_import_downwards() -> None:
    def upwards(name: str, others: frozenset[str]) -> Iterator[str]:
        if name.startswith("pplkit.") and room_of(name) in ROOMS:
            ours = (other for other in others if other.startswith("pplkit."))
            yield from (other for other in ours if ROOMS.index(room_of(other)) > ROOMS.index(room_of(name)))

    assert offenders(upwards) == {}


def test_methods_do_not_know_one_another() -> None:
    def sideways(name: str, others: frozenset[str]) -> Iterator[str]:
        for method in METHODS:
            if name.startswith(f"pplkit.models.{method}."):
                methods = tuple(f"pplkit.models.{other}" for other in METHODS if other != method)
                yield from (other for other in others if below(other, methods))
        if name.startswith("pplkit.models.layers."):
            models = (other for other in others if other.startswith("pplkit.models."))
            yield from (other for other in models if not below(other, ("pplkit.models.layers",)))

    assert offenders(sideways) == {}


def test_data_prep_imports_little_and_the_command_line_alone_imports_it() -> None:
    def across(name: str, others: frozenset[str]) -> Iterator[str]:
        if name.split(".")[0] == "data_prep":
            ours = (other for other in others if other.startswith("pplkit"))
            yield from (other for other in ours if not below(other, FOR_DATA_PREP + CROPS))
        elif room_of(name) not in ("cli", ""):  # and `pplkit.prepare` does
            yield from (other for other in others if other.split(".")[0] == "data_prep")

    assert offenders(across) == {}


def test_packages_are_imported_by_their_owners() -> None:
    def foreign(name: str, others: frozenset[str]) -> Iterator[str]:
        packages = {other.split(".")[0] for other in others}
        yield from (package for package in packages & OWNED.keys() if not below(name, OWNED[package]))
        if name.startswith("pplkit.core"):
            yield from packages & {"numpy", "torch", "matplotlib"}

    assert offenders(foreign) == {}


def test_the_engine_knows_no_method() -> None:
    methods = tuple(f"pplkit.models.{method}" for method in METHODS)

    def knowing(name: str, others: frozenset[str]) -> Iterator[str]:
        if room_of(name) == "training" and name != "pplkit.training" and not below(name, KNOW_METHODS):
            yield from (other for other in others if below(other, (*methods, *KNOW_METHODS)))

    assert offenders(knowing) == {}


@cache
def defined(path: Path) -> set[str]:
    """Names that a module defines at its top level, without those that it imports."""
    names = set()
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def test_names_are_imported_from_where_they_are_defined() -> None:
    """Nor does anything in the package import `pplkit` itself."""
    handed_on = []
    for path in (path for path in SOURCES if path.name != "__init__.py"):
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.ImportFrom) and (home := MODULES.get(node.module or "")):
                names = {alias.name for alias in node.names}
                if node.module in ("pplkit", *(f"pplkit.{room}" for room in ROOMS[:-1])):
                    handed_on += [(path, name) for name in names if f"{node.module}.{name}" not in MODULES]
                if home.name != "__init__.py":
                    handed_on += [(path, name) for name in names - defined(home)]
    assert handed_on == []


def test_imports_form_no_circle() -> None:
    named = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    graph = {name: {other for other in imported(path) if other in named} for name, path in named.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_old_module_names_lead_to_modules() -> None:
    """Who moves or removes a module corrects the table of pplkit/core/old_names.py, by which old imports still work."""
    targets = {target for name in old_names.MODULES for target in old_names.new_modules(f"pplkit.{name}")}
    assert targets and targets <= MODULES.keys()
