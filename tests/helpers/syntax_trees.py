"""The files of the project as syntax trees, each parsed once."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("pplkit/**/*.py"), *ROOT.glob("data_prep/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
