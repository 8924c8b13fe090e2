"""Exercises of the course: tags as nbgrader reads them, answers that pass, and blanks that do not."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
from nbformat import NotebookNode

EXERCISES = sorted((Path(__file__).resolve().parents[2] / "notebooks" / "exercises").glob("*.ipynb"))
BOOLEANS = ("grade", "locked", "solution", "task")
# Version 3 of nbgrader's metadata of a cell, as its contributors' guide describes it.
SCHEMA = {
    "type": "object",
    "properties": {
        **{name: {"type": "boolean"} for name in BOOLEANS},
        "schema_version": {"enum": [3]},
        "grade_id": {"type": "string", "pattern": r"^[a-zA-Z0-9_\-]+$"},
        "points": {"type": "number", "minimum": 0},
    },
    "required": ["schema_version", "grade_id", *BOOLEANS],
    "additionalProperties": False,
}
BLANK = "raise NotImplementedError()"  # what nbgrader puts in the place of an answer
ANSWER = re.compile(r"^### BEGIN SOLUTION\n.*?^### END SOLUTION$", re.DOTALL | re.MULTILINE)

every_exercise = pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)


def tagged(path: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if "nbgrader" in cell.metadata]


def failures(path: Path, blank: str | None = None) -> list[str]:
    """The ids of cells that raise when the notebook is run from top to bottom; `blank` is the answer left out."""
    names: dict[str, Any] = {}
    failed = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "parameters")
        source = ANSWER.sub(BLANK, cell.source) if name == blank else cell.source
        try:
            exec(source, names)
        except Exception:
            failed.append(name)
    return failed


def test_there_are_exercises() -> None:
    assert [path.stem[0] for path in EXERCISES] == ["a", "b"]


@every_exercise
def test_tags_are_those_of_nbgrader(path: Path) -> None:
    cells = tagged(path)
    about = [dict(cell.metadata["nbgrader"]) for cell in cells]
    for one, cell in zip(about, cells, strict=True):
        jsonschema.validate(one, SCHEMA)
        assert cell.cell_type == "code" and ("points" in one) == one["grade"]
        assert one["solution"] == bool(ANSWER.search(cell.source)) and one["locked"] != one["solution"]
        assert len(ANSWER.findall(cell.source)) <= 1 and "assert" in cell.source or not one["grade"]
    names = [one["grade_id"] for one in about]
    assert len(set(names)) == len(names)
    answers = [name for name, one in zip(names, about, strict=True) if one["solution"]]
    assert [name for name, one in zip(names, about, strict=True) if one["grade"]] == [f"{a}-check" for a in answers]
    assert sum(one.get("points", 0) for one in about) == 10
    text = nbformat.read(path, as_version=4).cells[0].source
    assert "10 points" in text


@every_exercise
def test_answers_pass_and_leave_nothing_behind(path: Path) -> None:
    assert failures(path) == []
    assert [cell for cell in tagged(path) if cell.outputs or cell.execution_count] == []


@every_exercise
def test_a_blank_fails_its_check(path: Path) -> None:
    for answer in (
        cell.metadata["nbgrader"]["grade_id"] for cell in tagged(path) if cell.metadata["nbgrader"]["solution"]
    ):
        failed = failures(path, answer)
        assert {answer, f"{answer}-check"} <= set(failed), answer
