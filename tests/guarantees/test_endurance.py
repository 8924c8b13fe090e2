"""A training loses nothing: by signals, by a disk that is full or gone, by a second one in its folder."""

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import faulty
from trainings import Plan, assert_same_end, kill, trained

from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.core.signals import Interrupted
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.logger import Progress
from pplkit.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_EVERY_STEPS", 4)
    monkeypatch.setattr(training, "SAVE_EVERY_STEPS", 8)


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    return tiny.replace(
        steps=14, coarse_fraction=0.3, reinit_weak_links=True, weight_length=0.1, final_learning_rate=0.1
    )


@pytest.fixture(scope="module")
def undisturbed(config: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOG_EVERY_STEPS", 4)
        patch.setattr(training, "SAVE_EVERY_STEPS", 8)
        trained(config, puppets, run)
    return run


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_saves_between_rows_and_the_next_call_makes_the_same_of_it(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, before_step: Plan, number: int, name: str
) -> None:
    """Ended after step 7 and again after step 9: neither has a row, nor a checkpoint of its own."""
    run = RunFolder(tmp_path / "one")
    for step in (6, 8):
        before_step(step, kill(number))
        with pytest.raises(
            Interrupted, match=f"by {name} at step {step + 1} of 14, which is saved in .*continues"
        ) as error:
            trained(config, puppets, run.path)
        assert error.value.number == number and isinstance(error.value, KeyboardInterrupt)
        assert run.checkpoints()[-1].name == f"step-{step + 1:08d}.safetensors"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trained(config, puppets, run.path)
    assert_same_end(run.path, undisturbed)
    assert not (run.path / "notes.json").exists()


def test_a_second_ctrl_c_does_not_wait(config: Config, puppets: Dataset, tmp_path: Path, before_step: Plan) -> None:
    before_step(5, lambda: [kill(signal.SIGINT)(), kill(signal.SIGINT)()])
    with pytest.raises(KeyboardInterrupt) as error:
        trained(config, puppets, tmp_path / "one")
    assert not isinstance(error.value, Interrupted) and RunFolder(tmp_path / "one").checkpoints() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_says_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], puppets: Dataset, number: int, code: int
) -> None:
    def train(*given: Any, **options: Any) -> None:
        assert options == {"save_every": 9, "deterministic": True}
        raise Interrupted("ended at step 3.", number)

    monkeypatch.setattr("pplkit.training.train", train)
    line = ["train", str(puppets.path), "run", "--preset", "puppets", "--save-every", "9", "--deterministic"]
    assert cli.main(line) == code
    assert capsys.readouterr().err == f"pplkit: ended at step 3. To continue: {shlex.join(['pplkit', *line])}\n"


def test_a_callback_may_save_where_steps_were_not_logged(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at a row that the next call does not log, as it counts otherwise: sums since the row before are kept."""
    monkeypatch.setattr(training, "LOG_EVERY_STEPS", 7)
    run = tmp_path / "one"
    assert trained(config, puppets, run, watch=lambda progress: "stop").steps == 7
    state = read_checkpoint(RunFolder(run).checkpoints()[-1]).state
    assert state["means"]["counts"] == [0, 0, 0, 0] and state["rate"] == 1 and state["good"]
    assert trained(config, puppets, run).steps == 14


def test_an_altered_checkpoint_costs_what_came_after_the_one_before(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "one")
    wishes = {4: "save", 8: "stop"}
    trained(config, puppets, run.path, watch=lambda progress: wishes.get(progress.step))
    content = bytearray(run.checkpoints()[-1].read_bytes())
    content[len(content) // 2] ^= 16
    run.checkpoints()[-1].write_bytes(content)
    steps: list[int] = []
    trained(config, puppets, run.path, watch=lambda progress: steps.append(progress.step))
    assert steps == [8, 12, 14] and "step-00000008.safetensors cannot be read" in capsys.readouterr().err
    assert_same_end(run.path, undisturbed)


def test_a_run_in_use_is_refused_and_left_alone(config: Config, puppets: Dataset, tmp_path: Path) -> None:
    def another(progress: Progress) -> None:
        with pytest.raises(PplkitError, match=rf"one is in use \(process {os.getpid()} on .*, since .*\): wait"):
            trained(config, puppets, tmp_path / "one")

    trained(config.replace(steps=2), puppets, tmp_path / "one", watch=another)
    trained(config.replace(steps=3), puppets, tmp_path / "one")


def test_a_disk_that_fails_stops_the_run_and_spares_what_was_saved(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, before_step: Plan
) -> None:
    """Half of the row of step 12 is written."""
    run = tmp_path / "one"
    with faulty(0) as fault:
        before_step(9, lambda: setattr(fault, "at", fault.count + 2))
        with pytest.raises(PplkitError) as error:
            trained(config, puppets, run)
    assert str(error.value) == (
        f"the training stopped at step 12, as {run}/metrics.jsonl cannot be written (No space left on device): "
        f"make room there; what was saved is whole, and the same call or command continues after step 8."
    )
    trained(config, puppets, run)
    assert_same_end(run, undisturbed)


def test_what_determines_a_run_is_recorded_and_a_change_is_noted(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = RunFolder(undisturbed).read("config.json")["made_by"]
    assert {"version", "data", "data_sha256", "torch", "numpy", "python", "device", "devices", "threads"} <= set(
        made_by
    )
    assert made_by["threads"] == 1 and made_by["device"].startswith("cpu (") and made_by["deterministic"] is False
    trained(config, puppets, tmp_path / "one", watch=lambda progress: "stop" if progress.step == 4 else None)
    monkeypatch.setattr(torch, "__version__", "9.9")
    said = f"step 4: continued with torch 9.9 instead of {made_by['torch']}, so that the last digits may differ"
    assert trained(config, puppets, tmp_path / "one").notes == [said]


def test_deterministic_changes_nothing_on_a_cpu_and_ends_with_the_call(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path
) -> None:
    def watch(progress: Progress) -> None:
        assert torch.are_deterministic_algorithms_enabled()

    trained(config, puppets, tmp_path / "one", deterministic=True, watch=watch)
    assert not torch.are_deterministic_algorithms_enabled()
    assert_same_end(tmp_path / "one", undisturbed)


def test_checkpoints_come_as_often_as_wished(config: Config, puppets: Dataset, tmp_path: Path) -> None:
    seen: set[str] = set()
    run = RunFolder(tmp_path / "one")

    def watch(progress: Progress) -> None:
        seen.update(path.name[12:13] + path.name[11:12] for path in run.checkpoints())

    trained(config.replace(steps=9), puppets, run.path, save_every=3, watch=watch)
    assert {int(name[0]) for name in seen} == {3, 6, 9}
    with pytest.raises(PplkitError, match="save_every=0 is too small"):
        trained(config, puppets, run.path, save_every=0)


def test_a_summary_of_a_shorter_run_is_not_taken_for_that_of_a_longer(
    tiny: Config, puppets: Dataset, tmp_path: Path
) -> None:
    """Prolonged, and killed between the last checkpoint and the summary."""
    run = tmp_path / "one"
    trained(tiny.replace(steps=4), puppets, run)
    before = (run / "training.json").read_bytes()
    trained(tiny, puppets, run)
    (run / "training.json").write_bytes(before)
    assert trained(tiny, puppets, run).steps == 6 == PosePrior.load(run / "prior.json").made_by["step"]
