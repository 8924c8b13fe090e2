"""Tasks spread over processes of this machine, or over the machines of a SLURM cluster, through submitit."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pplkit.core.errors import PplkitError
from pplkit.experiments.plan import Plan

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

POLL = 0.2  # seconds between looks at the workers
PATIENCE = 3.0  # seconds for workers to stop by themselves after Ctrl-C in a terminal, which reaches them as well
FOREVER = 60 * 24 * 365  # minutes that a worker on this machine may take
DAY = 60 * 24  # minutes that one on a cluster may take, unless told otherwise

Worker = Callable[[Any, Mapping[str, str]], str]
"""Does one task with these environment variables and returns why it failed, "" if it did not."""


def spread(
    plan: Plan, worker: Worker, todo: Mapping[str, Any], cluster: str, ended: Callable[[str, str], None]
) -> None:
    """Give each task of `todo`, by name, to a process of its own, and tell `ended` its name and why it failed.

    `cluster` is "local", where `plan.jobs` work at a time and share the GPUs, or "slurm". What workers say is kept in
    <folder of the plan>/logs. However this ends, by Ctrl-C or `kill` too, no worker is left running.
    Raises PplkitError if the cluster is not to be had or refuses the tasks.
    """
    with _signals():
        _work_off(plan, worker, todo, cluster, ended)


def gpus(device: str) -> list[str]:
    """The GPUs that workers on this machine share, as CUDA_VISIBLE_DEVICES names them; none for other devices."""
    if device not in ("auto", "cuda"):
        return []
    visible, count = os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def environment(plan: Plan, shared: list[str], place: int) -> dict[str, str]:
    """The variables of the worker at a place: its threads and, where GPUs are shared, one of them."""
    threads = {"OMP_NUM_THREADS": str(plan.threads)}
    return {**threads, "CUDA_VISIBLE_DEVICES": shared[place % len(shared)]} if shared else threads


def slurm_parameters(plan: Plan) -> dict[str, Any]:
    """The plan's options for SLURM as submitit's AutoExecutor takes them."""
    given = plan.slurm
    parameters = {
        "name": plan.folder.name,
        "cpus_per_task": plan.threads,
        "timeout_min": given.get("minutes", DAY),
        "gpus_per_node": given.get("gpus"),
        "mem_gb": given.get("memory"),
        "slurm_array_parallelism": plan.jobs,
        "slurm_additional_parameters": given.get("additional"),
        **{f"slurm_{name}": given.get(name) for name in ("partition", "account", "qos", "constraint")},
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _executor(plan: Plan, cluster: str, logs: Path) -> "AutoExecutor":
    from submitit import AutoExecutor

    parameters = {"timeout_min": FOREVER} if cluster == "local" else slurm_parameters(plan)
    try:
        executor = AutoExecutor(logs, cluster=cluster)
        executor.update_parameters(stderr_to_stdout=True, **parameters)
    except (RuntimeError, ValueError, NameError, AssertionError) as error:
        said = str(error).splitlines()[0].rstrip(".?")
        raise PplkitError(
            f"there is no way to {cluster} here ({said}): call where it is, or without --slurm."
        ) from None
    return executor


def _work_off(
    plan: Plan, worker: Worker, todo: Mapping[str, Any], cluster: str, ended: Callable[[str, str], None]
) -> None:
    local = cluster == "local"
    shared = gpus(plan.device) if local else []
    count = plan.jobs or len(shared) or max(1, (os.cpu_count() or 1) // plan.threads)
    free = list(range(count if local else len(todo)))  # a cluster has a queue of its own
    waiting, running = list(todo), dict[str, tuple["Job[str]", int]]()
    executor = None if local else _executor(plan, cluster, plan.folder / "logs" / "%j")
    try:
        while waiting or running:
            starting = [(waiting.pop(0), free.pop(0)) for _ in range(min(len(waiting), len(free)))]
            _start(plan, worker, todo, starting, executor, shared, running)
            for name, (job, place) in list(running.items()):
                if job.done():
                    del running[name]
                    free.append(place)
                    ended(name, _reason(job, local))
            time.sleep(POLL if running else 0)
    finally:
        _stop([job for job, _ in running.values()], local)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM, as of `kill`, ends a batch like Ctrl-C; and SIGINT does so also where a shell had it ignored, and then
    in the workers too, which inherit that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _start(
    plan: Plan,
    worker: Worker,
    todo: Mapping[str, Any],
    starting: list[tuple[str, int]],
    executor: "AutoExecutor | None",
    shared: list[str],
    running: dict[str, tuple["Job[str]", int]],
) -> None:
    """Submit tasks and add them to `running`, on a cluster as one array; here, each keeps the logs of its last time."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with executor.batch() if executor and starting else nullcontext():
            for name, place in starting:
                logs = plan.folder / "logs" / name
                if executor is None:  # an old result under the number of a new process would be taken for its own
                    shutil.rmtree(logs, ignore_errors=True)
                chosen = executor or _executor(plan, "local", logs)
                running[name] = chosen.submit(worker, todo[name], environment(plan, shared, place)), place
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        said = " ".join(str(error).split())
        raise PplkitError(
            f"the tasks cannot be started ({said}): correct the options of slurm, or the folder."
        ) from None


def _reason(job: "Job[str]", local: bool) -> str:
    """Why a task failed that is done, "" if it did not."""
    if local and not job.paths.result_pickle.exists():  # submitit would wait for a slow file system
        return f"its process was killed, perhaps for want of memory; what it said is in {job.paths.stdout}"
    try:
        return job.result()
    except Exception as error:  # of what runs on a cluster, everything can go wrong
        said = next((line for line in reversed(str(error).splitlines()) if line.strip(" -")), type(error).__name__)
        return (
            f"its process ended without a result ({job.state}, {said.strip()}); what it said is in {job.paths.stdout}"
        )


def _stop(jobs: list["Job[str]"], local: bool) -> None:
    """End the workers. One that stops by itself is let be: told twice, it would leave its own processes behind."""
    for wait in (PATIENCE, 2 * PATIENCE) if local else (0.0, 0.0):
        until = time.monotonic() + wait
        while time.monotonic() < until and not all(job.done() for job in jobs):
            time.sleep(POLL)
        for job in jobs:
            if not local or not job.done():
                job.cancel(check=False)
        if not local:
            break
