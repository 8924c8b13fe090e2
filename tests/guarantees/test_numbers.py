"""Numbers that are not finite, a device that is too small: what a training skips, repeats and notes."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trainings import Plan, assert_same_end, kill, trained

from pplkit.core.errors import Diverged, PplkitError
from pplkit.core.signals import Interrupted
from pplkit.data.dataset import Dataset
from pplkit.evaluation.report import evaluation_report
from pplkit.experiments.notebooks import numbers
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.step import Step, StepResult
from pplkit.training.tasks import prior as prior_task


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    return tiny.replace(steps=14)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_EVERY_STEPS", 4)
    monkeypatch.setattr(training, "SAVE_EVERY_STEPS", 8)


class Spoilt(Step):
    """Steps of which some, by what `spoils` says of model and how many came before, are not finite."""

    spoils: Callable[[Step, int], bool]
    calls = 0

    def __call__(self, batch: Any, share: float = 0.0) -> StepResult:
        Spoilt.calls += 1
        if Spoilt.spoils(self, Spoilt.calls - 1):
            batch = prior_task.Batch(batch.images * torch.nan, batch.reference, batch.target)
        return super().__call__(batch, share)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> type[Spoilt]:
    monkeypatch.setattr(training, "Step", Spoilt)
    monkeypatch.setattr(Spoilt, "calls", 0)
    return Spoilt


def rows(run: Path) -> list[tuple[int, float]]:
    return [(int(row["step"]), row.get("skipped", 0)) for row in RunFolder(run).rows("metrics.jsonl")]


def test_steps_that_are_not_finite_are_skipped_and_counted(
    config: Config, puppets: Dataset, tmp_path: Path, spoilt: type[Spoilt]
) -> None:
    spoilt.spoils = staticmethod(lambda step, number: number in (1, 5, 6, 8, 9, 10, 11))  # type: ignore[assignment]
    trained(config, puppets, tmp_path / "one")
    assert rows(tmp_path / "one") == [(4, 1), (8, 2), (14, 4)]  # of the four before step 12 there is nothing to log
    assert all(torch.isfinite(value).all() for value in load(tmp_path / "one").state_dict().values())
    results = [json.dumps(row) for row in RunFolder(tmp_path / "one").rows("metrics.jsonl")]
    assert not any("NaN" in row for row in results) and not (tmp_path / "one/notes.json").exists()


def test_skipped_steps_and_a_kill_give_the_same(
    config: Config, puppets: Dataset, tmp_path: Path, spoilt: type[Spoilt], before_step: Plan
) -> None:
    """The sums and the count of steps skipped in a row go on in the next call."""
    spoilt.spoils = staticmethod(lambda step, number: number in (4, 5, 6))  # type: ignore[assignment]
    trained(config, puppets, tmp_path / "one")
    spoilt.calls = 0
    before_step(5, kill(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trained(config, puppets, tmp_path / "other")
    state = read_checkpoint(RunFolder(tmp_path / "other").checkpoints()[-1]).state
    assert not state["good"] and state["means"]["counts"] == [2, 2, 2, 2]
    trained(config, puppets, tmp_path / "other")
    assert rows(tmp_path / "other") == [(4, 0), (8, 3), (12, 0), (14, 0)]
    assert_same_end(tmp_path / "other", tmp_path / "one")


def too_fast(step: Step, number: int) -> bool:
    """From the tenth step on, with the whole learning rate."""
    return number >= 10 and step.guard.optimizer.param_groups[0]["lr"] > 0.5 * step.task.config.learning_rate


def test_after_many_in_a_row_it_goes_back_once_with_less_of_the_learning_rate(
    config: Config, puppets: Dataset, tmp_path: Path, spoilt: type[Spoilt], before_step: Plan
) -> None:
    longer, run = config.replace(steps=24), RunFolder(tmp_path / "one")
    spoilt.spoils = staticmethod(too_fast)  # type: ignore[assignment]
    result = trained(longer, puppets, run.path)
    assert rows(run.path) == [(step, 0) for step in (4, 8, 12, 16, 20, 24)]
    note = "the loss or its gradients were no longer finite at step 16, 6 steps in a row: back to step 8, with 0.3 of "
    assert result.notes == run.read("notes.json")["notes"] == [f"{note}the learning rate"]
    # A kill later on: the next call goes on with the lower rate, and comes to the same.
    for step in (18, 22):
        before_step(step, kill(signal.SIGTERM))
        spoilt.calls = 0
        with pytest.raises(Interrupted):
            trained(longer, puppets, tmp_path / "other")
    trained(longer, puppets, tmp_path / "other")
    assert_same_end(tmp_path / "other", run.path)
    assert RunFolder(tmp_path / "other").read("notes.json")["notes"] == result.notes


def assert_usable(run: Path, data: Dataset) -> None:
    """Checkpoint, model, its poses and its evaluation are of finite numbers."""
    result = read_checkpoint(RunFolder(run).checkpoints()[-1])
    assert all(torch.isfinite(value).all() for value in result.tensors.values())
    model = load(run)
    poses = model.estimate(np.asarray(data["test"].images))
    assert poses.keypoints.isfinite().all() and poses.confidence.isfinite().all()
    report = evaluation_report(model, data)
    assert all(math.isfinite(value) for value in numbers(report).values())


def test_the_last_steps_may_be_left_out(
    config: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_step: Plan
) -> None:
    """Fewer than the patience: the run ends with what the last finite step made."""

    def spoilt_losses(*given: Any) -> Any:
        total, parts = losses(*given)
        return total * torch.nan, parts

    before_step(11, lambda: monkeypatch.setattr(prior_task, "losses", spoilt_losses))
    result = trained(config, puppets, tmp_path / "one")
    assert result.steps == 14 and not result.notes
    assert rows(tmp_path / "one")[-1] == (12, 1)
    assert_usable(tmp_path / "one", puppets)


@pytest.mark.parametrize(("at", "back"), [(7, 0), (11, 8), (13, 8)])
def test_weights_that_are_lost_are_neither_the_end_nor_what_a_training_goes_back_to(
    at: int, back: int, config: Config, puppets: Dataset, tmp_path: Path, spoilt: type[Spoilt]
) -> None:
    """They are finite and do not paint: at step 8 a checkpoint is due, and the last steps are too few to be counted."""

    def lost(step: Step, number: int) -> bool:
        for group in step.guard.optimizer.param_groups if number == at else ():
            group["lr"] = 1e38  # the step itself is finite
        return False

    spoilt.spoils = staticmethod(lost)  # type: ignore[assignment]
    result = trained(config, puppets, tmp_path / "one")
    assert len(result.notes) == 1 and f"back to step {back}, with 0.3 of the learning rate" in result.notes[0]
    assert_usable(tmp_path / "one", puppets)


def test_a_loss_that_stays_not_finite_ends_the_run_and_keeps_its_state(
    config: Config, puppets: Dataset, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "one")
    for _ in range(2):  # called again it says the same
        with pytest.raises(
            Diverged, match=r"no longer finite at step 8, 7 steps in a row, with 0.3 of .*lower learning"
        ) as error:
            trained(config.replace(learning_rate=1e25, steps=20), puppets, run.path)
        assert "\n" not in str(error.value)
    assert [path.name for path in run.checkpoints()] == ["step-00000000.safetensors"]  # with the lower learning rate
    state = load_file(run.path / "diverged.safetensors")
    assert state["model.alpha"].abs() > 1e20 and "optimiser.exp_avg.alpha" in state


def test_a_device_that_is_too_small_takes_parts_and_says_so(
    config: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_step: Plan
) -> None:
    forward = prior_task.PosePriorLearner.forward

    def narrow(self: Any, images: Any, *others: Any) -> Any:
        if len(images) > 2 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, images, *others)

    before_step(5, lambda: monkeypatch.setattr(prior_task.PosePriorLearner, "forward", narrow))
    result = trained(config, puppets, tmp_path / "one")
    assert result.notes == ["step 6: out of memory on cpu, so that batches are done in 2 parts from here on"]
    monkeypatch.setattr(prior_task.PosePriorLearner, "forward", forward)
    before_step(5, lambda: monkeypatch.setattr(prior_task.PosePriorLearner, "forward", narrow))
    before_step(9, kill(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trained(config, puppets, tmp_path / "other")
    monkeypatch.setattr(prior_task.PosePriorLearner, "forward", forward)  # room again: it stays with the parts
    trained(config, puppets, tmp_path / "other")
    assert_same_end(tmp_path / "other", tmp_path / "one")


def test_a_device_without_room_for_the_model_is_named(
    config: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(config: Config) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB\nand more")

    monkeypatch.setattr(prior_task, "build_model", full)
    with pytest.raises(
        PplkitError, match=r"cpu has too little memory for the model \(CUDA out of memory.*GiB\): end what"
    ):
        trained(config, puppets, tmp_path / "one")


def test_an_operation_that_is_refused_is_named(
    config: Config, puppets: Dataset, tmp_path: Path, before_step: Plan
) -> None:
    def refused() -> None:
        raise RuntimeError(
            "grid_sampler_2d_backward_cuda does not have a deterministic implementation, but you set\nmore"
        )

    before_step(1, refused)
    with pytest.raises(
        PplkitError, match=r"deterministic=True is not available on cpu.* \(grid_sampler.*\): leave it out"
    ):
        trained(config, puppets, tmp_path / "one", deterministic=True)
