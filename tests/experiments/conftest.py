"""What tests of batches share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from batches_home import make_home

from pplkit.experiments.executors import Work
from pplkit.experiments.plan import Plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which processes of a batch find the package."""
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return make_home(tmp_path)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a batch one after the other in this process, which is quicker; test_executors starts others."""

    def execute(plan: Plan, work: Work, tasks: Mapping[str, Any], cluster: str, ended: Callable[..., None]) -> None:
        for name, task in tasks.items():
            ended(name, work(task, {"OMP_NUM_THREADS": "1"}))

    monkeypatch.setattr("pplkit.experiments.batch.execute", execute)
