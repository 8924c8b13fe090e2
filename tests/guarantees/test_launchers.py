"""`pplkit train` under torchrun, `fabric run` and srun, which is imitated: one speaks, and one death ends all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import pplkit
from data_prep.synthetic.puppets import generate
from pplkit.data.dataset import open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.config import Config
from pplkit.training.processes import free_port
from pplkit.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300  # after which what hangs is ended, and the test fails
AGAIN = "the same call or command continues from the last checkpoint"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Puppets in the size of the preset, which the command line has no smaller one of."""
    out = tmp_path_factory.mktemp("data") / "puppets"
    with DatasetWriter(out, name="puppets", size=64) as writer:
        made = generate("humanoid", 2, 4, size=64, seed=0)
        writer.add("train", made.images, videos=made.videos)
    return out


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The losses of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    config = Config.preset("puppets").replace(steps=2)
    pplkit.train(config, open_dataset(data), run, device="cpu", precision="32-true", bar=False)
    return RunFolder(run).rows("metrics.jsonl")[0]


class Job:
    """Processes of one training, with all that they write; none is left after the `with` block."""

    def __init__(self, commands: list[list[str]], environments: list[dict[str, str]], log: Path) -> None:
        common = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.log = log
        with log.open("w") as file:
            self.processes = [
                subprocess.Popen(command, cwd=ROOT, env=common | own, stdout=file, stderr=file, start_new_session=True)
                for command, own in zip(commands, environments, strict=True)
            ]

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        for pid in self.ranks().values():
            os.kill(pid, signal.SIGKILL)

    def codes(self) -> list[int]:
        """The exit codes, once all have ended; fails if they do not."""
        end = time.monotonic() + SECONDS
        return [process.wait(timeout=end - time.monotonic()) for process in self.processes]

    def ranks(self) -> dict[int, int]:
        """The processes that work, by rank."""
        if len(self.processes) > 1:
            return {number: process.pid for number, process in enumerate(self.processes) if process.poll() is None}
        results = {}
        for folder in Path("/proc").glob("[0-9]*"):  # a launcher gives each of them a session of its own
            try:
                if str(self.log.parent).encode() in (folder / "cmdline").read_bytes():
                    own = (folder / "environ").read_bytes().split(b"\0")
                    results |= {int(part[5:]): int(folder.name) for part in own if part.startswith(b"RANK=")}
            except OSError:  # it has ended
                continue
        return results


def started(how: str, arguments: list[str], log: Path, program: Sequence[str] = ("-m", "pplkit")) -> Job:
    python = [sys.executable, "-m"]
    if how == "srun":
        tasks = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NNODES": "1"}
        tasks |= {"SLURM_JOB_ID": "7", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost"}
        tasks |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        own = [tasks | {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)} for number in (0, 1)]
        return Job([[sys.executable, *program, *arguments]] * 2, own, log)
    if how == "fabric":
        options = ["--devices=2", "--accelerator=cpu", f"--main-port={free_port()}"]
        return Job([[*python, "lightning.fabric.cli", *options, "pplkit/__main__.py", *arguments]], [{}], log)
    command = [*python, "torch.distributed.run", "--standalone", "--nproc-per-node=2", *program, *arguments]
    return Job([command], [{}], log)


def train(data: Path, run: Path, *more: str) -> list[str]:
    return ["train", str(data), str(run), "--device", "cpu", "--precision", "32-true", *more]


@pytest.mark.parametrize("how", ["torchrun", "fabric", "srun"])
def test_the_launchers_processes_train_together(how: str, data: Path, alone: dict[str, float], tmp_path: Path) -> None:
    with started(how, train(data, tmp_path / "run", "--steps", "2"), tmp_path / "log") as job:
        codes = job.codes()
    log = job.log.read_text()
    assert set(codes) == {0}, log
    assert log.count("The run is in") == 1
    assert RunFolder(tmp_path / "run").read("training.json")["device"] == "cpu x 2"
    # Adam makes whole steps of gradients that are roundings.
    assert RunFolder(tmp_path / "run").rows("metrics.jsonl") == [pytest.approx(alone, rel=5e-3)]


WORK = """
import sys
from pathlib import Path
import torch
from pplkit.training.distributed import as_launched
from pplkit.core.errors import PplkitError
from pplkit.core.signals import Interrupted

def step(fabric):
    model = fabric.setup(torch.nn.Linear(2, 2))
    fabric.backward(model(torch.ones(1, 2)).sum())
    END

try:
    as_launched(step, "cpu", "32-true")
except (Interrupted, PplkitError):
    pass
names = [(folder / "comm").read_text().strip() for folder in Path("/proc/self/task").iterdir()]
sys.exit(f"left: {names}" if any("gloo" in name for name in names) else 0)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the threads of a process are found in /proc")
@pytest.mark.parametrize(
    ("how", "end"),
    [("torchrun", "return"), ("srun", "raise Interrupted('', 15)"), ("srun", "raise PplkitError")],
)
def test_no_thread_of_the_group_outlives_the_work(how: str, end: str, tmp_path: Path) -> None:
    # Such a thread aborts a process, one in hundreds, while its interpreter ends.
    work = tmp_path / "work.py"
    work.write_text(WORK.replace("END", end))
    with started(how, [], tmp_path / "log", program=[str(work)]) as job:
        codes = job.codes()
    assert set(codes) == {0}, job.log.read_text()


def test_a_group_that_was_there_before_stays(tmp_path: Path) -> None:
    work = tmp_path / "work.py"
    work.write_text(
        "import torch.distributed as dist\n"
        "from pplkit.training.distributed import as_launched\n"
        "dist.init_process_group('gloo')\n"
        "as_launched(lambda fabric: None, 'cpu', '32-true')\n"
        "assert dist.is_initialized()\n"
        "dist.destroy_process_group()\n"
    )
    with started("torchrun", [], tmp_path / "log", program=[str(work)]) as job:
        assert job.codes() == [0], job.log.read_text()


def test_each_process_says_what_is_wrong(data: Path, tmp_path: Path) -> None:
    arguments = train(data, tmp_path / "run", "--preset", "nonsense")
    with started("srun", arguments, tmp_path / "log") as job:
        assert job.codes() == [2, 2]
    log = job.log.read_text()
    assert "pplkit: preset 'nonsense' is unknown" in log and "pplkit: process 1: preset 'nonsense' is unknown" in log


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the processes of torchrun are found in /proc")
@pytest.mark.parametrize(("how", "victim"), [("torchrun", 1), ("srun", 0)])
def test_a_killed_process_ends_the_others(how: str, victim: int, data: Path, tmp_path: Path) -> None:
    with started(how, train(data, tmp_path / "run"), tmp_path / "log") as job:
        end = time.monotonic() + SECONDS
        while not (tmp_path / "run" / "config.json").exists():
            assert time.monotonic() < end, job.log.read_text()
            time.sleep(0.2)
        time.sleep(2)
        ranks = job.ranks()
        os.kill(ranks[victim], signal.SIGKILL)
        codes = job.codes()
        assert job.ranks() == {}  # none is left
    log = job.log.read_text()
    assert 0 not in codes
    assert f"another of the 2 processes is gone and this one ends: {AGAIN}" in log, log
