"""Short trainings that something happens to, for tests of what comes of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pplkit.data.dataset import Dataset
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.distributed import fabric_for
from pplkit.training.logger import Result
from pplkit.training.run_folder import RunFolder
from pplkit.training.step import Step
from pplkit.training.tasks.prior import PriorTask, build_model, train

Act = Callable[[], object]
Plan = Callable[[int, Act], None]


def trained(config: Config, data: Dataset, run: Path, **given: Any) -> Result:
    return train(config, data, run, device="cpu", bar=False, **given)


def prior_step(config: Config, features: PerceptualFeatures | None, device: str = "cpu", fabric: Any = None) -> Step:
    """A step of a model and optimizer made for it."""
    fabric = fabric or fabric_for(device, config.precision)
    task = PriorTask(config)
    task.model, task.features = build_model(config), features
    return Step(fabric, task, *fabric.setup(task.model, task.optimizer()))


def kill(number: int) -> Act:
    return lambda: os.kill(os.getpid(), number)


def assert_same_end(run: Path, other: Path) -> None:
    """The same lines, weights and prior, to the last bit."""
    for name in ("metrics.jsonl", "prior_history.jsonl"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    ours, theirs = (read_checkpoint(RunFolder(folder).checkpoints()[-1]) for folder in (run, other))
    assert ours.step == theirs.step and ours.tensors.keys() == theirs.tensors.keys()
    assert [name for name, value in ours.tensors.items() if not torch.equal(value, theirs.tensors[name])] == []
    priors = [PosePrior.load(folder / "prior.json") for folder in (run, other)]
    assert (priors[0].keypoints == priors[1].keypoints).all()
