"""Workers here and on a cluster: none is left running, GPUs are shared out, SLURM gets its options."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from batches_home import rows, small, write_plan

from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.core.locks import locked
from pplkit.experiments.batch import Worker, finished
from pplkit.experiments.executors import environment, execute, slurm_parameters, visible_gpus

ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True


def until(met: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not met() and time.monotonic() < end:
        time.sleep(0.1)
    return met()


@pytest.mark.parametrize(("way", "seeds"), [("ctrl_c", [0, 1]), ("kill", [0])])
def test_what_ends_a_batch_ends_its_workers_and_leaves_a_table(way: str, seeds: list[int], home: Path) -> None:
    plan = write_plan(home, datasets=["roses"], variants=["ppl"], seeds=seeds, parameters={"sleep": 600.0})
    tried = [home / "runs" / f"roses-ppl-{seed}" / "tried" for seed in seeds]
    line = [sys.executable, "-m", "pplkit", "batch", str(plan)]
    process = subprocess.Popen(line, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        assert until(lambda: all(path.exists() and path.read_text().strip() for path in tried), 600)
        kernels = [int(path.read_text().split()[1]) for path in tried]
        assert all(map(alive, kernels))
        if way == "ctrl_c":  # in a terminal, which tells all processes
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        _, said = process.communicate(timeout=300)
        assert process.returncode == 130 and "pplkit: interrupted. To continue: pplkit batch " in said.splitlines()[-1]
        assert until(lambda: not any(map(alive, kernels)))
    finally:
        process.kill()
    assert {row["status"] for row in rows(home)} == {"missing"} and (home / "runs/batches/try/index.html").is_file()
    with locked(home / "runs/roses-ppl-0", "held"), locked(home / "runs/batches/try", "held"):
        assert finished(home / "runs/roses-ppl-0") == {}


def test_gpus_are_shared_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small(home, threads=2)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus("auto") == visible_gpus("cuda") == ["0", "1"] and visible_gpus("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    shared = [environment(plan, visible_gpus("auto"), slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)]
    assert shared == ["5", "7", "5"]
    assert environment(plan, [], 0) == {"OMP_NUM_THREADS": "2"}


def test_slurm_gets_the_options(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"partition": "gpu", "gpus": 1, "minutes": 90, "memory": 16, "additional": {"nice": 10}}
    plan = small(home, threads=4, jobs=3, slurm={**options, "account": "lab"})
    assert slurm_parameters(plan) == {
        "name": "try", "cpus_per_task": 4, "timeout_min": 90, "gpus_per_node": 1, "mem_gb": 16,
        "slurm_array_parallelism": 3, "slurm_additional_parameters": {"nice": 10}, "slurm_partition": "gpu",
        "slurm_account": "lab",
    }  # fmt: skip
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(PplkitError, match='slurm is not available here .*"srun".*without --slurm'):
        execute(plan, Worker("default"), {"a": None}, "slurm", lambda name, reason: None)


SBATCH = """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
open("{home}/sbatch.txt", "w").write(text)
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", text).groups())
for task in range(first, last + 1):
    number = dict(SLURM_JOB_ID=str(100 + task), SLURM_ARRAY_JOB_ID="77", SLURM_ARRAY_TASK_ID=str(task))
    log = open(f"{home}/task-{{task}}.log", "w")  # a pipe to this command would break when it ends
    places = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    made = subprocess.Popen(["bash", sys.argv[1]], env=dict(os.environ, **number, SLURM_NTASKS="1"), **places)
    print(made.pid, file=open("{home}/pids.txt", "a"))
print("Submitted batch job 77")
"""
SRUN = """#!{python}
import os, sys
words = sys.argv[1:]
place = words.index("--output") + 2
os.execvp(words[place], words[place:])
"""
SACCT = """#!{python}
import os, sys
print("JobID|State|NodeList")
for task, pid in enumerate(open("{home}/pids.txt")):
    alive = os.path.exists("/proc/" + pid.strip()) or sys.platform != "linux"
    print("77_%d|%s|here" % (task, "RUNNING" if alive else "FAILED"))
"""


def test_a_cluster_takes_all_runs_as_one_array(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With commands in SLURM's place that start the tasks here."""
    (home / "bin").mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (home / "bin" / name).write_text(text.format(python=sys.executable, home=home))
        (home / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    given = {"datasets": ["roses"], "variants": ["ppl"], "parameters": {"fail": "roses-ppl-1"}}
    plan = write_plan(home, **given, slurm={"minutes": 5})
    assert cli.main(["batch", str(plan), "--jobs", "3", "--slurm", "partition=gpu", "gpus=1"]) == 2
    script = (home / "sbatch.txt").read_text()
    wanted = (
        "--array=0-1%2",
        "--partition=gpu",
        "--gpus-per-node=1",
        "--time=5",
        "--cpus-per-task=1",
        "--job-name=try",
    )
    for option in wanted:
        assert f"#SBATCH {option}\n" in script
    assert [row["status"] for row in rows(home)] == ["finished", "failed"]
    assert "no <luck>" in rows(home)[1]["reason"]


def test_a_worker_that_a_cluster_takes_away_is_the_same_again(home: Path) -> None:
    (one,) = small(home).combinations
    worker = Worker("default")
    again = worker.checkpoint(one, {"OMP_NUM_THREADS": "1"})
    assert (again.function, again.args) == (worker, (one, {"OMP_NUM_THREADS": "1"}))
