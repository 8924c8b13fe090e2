"""House rules that a program can check: docstrings, sizes, the shape of notebooks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("pplkit/**/*.py"), *ROOT.glob("data_prep/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
every_file = pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
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


@every_source
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path.name} does not say what it is for"
    assert list(undocumented(tree, path.stem)) == []


@every_file
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, FUNCTIONS)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert page.name != "README.md" or local
    assert [link for link in local if not (page.parent / link.split("#")[0]).exists()] == []


def test_the_readme_shows_before_it_tells() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1000
    assert text.index("![") < text.index("## Start")


def test_every_page_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent == ROOT / "docs" and f"docs/{page.name}" not in text] == []
