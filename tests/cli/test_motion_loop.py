"""`pplkit motion-loop`: a plan in, a table out."""

from pathlib import Path

import pytest

from pplkit import cli


def test_a_plan_of_no_rounds_trains_and_scores_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
rounds: 0
clips: {count: 2, seconds: 0.5}
start: {steps: 2}
estimator: {width: 24, depth: 1, heads: 2, batch_size: 4, warmup_steps: 1}
test: {count: 3, seconds: 0.5}
"""
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["motion-loop", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "| 0 | start |" in printed and "loop.json" in printed


def test_a_wrong_plan_gives_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text("round: 1\n", encoding="utf-8")
    assert cli.main(["motion-loop", str(tmp_path / "plan.yaml")]) == 2
    error = capsys.readouterr().err
    assert "'round' is unknown" in error and error.count("\n") == 1
