"""Stages: done once, whole or not at all, and never mixed up."""

from pathlib import Path

import pytest

from pplkit.core.errors import PplkitError
from pplkit.experiments.stages import RESULT, stage


def test_a_stage_is_done_once_and_known_by_its_inputs(tmp_path: Path) -> None:
    calls = []

    def work(folder: Path) -> dict[str, float]:
        calls.append(folder)
        return {"error": 1.5}

    first = stage(tmp_path / "one", {"steps": 3}, work)
    again = stage(tmp_path / "one", {"steps": 3}, work)
    assert calls == [tmp_path / "one"] and first == again and first.numbers == {"error": 1.5}
    other = stage(tmp_path / "two", {"steps": 4}, work)
    assert other.fingerprint != first.fingerprint
    with pytest.raises(PplkitError, match=r"other settings \(steps\): give another --out"):
        stage(tmp_path / "one", {"steps": 4}, work)


def test_a_stage_that_was_killed_is_called_again_and_finds_its_files(tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, int]:
        known = (folder / "part").exists()
        (folder / "part").touch()
        if not known:
            raise KeyboardInterrupt
        return {"parts": 1}

    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "one", {}, work)
    assert not (tmp_path / "one" / RESULT).exists()
    assert stage(tmp_path / "one", {}, work).numbers == {"parts": 1}
