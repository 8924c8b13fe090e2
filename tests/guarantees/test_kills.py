"""Killed at any moment, or at any change of a file, a training comes to what it would have come to, to the last bit."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from faults import CODE, DIES, faulty
from safetensors.torch import load_file
from trainings import assert_same_end, trained

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.tasks.completer import complete

OWN_PROCESS = "PPLKIT_KILLS_IN_OWN_PROCESS"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")]
# Only a process without other threads can fork those that work.
in_own_process = pytest.mark.skipif(OWN_PROCESS not in os.environ, reason="runs within test_in_a_process_of_its_own")
KILLS = int(os.environ.get("PPLKIT_KILLS", "3"))
REFUSED = 3  # exit code of a process that ends with a PplkitError


def start(function: Callable[[], object], log: Path) -> int:
    """The id of a new process, which has imported everything already, that calls a function."""
    if process := os.fork():
        return process
    code = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1), os.dup2(handle, 2)
        function()
        code = 0
    except PplkitError as error:
        print(error, file=sys.stderr, flush=True)
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def exit_code(process: int) -> int:
    """The exit code of a process, once it has ended; that of a killed one is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def check_readable(run: Path) -> None:
    """Whatever moment a process died at, all that has its final name is whole."""
    for path in run.rglob("*"):
        if path.suffix == ".safetensors" and path.parent.name == "checkpoints":
            read_checkpoint(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    more = {"weight_length": 0.1, "final_learning_rate": 0.1, "coarse_fraction": 0.3, "reinit_weak_links": True}
    return tiny.replace(steps=20, thickness_start=0.02, **more)


@pytest.mark.skipif(OWN_PROCESS in os.environ, reason="is that process")
def test_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    environment = {**os.environ, OWN_PROCESS: "1", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


@in_own_process
def test_killed_at_any_moment(config: Config, puppets: Dataset, tmp_path: Path) -> None:
    train = partial(trained, config, puppets, save_every=5)
    begun = time.monotonic()
    assert exit_code(start(partial(train, tmp_path / "undisturbed"), tmp_path / "log")) == 0
    seconds, chance, kills = time.monotonic() - begun, random.Random(0), 0
    while kills < KILLS:
        run = tmp_path / f"run-{kills}"
        for _ in range(chance.choice((1, 2))):
            process = start(partial(train, run), tmp_path / "log")
            end, writing = time.monotonic() + chance.uniform(0.1, 1) * seconds, chance.random() < 0.5
            while time.monotonic() < end and not (writing and any(run.rglob("*.partial"))):
                time.sleep(0.001)
            os.kill(process, signal.SIGKILL)
            exit_code(process)
            check_readable(run)
        kills += 1
        assert exit_code(start(partial(train, run), tmp_path / "log")) == 0, (tmp_path / "log").read_text()
        assert_same_end(run, tmp_path / "undisturbed")
        assert not [*run.rglob("*.partial"), *run.glob("notes.json")]


@in_own_process
@pytest.mark.parametrize("error", [errno.ENOSPC, DIES])
def test_a_failing_disk_or_a_death_at_a_change_of_a_file(
    error: int, config: Config, puppets: Dataset, tmp_path: Path
) -> None:
    train = partial(trained, config.replace(steps=2), puppets, save_every=1)
    with faulty(0) as counting:
        train(tmp_path / "undisturbed")
    for at in random.Random(error).sample(range(1, counting.count + 1), KILLS):
        run = tmp_path / f"run-{at}"
        with faulty(at, error):
            code = exit_code(start(partial(train, run), tmp_path / "log"))
        assert code == (CODE if error == DIES else REFUSED), (at, (tmp_path / "log").read_text())
        assert error == DIES or not any(run.rglob("*.partial"))
        check_readable(run)
        assert exit_code(start(partial(train, run), tmp_path / "log")) == 0, (tmp_path / "log").read_text()
        assert_same_end(run, tmp_path / "undisturbed")


@in_own_process
def test_a_killed_completer_ends_as_an_undisturbed_one(config: Config, puppets: Dataset, tmp_path: Path) -> None:
    assert exit_code(start(partial(trained, config.replace(steps=2), puppets, tmp_path / "one"), tmp_path / "log")) == 0
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    learn = partial(complete, data=puppets, steps=10, device="cpu", bar=False)
    process = start(partial(learn, tmp_path / "one"), tmp_path / "log")
    time.sleep(0.3)
    os.kill(process, signal.SIGKILL)
    exit_code(process)
    weights = []
    for name in ("one", "other"):
        assert exit_code(start(partial(learn, tmp_path / name), tmp_path / "log")) == 0
        weights.append(load_file(tmp_path / name / "completer.safetensors"))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
