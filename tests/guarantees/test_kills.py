"""`tests/helpers/kills.py`, with few kills and few faults; the command without this test does a hundred."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_what_is_killed_or_fails_comes_to_what_it_would_have_come_to() -> None:
    command = [sys.executable, str(ROOT / "tests/helpers/kills.py"), "4", "--faults", "5", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train: 4 of 4 ends are that of the undisturbed one" in done.stdout
    assert "prepare: 1 of 1 " in done.stdout and "teach: 1 of 1 " in done.stdout
    assert "faults: 0 of 15 ends differ" in done.stdout
