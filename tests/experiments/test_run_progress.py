"""How far a run is: notebooks, steps and the time left."""

import json
from pathlib import Path

import pytest

from pplkit.experiments.run_progress import RunProgress

NOTEBOOKS = ["02_training", "03_prior_distillation", "04_evaluation"]


def test_the_time_left_covers_the_notebooks_that_remain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress(tmp_path, NOTEBOOKS)
    (tmp_path / "config.json").write_text(json.dumps({"config": {"steps": 100, "batch_size": 32}}), encoding="utf8")
    progress.line.due = 0
    progress.begin("02_training")
    progress._show({"step": 20, "loss": 3.0}, 0, 0.0)
    progress.line.due = 0
    progress._show({"step": 40, "loss": 2.0}, 20, 40.0)  # half a step a second
    begun, first, shown = capsys.readouterr().out.splitlines()
    assert first.endswith("  step 20 of 100 (20 %), loss 3.000")
    assert begun.endswith("  [1 of 3] 02_training")
    # 120 s of training, 15 s, and 12 + 300 / 16 and 10 + 800 / 16 s of notebooks 03 and 04
    assert shown.endswith(
        "  step 40 of 100 (40 %), about 2 min left, loss 2.000, 16 images/s; about 4 min left of the whole run"
    )
    progress.begin("04_evaluation")
    assert capsys.readouterr().out.splitlines()[0].endswith("  [3 of 3] 04_evaluation, about 60 s left")


def test_a_smoke_run_looks_at_few_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "one-smoke"
    run.mkdir()
    (run / "training.json").write_text(json.dumps({"images_per_second": 0.1}), encoding="utf8")
    RunProgress(run, NOTEBOOKS).begin("04_evaluation")
    assert capsys.readouterr().out.rstrip().endswith("04_evaluation, about 10 s left")
