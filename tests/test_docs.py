"""House rules that a program can check: docstrings, sizes, the shape of notebooks."""

import ast
import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import nbformat
import papermill
import pytest
import yaml
from syntax_trees import ROOT, SOURCES, TESTS, syntax_tree

import pplkit
from pplkit.models.lifting.config import PRESETS as LIFTING_PRESETS
from pplkit.models.lifting.config import LiftingConfig

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
NOTEBOOKS = sorted(ROOT.glob("notebooks/**/*.ipynb"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def undocumented(node: ast.AST, prefix: str) -> Iterator[str]:
    """Public classes, functions and methods without a docstring; what is inside a function is not public."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)) and not child.name.startswith("_"):
            name = f"{prefix}.{child.name}"
            overloaded = any("overload" in ast.unparse(d) or "setter" in ast.unparse(d) for d in child.decorator_list)
            if not overloaded and not (ast.get_docstring(child) or "").strip():
                yield name
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, name)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def parameters_cell(path: Path) -> str:
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    return str(cell.source)


def test_public_names_have_docstrings() -> None:
    assert [path for path in SOURCES if not ast.get_docstring(syntax_tree(path))] == []
    assert [name for path in SOURCES for name in undocumented(syntax_tree(path), path.stem)] == []


def test_files_and_functions_stay_small() -> None:
    """A longer file has two nouns."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES + TESTS}
    assert {path: length for path, length in lengths.items() if length > 400} == {}
    functions = {
        (path, node.name): (node.end_lineno or 0) - node.lineno + 1
        for path in lengths
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, FUNCTIONS)
    }
    assert {name: length for name, length in functions.items() if length > 60} == {}


@every_notebook
def test_notebook_cells_only_call(path: Path) -> None:
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if not line.startswith(("import ", "from "))]
        assert len(lines) <= 15, cell.source
        # Lines for Jupyter itself (%matplotlib inline) are not Python.
        python = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))
        defined = [n for n in ast.walk(ast.parse(python)) if isinstance(n, (*FUNCTIONS, ast.ClassDef))]
        assert defined == [], cell.source


@every_notebook
def test_notebook_has_a_text_before_each_step(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    for before, cell in zip(cells, cells[1:], strict=False):
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", []):
            assert before.cell_type == "markdown", f"no text before: {cell.source}"
            assert before.source.strip()


@every_notebook
def test_notebook_parameters_are_flat_and_explained(path: Path) -> None:
    source = parameters_cell(path)
    for line in source.splitlines():
        (statement,) = ast.parse(line).body  # one whole assignment a line
        assert isinstance(statement, ast.Assign), line
        ast.literal_eval(statement.value)
        comment = line.encode()[statement.end_col_offset :].decode().strip()
        assert comment.startswith("#") and len(comment) > 2, f"no comment: {line}"
    names = [target.id for line in ast.parse(source).body for target in line.targets]  # type: ignore[attr-defined]
    # papermill overlooks a parameter whose comment contains "=".
    assert sorted(papermill.inspect_notebook(path)) == sorted(names)


@every_notebook
def test_notebook_file_is_small_and_names_its_kernel(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"


def test_the_checks_can_fail() -> None:
    tree = ast.parse("class A:\n    def b(self): ...\n    def _c(self): ...\n")
    assert list(undocumented(tree, "m")) == ["m.A", "m.A.b"]


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert page.name != "README.md" or local
    assert [link for link in local if not (page.parent / link.split("#")[0]).exists()] == []


@every_page
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(
        r"\b(?:pplkit|data_prep|tests|docs|notebooks)/[\w/.-]+\.(?:py|md|ipynb|png|js)\b", page.read_text("utf-8")
    )
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def missing(name: str) -> bool:
    """Whether `pplkit.x.y` is neither a module nor something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(value, part):
                return True
            value = getattr(value, part)
        return False
    return True


@every_page
def test_code_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:pplkit|data_prep)(?:\.\w+)+)", page.read_text(encoding="utf-8"))
    named += re.findall(r"python -m ((?:pplkit|data_prep)\.[a-z]\w+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if missing(name)] == []


def test_python_on_the_pages_uses_names_that_are_there() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    tree = ast.parse("\n".join(blocks))
    named = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    ours = {name for name in named if re.fullmatch(r"pplkit(\.\w+)+", name)}
    assert len(ours) > 3
    assert {name for name in ours if missing(name)} == set()


@pytest.mark.parametrize("script", sorted(ROOT.glob("docs/*.py")), ids=lambda script: script.name)
def test_what_the_scripts_of_docs_import_is_there(script: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(script.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    ours = [name for name in names if name.startswith(("pplkit", "data_prep"))]
    assert ours
    assert [name for name in ours if missing(name)] == []


def shell_lines(program: str) -> list[list[str]]:
    """The words of the lines in blocks of code that call `program`."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks if not language for line in block.splitlines() if program in line]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[line.index(program) + 1 :] for line in words if program in line]


def test_commands_that_pages_show_can_be_typed() -> None:
    commands, lines = docs_build().commands().choices, shell_lines("pplkit")
    for name, *rest in lines:
        commands[name].parse_args(rest)
    assert {name for name, *_ in lines} > {"run", "train", "estimate", "track", "export"}
    with pytest.raises(SystemExit):
        commands["track"].parse_args(["runs/mine", "clip.mp4", "--to", "tracks.csv"])


def test_commands_that_pages_name_are_there() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"`pplkit ([a-z-]+)", text)) <= set(docs_build().commands().choices)


def test_notebook_parameters_that_pages_pass_are_there() -> None:
    lines = shell_lines("papermill")
    for notebook, *words in lines:
        passed = {name for option, name in pairwise(words) if option == "-p"}
        passed |= {name for option, text in pairwise(words) if option == "-y" for name in yaml.safe_load(text)}
        assert passed
        assert passed <= set(papermill.inspect_notebook(ROOT / notebook))
    assert lines


def test_settings_that_pages_name_are_there() -> None:
    text = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("presets.md", "photographs.md"))
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:=[^`]*)?`", text))
    assert named <= {field.name for field in dataclasses.fields(pplkit.Config)}
    assert len(named) > 20


def docs_build() -> ModuleType:
    """docs/build.py as a module; it needs none of the packages that draw the site."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_has_every_page_command_setting_and_module(tmp_path: Path) -> None:
    build = docs_build()
    build.gather(tmp_path)
    settings = (tmp_path / "settings.md").read_text(encoding="utf-8")
    fields = dataclasses.fields(pplkit.Config)
    assert [field.name for field in fields if f"| `{field.name}` | `{field.default!r}` |" not in settings] == []
    assert [name for _, name, comment in build.config.Config.explanations() if not comment.strip()] == []
    lifting = (tmp_path / "lifting_settings.md").read_text(encoding="utf-8")
    assert [
        f.name for f in dataclasses.fields(LiftingConfig) if f"| `{f.name}` | `{f.default!r}` |" not in lifting
    ] == []
    assert [name for _, name, comment in LiftingConfig.explanations() if not comment.strip()] == []
    assert [name for name in LIFTING_PRESETS if f"### {name}\n" not in lifting] == []
    api = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("api/*.md"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem[0] != "_"]
    assert [name for name in modules if f".. automodule:: {name}\n" not in api] == []
    listed = [page for pages in build.CONTENTS.values() for page in pages]
    assert [page for page in listed if not list(tmp_path.glob(f"{page}.*"))] == []
    assert [path.stem for path in tmp_path.glob("docs/*.md") if f"docs/{path.stem}" not in listed] == []
    assert "`--out` `FILE`" in (tmp_path / "commands" / "track.md").read_text(encoding="utf-8")


def test_broken_links_of_the_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html#y">1</a><a href="b.html#z">2</a><img src="no.png">')
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.html?q#x">3</a><a href="#y">4</a><a href="https://z">5</a>')
    assert docs_build().broken_links(tmp_path) == ["a.html: b.html#z", "a.html: no.png"]


def test_every_image_of_docs_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    images = [path.name for ending in ("png", "webp") for path in ROOT.glob(f"docs/*.{ending}")]
    assert [name for name in images if f"{name})" not in text] == []


def test_the_readme_shows_before_it_tells() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1000
    assert text.index("](docs/") < text.index("## Start")


def test_every_page_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent == ROOT / "docs" and f"docs/{page.name}" not in text] == []
