"""How far a run is: notebooks, steps and the time left."""

import time
from pathlib import Path
from typing import Any

import pytest

from pplkit.core.files import write_json
from pplkit.experiments import run_progress
from pplkit.experiments.run_progress import RunProgress
from pplkit.training.logger import PROGRESS

NOTEBOOKS = ["01_data_preparation", "02_training", "03_prior_distillation", "04_evaluation"]
COMPUTING = {"text": "computing features", "seconds_left": None, "images_per_second": 0.0, "features_per_second": None}
TRAINING = {"text": "step 320 of 340", "seconds_left": 120.0, "images_per_second": 10.0, "features_per_second": None}


def in_training(run: Path, monkeypatch: pytest.MonkeyPatch) -> RunProgress:
    """Of a run whose notebook 01 has taken 10 s, with 278 images for training and 15 for the test."""
    counts = {"train": 278, "test": 15}
    monkeypatch.setattr(run_progress, "read_description", lambda path: (None, counts, {}))
    progress = RunProgress(run, NOTEBOOKS, run)
    progress.begin(NOTEBOOKS[0])
    progress.began -= 10
    progress.begin(NOTEBOOKS[1])
    progress.line.due = 0
    return progress


@pytest.mark.parametrize(
    ("state", "training", "evaluation"),
    [
        # 120 + 15 s, and 20 + 278 / 60 and 15 + 4 * 15 / 60 s of notebooks 03 and 04
        ({}, "; about 3 min left of the whole run", ", about 20 s left"),
        ({"images_per_second": 0.1}, "; about 12 min left of the whole run", ", about 2 min left"),
        # A frozen backbone passes an image a second, which the training with its features does not.
        ({"features_per_second": 1.0}, "; about 8 min left of the whole run", ", about 80 s left"),
        ({"seconds_left": None}, "", ", about 20 s left"),
    ],
)
def test_the_time_left_covers_the_notebooks_that_remain(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: dict[str, Any],
    training: str,
    evaluation: str,
) -> None:
    progress = in_training(tmp_path, monkeypatch)
    progress._show(TRAINING | state)
    assert capsys.readouterr().out.splitlines()[-1][10:] == f"step 320 of 340{training}"
    progress.begin("04_evaluation")
    assert capsys.readouterr().out.splitlines()[-1][10:] == f"[4 of 4] 04_evaluation{evaluation}"


def test_nothing_is_said_of_the_whole_run_before_the_speed_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = in_training(tmp_path, monkeypatch)
    progress._show(COMPUTING)
    assert capsys.readouterr().out.splitlines()[-1][10:] == "computing features"
    progress.first_seconds, progress.line.due = 0.0, 0
    progress._show(TRAINING)  # without notebook 01 the time of a kernel's start is not known either
    assert capsys.readouterr().out.splitlines()[-1][10:] == "step 320 of 340"


def test_the_file_of_the_training_is_shown_but_not_one_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_progress, "LOOK_EVERY_SECONDS", 0.01)
    write_json(tmp_path / PROGRESS, TRAINING)
    with RunProgress(tmp_path, NOTEBOOKS, tmp_path) as progress:
        progress.line.due = 0
        progress.begin("02_training")
        time.sleep(0.05)
        write_json(tmp_path / PROGRESS, COMPUTING)
        time.sleep(0.2)
    assert [line[10:] for line in capsys.readouterr().out.splitlines()] == [
        "[2 of 4] 02_training",
        "computing features",
    ]
