"""The published estimator on the engine: what it learns from, that it learns, and that runs continue."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_prep.motion_synthetic import lift_batch
from pplkit.core.errors import PplkitError
from pplkit.models.motion.estimator_config import EstimatorConfig
from pplkit.training.logger import Progress
from pplkit.training.task import Rank
from pplkit.training.tasks.estimator import EstimatorTask, load_estimator, train_estimator

TINY = EstimatorConfig(channels=8, blocks=1, steps=24, batch_size=16, learning_rate=3e-3)
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}


def test_a_window_gives_the_pose_of_its_middle_frame() -> None:
    task = EstimatorTask(TINY, lift_batch)
    task.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    keypoints, target = task.batch(0)
    assert keypoints.shape == (16, 9, 17, 2) and target.shape == (16, 1, 17, 3)
    whole = lift_batch(0, 16, 9)
    np.testing.assert_array_equal(target[:, 0].numpy(), whole.positions[:, 4])
    output = task.model(keypoints)
    assert output.pose.shape == (16, 1, 17, 3) and output.path.shape == (16, 1, 1, 3)


def test_gradients_are_clipped_network_by_network() -> None:
    task = EstimatorTask(TINY, lift_batch)
    task.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    optimizer = task.optimizer()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 5.0)
    optimizer.step()
    for group in optimizer.param_groups:
        assert float(torch.stack([p.grad.norm() for p in group["params"]]).norm()) == pytest.approx(1, rel=1e-3)


def test_it_learns_and_a_stopped_run_continues_to_the_same_bits(tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 20 else None

    whole = train_estimator(TINY, lift_batch, tmp_path / "whole", **QUIET)
    train_estimator(TINY, lift_batch, tmp_path / "parts", callback=stop, **QUIET)
    train_estimator(TINY, lift_batch, tmp_path / "parts", **QUIET)
    one, two = (load_estimator(tmp_path / name).model.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert whole is not None
    started = EstimatorTask(TINY, lift_batch, start=tmp_path / "whole")
    started.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    assert all(torch.equal(value, one[name]) for name, value in started.model.state_dict().items())


def test_other_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="no run folder"):
        load_estimator(tmp_path / "nowhere")
    with pytest.raises(PplkitError, match="channels=0"):
        EstimatorConfig(channels=0)
    with pytest.raises(PplkitError, match="positive"):
        EstimatorConfig(learning_rate=0.0)
