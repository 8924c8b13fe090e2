"""Several processes give what one gives, however they were started, and none outlives another.

They are compared in double precision: in single precision a rounding grows too much in 20 steps to tell one from
several, in one process as well (the last test). `test_launchers` compares the first steps in single precision.
"""

import importlib
import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from segments import segment_distance
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.core.signals import Interrupted
from pplkit.data.dataset import Dataset
from pplkit.geometry.coordinates import pixel_grid
from pplkit.models.layers import collectives as ranks
from pplkit.models.prior.config import Config
from pplkit.training import distributed as devices
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.distributed import fabric_for
from pplkit.training.logger import Progress
from pplkit.training.processes import spawn_workers
from pplkit.training.run_folder import RunFolder
from pplkit.training.tasks import prior as prior_task
from pplkit.training.tasks.prior import PriorTask, train

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LINK_MAP = importlib.import_module("pplkit.geometry.link_map")  # `pplkit.geometry.link_map` is the function
SECONDS = 300  # after which what hangs is ended, and the test fails
CHANGES: dict[str, dict[str, Any]] = {
    # Everything that changes while training, and what divides by a sum over the batch.
    "masked": {
        "reference": "masked", "weight_equivariance": 0.5, "max_rotation": 0.5, "max_shift": 0.1,
        "weight_separation": 0.1, "weight_length": 0.1, "connectivity_learning_rate": 5e-5,
        "connectivity_growth": 10.0, "prior_from": "used", "final_learning_rate": 0.1, "thickness_start": 0.02,
        "coarse_fraction": 0.3, "reinit_weak_links": True, "reset_dead_codes": True,
    },
    "frame": {},
    "attention": {"regression": "attention", "weight_links": 0.0, "weight_tokens": 0.0},  # half of it is not used
    "free": {"regression": "free", "prior_keypoints": "random", "weight_links": 0.0, "perceptual": "none"},
}  # fmt: skip
STEPS = {"masked": 20, "frame": 20}  # 3 for others
BROKEN = {"share_batch_norm": lambda model, device: model, "mean": lambda value: value, "total": lambda value: value}


def winners(keypoints: Tensor, pairs: Tensor, weights: Tensor, size: int, thickness: float) -> Tensor:
    """As `link_map._winners`, whose arithmetic is in single precision."""
    ends = (keypoints[:, None, pairs[part]] for part in (0, 1))
    return (segment_distance(pixel_grid(size)[:, None], *ends) / thickness - weights.log()).argmin(-1)


def double(fabric: Any, *, show: Any, jobs: dict[str, dict[str, Any]]) -> None:
    """`training._fit` for each of the jobs, in double precision; one whose name is in BROKEN does not share that."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr(LINK_MAP, "_winners", winners)
        patch.setattr(training, "LOG_EVERY_STEPS", 1)
        torch.set_default_dtype(torch.float64)
        try:
            for name, given in jobs.items():
                with pytest.MonkeyPatch.context() as other:
                    if name in BROKEN:
                        other.setattr(ranks, name, BROKEN[name])
                    training._fit(fabric, show=show, bar=False, **given)
        finally:
            torch.set_default_dtype(torch.float32)


def jobs(folder: Path, tiny: Config, data: Dataset) -> dict[str, dict[str, Any]]:
    changes = CHANGES | dict.fromkeys(BROKEN, CHANGES["masked"])
    settings = {name: tiny.replace(steps=STEPS.get(name, 3), **own) for name, own in changes.items()}
    return {name: {"task": PriorTask(own, data), "run": RunFolder(folder / name)} for name, own in settings.items()}


@pytest.fixture(scope="module")
def alone(tiny: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process gives."""
    folder = tmp_path_factory.mktemp("alone")
    fabric_for("cpu", "32-true").launch(partial(double, show=None, jobs=jobs(folder, tiny, puppets)))
    return folder


@pytest.fixture(scope="module")
def together(tiny: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes give."""
    folder = tmp_path_factory.mktemp("together")
    spawn_workers(partial(double, jobs=jobs(folder, tiny, puppets)), 2, "cpu", "32-true", None)
    return folder


def differences(one: Path, other: Path) -> dict[str, float]:
    """The largest difference of each loss over the steps, and of each tensor after the last step."""
    rows, others = (RunFolder(folder).rows("metrics.jsonl") for folder in (one, other))
    pairs = list(zip(rows, others, strict=True))
    results = {name: max(abs(a[name] - b[name]) for a, b in pairs if name in a) for name in rows[0]}
    (_, step, tensors, *_), (_, _, them, *_) = (
        read_checkpoint(RunFolder(run).checkpoints()[-1]) for run in (one, other)
    )
    assert step == len(rows) and tensors.keys() == them.keys()
    assert tensors["model.alpha"].dtype == torch.float64
    return results | {name: float((value - them[name]).abs().max()) for name, value in tensors.items()}


@pytest.mark.parametrize("name", CHANGES)
def test_two_processes_give_what_one_gives(alone: Path, together: Path, name: str) -> None:
    """Losses, weights, batch norm, the memory's counts, sums and vectors, and the optimiser."""
    result = differences(alone / name, together / name)
    assert len(RunFolder(together / name).rows("metrics.jsonl")) == STEPS.get(name, 3)
    assert {part: by for part, by in result.items() if not by < 1e-5} == {}
    assert {"loss", "model.memory.counts", "model.memory.codebook", "model.decoder.up.0.2.running_var"} < result.keys()


@pytest.mark.parametrize("name", BROKEN)
def test_the_comparison_notices_what_is_not_shared(alone: Path, together: Path, name: str) -> None:
    assert max(differences(alone / name, together / name).values()) > 1e-2


def test_what_no_loss_reaches_is_frozen(tiny: Config) -> None:
    """DDP would wait for its gradients."""
    for name, some in (("masked", set()), ("attention", {"regressor.predict.0.weight", "regressor.embed.bias"})):
        model, _ = prior_task.build(tiny.replace(**CHANGES[name]))
        before = {part: value.clone() for part, value in model.state_dict().items()}
        prior_task.freeze_unused(model)
        frozen = {part for part, value in model.named_parameters() if not value.requires_grad}
        assert some <= frozen and bool(some) == bool(frozen) and "regressor.attention.weight" not in frozen
        assert model.training and all(value.grad is None for value in model.parameters())
        assert all(torch.equal(value, before[part]) for part, value in model.state_dict().items())


def test_sharing_batch_norm_keeps_parameters_and_names(tiny: Config) -> None:
    for device in ("cpu", "cuda"):
        model, _ = prior_task.build(tiny)
        names, parameters = list(model.state_dict()), list(model.parameters())
        shared = ranks.share_batch_norm(model, torch.device(device))
        assert list(shared.state_dict()) == names
        assert all(one is other for one, other in zip(shared.parameters(), parameters, strict=True))
        assert {type(part) for part in shared.modules()} & {ranks.SharedBatchNorm, torch.nn.SyncBatchNorm}
        assert torch.nn.BatchNorm2d not in {type(part) for part in shared.modules()}


def test_batch_norm_of_one_process_is_the_plain_one() -> None:
    plain, shared = torch.nn.BatchNorm2d(3), ranks.SharedBatchNorm(3)
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain(x), shared(x)) and torch.equal(plain.running_var, shared.running_var)


def dying(fabric: Any, *, show: Any, signalled: bool, **given: Any) -> None:
    """A training whose rank 1 is killed, or fails, in its sixth step."""

    def thickness(config: Config, step: int) -> float:
        if step == 5 and fabric.global_rank == 1:
            if signalled:
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError("all of it\nis full")
        return config.thickness

    training.LOG_EVERY_STEPS = training.SAVE_EVERY_STEPS = 2
    prior_task.thickness = thickness  # type: ignore[assignment]
    training._fit(fabric, show=show, bar=False, **given)


@pytest.mark.parametrize(
    ("signalled", "message"), [(True, "killed by SIGKILL, as the system does"), (False, "MemoryError: all of it")]
)
def test_a_rank_that_dies_ends_the_others(
    tiny: Config, puppets: Dataset, tmp_path: Path, signalled: bool, message: str
) -> None:
    run = RunFolder(tmp_path / "one")
    config = tiny.replace(steps=8, weight_equivariance=0.5)
    job = partial(dying, signalled=signalled, task=PriorTask(config, puppets), run=run)
    with pytest.raises(
        PplkitError, match=rf"process 1 of 2 .* \({message}.*continues from the last checkpoint"
    ) as error:
        spawn_workers(job, 2, "cpu", "32-true", None)
    assert "\n" not in str(error.value) and multiprocessing.active_children() == []
    assert [path.name for path in run.checkpoints()] == ["step-00000002.safetensors", "step-00000004.safetensors"]
    assert train(config, puppets, run.path, device="cpu", bar=False).steps == 8
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [2, 4, 8]  # it went on after step 4


def test_the_callback_is_called_here_and_may_stop_it(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    config, run = tiny.replace(steps=60), RunFolder(tmp_path / "one")
    given: dict[str, Any] = {"device": "cpu", "devices": 2, "bar": False}
    calls: list[Progress] = []

    def watch(progress: Progress) -> str:
        calls.append(progress)
        if progress.step == 60:
            raise KeyboardInterrupt
        return "stop" if progress.step == 20 else "save"

    assert train(config, puppets, run.path, watch=watch, **given).steps == 20
    assert [path.name for path in run.checkpoints()] == ["step-00000020.safetensors"]
    assert calls[0].batch.images.shape == calls[0].output.reconstruction.shape == (2, 3, 32, 32)  # rank 0's share
    assert calls[0].model.estimate(puppets["test"].images[:3]).keypoints.shape == (3, 4, 2)
    with pytest.raises(KeyboardInterrupt):
        train(config, puppets, run.path, watch=watch, **given)
    assert multiprocessing.active_children() == [] and [progress.step for progress in calls] == [20, 40, 60]
    assert "step-00000040.safetensors" in [path.name for path in run.checkpoints()]
    train(config, puppets, tmp_path / "other", **given)
    assert run.rows("metrics.jsonl") == RunFolder(tmp_path / "other").rows("metrics.jsonl")


def signalled(fabric: Any, *, show: Any, to: str, **given: Any) -> None:
    """A training that is asked to end before its sixth step: rank 0 alone, or the process that started it."""

    def thickness(config: Config, step: int) -> float:
        if step == 5 and fabric.global_rank == 0:
            os.kill(os.getpid() if to == "rank" else os.getppid(), signal.SIGTERM)
            if to == "parent":
                time.sleep(3)
        return config.thickness

    training.LOG_EVERY_STEPS = 4
    prior_task.thickness = thickness  # type: ignore[assignment]
    training._fit(fabric, show=show, bar=False, **given)


def every_fourth(fabric: Any, *, show: Any, jobs: list[dict[str, Any]]) -> None:
    """Trainings one after the other, with a row for every four steps."""
    training.LOG_EVERY_STEPS = 4
    for given in jobs:
        training._fit(fabric, show=show, bar=False, **given)


def test_all_save_and_end_by_a_signal_and_go_on_from_there(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    """Between two rows: the sums of both ranks go on, and the metrics are those of an undisturbed run."""
    config = tiny.replace(steps=8)
    runs = {name: RunFolder(tmp_path / name) for name in ("rank", "parent", "undisturbed")}
    for to in ("rank", "parent"):
        job = partial(signalled, run=runs[to], to=to, task=PriorTask(config, puppets))
        with pytest.raises(Interrupted, match=r"by SIGTERM at step \d of 8, which is saved in .*continues") as error:
            spawn_workers(job, 2, "cpu", "32-true", None)
        assert error.value.number == signal.SIGTERM and multiprocessing.active_children() == []
        (saved,) = runs[to].checkpoints()
        state = read_checkpoint(saved).state
        assert 6 <= int(saved.name[5:13]) <= 8 and (saved.name[5:13] != "00000006" or len(state["means"]["sums"]) == 2)
    jobs = [{"task": PriorTask(config, puppets), "run": run} for run in runs.values()]
    spawn_workers(partial(every_fourth, jobs=jobs), 2, "cpu", "32-true", None)
    rows = {name: run.rows("metrics.jsonl") for name, run in runs.items()}
    assert [row["step"] for row in rows["undisturbed"]] == [4, 8]
    assert rows["rank"] == rows["parent"] == rows["undisturbed"]


def test_an_error_of_all_is_raised_once_and_as_it_is(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"no longer finite at step 20, 19 steps in a row, .*lower learning_rate"):
        train(tiny.replace(learning_rate=1e25, steps=40), puppets, tmp_path / "one", device="cpu", devices=2, bar=False)


@pytest.mark.parametrize(
    ("count", "message"), [(0, "devices=0 is too small"), (3, "batch_size=4 cannot be split over 3")]
)
def test_wrong_numbers_are_refused_at_once(
    tiny: Config, puppets: Dataset, tmp_path: Path, count: int, message: str
) -> None:
    with pytest.raises(PplkitError, match=message):
        train(tiny, puppets, tmp_path / "one", device="cpu", devices=count, bar=False)
    assert not (tmp_path / "one").exists()


def test_a_launcher_decides_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (devices.launched(), devices.world_size(3), devices.rank()) == (0, 3, 0)
    for name, value in {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NTASKS_PER_NODE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert devices.launched() == 0  # a batch script, of which there is one, without srun
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "5")
    assert (devices.launched(), devices.world_size(1), devices.world_size(4), devices.rank()) == (8, 8, 8, 5)
    with pytest.raises(PplkitError, match="devices=2, but the launcher started 4 processes on this machine: leave"):
        devices.world_size(2)
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert (devices.launched(), devices.rank()) == (2, 1)  # torchrun inside of a SLURM job


def test_in_single_precision_a_rounding_grows_too_much(
    tiny: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = prior_task.build_model

    def rounded(config: Config) -> Any:
        model = build(config)
        for value in model.parameters():
            value.data *= 1 + 1e-7
        return model

    config = tiny.replace(steps=20, **CHANGES["frame"])
    monkeypatch.setattr(training, "LOG_EVERY_STEPS", 1)
    train(config, puppets, tmp_path / "one", device="cpu", bar=False)
    monkeypatch.setattr(prior_task, "build_model", rounded)
    train(config, puppets, tmp_path / "other", device="cpu", bar=False)
    rows, others = (RunFolder(tmp_path / name).rows("metrics.jsonl") for name in ("one", "other"))
    apart = [abs(a["loss"] - b["loss"]) for a, b in zip(rows, others, strict=True)]
    assert apart[0] < 1e-5 < max(apart)
