"""What a training says of its progress, on the terminal and in the file that `pplkit run` reads."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pplkit.core.files import read_json
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training import logger as logging
from pplkit.training.logger import PROGRESS, TrainingLogger
from pplkit.training.run_folder import RunFolder
from pplkit.training.task import FirstWork, Rank
from pplkit.training.tasks.prior import PriorTask


def test_the_speed_is_that_of_this_call_without_the_work_of_its_first_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of 300 steps goes on to 340; of its 220 s until step 320 all but 20 are spent on features."""
    monkeypatch.setattr(logging, "PROGRESS_SECONDS", 0)
    work = FirstWork(50.0, 150.0, 15.0, "computing features: 25 % (278 images x 12 views)")
    config = SimpleNamespace(steps=340, batch_size=8, precision="32-true")
    task: Any = SimpleNamespace(config=config, history="", first_work=lambda: work, first_search=lambda: "looking")
    optimizer: Any = None
    logger = TrainingLogger(RunFolder(tmp_path), task, optimizer, 300, {}, None, bar=False)
    assert not (tmp_path / PROGRESS).exists()
    logger.show_first_search()
    assert read_json(tmp_path / PROGRESS, "")["text"] == "looking"

    logger.show_first_work(305)
    text = "computing features: 25 % (278 images x 12 views), about 2 min left; step 305 of 340"
    assert read_json(tmp_path / PROGRESS, "")["text"] == text

    work = work._replace(seconds=200.0, seconds_left=0.0)
    logger.began = time.perf_counter() - 220
    logger.log(320, {"loss": 1.5}, 20)
    logger.show_first_work(321)  # nothing, as that is done
    state = read_json(tmp_path / PROGRESS, "")
    assert state["text"] == "step 320 of 340 (94 %), about 20 s left, loss 1.500, 8 images/s"
    assert state["seconds_left"] == pytest.approx(20, rel=0.01) and state["features_per_second"] == 15
    logger.close()
    assert not (tmp_path / PROGRESS).exists()


def test_features_of_a_frozen_backbone_are_work_of_the_first_steps(tiny: Config, puppets: Dataset) -> None:
    """As much as this training needs: two steps of four of the images, of which the second adds the last ones."""
    settings = {"backbone": "random", "backbone_views": 3, "reference": "masked", "mask_ratio": 0.6}
    task = PriorTask(tiny.replace(**settings, steps=2, batch_size=4), puppets)
    task.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    assert task.first_search() == "looking for object and parts in 20 images"
    task.begin(Rank(torch.device("cpu"), 0, 1, "32-true"), resumed=False)
    assert task.first_work() is None
    task.batch(0)
    work = task.first_work()
    assert work and work.text == "computing features: 50 % (8 images x 3 views)"
    assert work.seconds_left == pytest.approx(work.seconds)
    assert work.images_per_second == pytest.approx(4 * 3 / work.seconds)
    task.batch(1)
    task.batch(1)  # costs nothing again
    again = task.first_work()
    assert again and again.seconds_left == 0 and again.images_per_second == pytest.approx(8 * 3 / again.seconds)
    task.end()
