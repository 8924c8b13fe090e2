"""What tests of batches share."""

from pathlib import Path

import pytest
from batches_home import make_home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which processes of a batch find the package."""
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return make_home(tmp_path)
