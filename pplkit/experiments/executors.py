"""The runs of a plan as processes of this machine, or as tasks of a SLURM cluster, through submitit."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from pplkit.core.errors import PplkitError, reason
from pplkit.experiments.plan import Plan

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

POLL_SECONDS = 0.2  # between looks at the processes
STOP_SECONDS = 3.0  # for processes to stop by themselves after Ctrl-C in a terminal, which reaches them as well
LOCAL_MINUTES = 60 * 24 * 365  # that a process on this machine may take
SLURM_MINUTES = 60 * 24  # that a task on a cluster may take, unless the plan says otherwise

Work = Callable[[Any, Mapping[str, str]], str]
"""Does one task with these environment variables and returns why it failed, "" if it did not."""


def execute(plan: Plan, work: Work, tasks: Mapping[str, Any], cluster: str, ended: Callable[[str, str], None]) -> None:
    """Do each of `tasks` (name to argument of `work`) in a process of its own; call `ended(name, why it failed)`.

    `cluster` is "local", where `plan.jobs` run at a time and share the GPUs, or "slurm". Output goes to
    <folder of the plan>/logs. However this ends, by Ctrl-C or `kill` too, no process is left running.
    Raises PplkitError if the cluster is not available or refuses the tasks.
    """
    local = cluster == "local"
    gpus = visible_gpus(plan.device) if local else []
    count = plan.jobs or len(gpus) or max(1, (os.cpu_count() or 1) // plan.threads)
    free = list(range(count if local else len(tasks)))  # a cluster has a queue of its own
    waiting, running = list(tasks), dict[str, tuple["Job[str]", int]]()
    with _interruptible():
        executor = None if local else _executor(plan, cluster, plan.folder / "logs" / "%j")
        try:
            while waiting or running:
                starting = {waiting.pop(0): free.pop(0) for _ in range(min(len(waiting), len(free)))}
                for name, job in _submit(plan, work, tasks, starting, executor, gpus):
                    running[name] = job, starting[name]
                for name, (job, slot) in list(running.items()):
                    if job.done():
                        del running[name]
                        free.append(slot)
                        ended(name, _failure(job, local))
                time.sleep(POLL_SECONDS if running else 0)
        finally:
            _stop([job for job, _ in running.values()], local)


def visible_gpus(device: str) -> list[str]:
    """The GPUs that processes on this machine share, as CUDA_VISIBLE_DEVICES names them; none for other devices."""
    if device not in ("auto", "cuda"):
        return []
    visible, count = os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def environment(plan: Plan, gpus: list[str], slot: int) -> dict[str, str]:
    """The variables of the process in a slot: its threads and, where there are GPUs, one of them."""
    threads = {"OMP_NUM_THREADS": str(plan.threads)}
    return {**threads, "CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else threads


def slurm_parameters(plan: Plan) -> dict[str, Any]:
    """The plan's options for SLURM as submitit's AutoExecutor takes them."""
    options = plan.slurm
    parameters = {
        "name": plan.folder.name,
        "cpus_per_task": plan.threads,
        "timeout_min": options.get("minutes", SLURM_MINUTES),
        "gpus_per_node": options.get("gpus"),
        "mem_gb": options.get("memory"),
        "slurm_array_parallelism": plan.jobs,
        "slurm_additional_parameters": options.get("additional"),
        **{f"slurm_{name}": options.get(name) for name in ("partition", "account", "qos", "constraint")},
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _executor(plan: Plan, cluster: str, logs: Any) -> "AutoExecutor":
    from submitit import AutoExecutor

    parameters = {"timeout_min": LOCAL_MINUTES} if cluster == "local" else slurm_parameters(plan)
    try:
        executor = AutoExecutor(logs, cluster=cluster)
        executor.update_parameters(stderr_to_stdout=True, **parameters)
    except (RuntimeError, ValueError, NameError, AssertionError) as error:
        cause = reason(error).rstrip(".?")
        raise PplkitError(f"{cluster} is not available here ({cause}): call where it is, or without --slurm.") from None
    return executor


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends a batch like Ctrl-C, and Ctrl-C does even where the shell that started it ignores SIGINT."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _submit(
    plan: Plan,
    work: Work,
    tasks: Mapping[str, Any],
    starting: Mapping[str, int],
    executor: "AutoExecutor | None",
    gpus: list[str],
) -> list[tuple[str, "Job[str]"]]:
    """Start tasks (name to slot), on a cluster as one array; here, only the logs of the last attempt are kept."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    jobs = []
    try:
        with executor.batch() if executor and starting else nullcontext():
            for name, slot in starting.items():
                logs = plan.folder / "logs" / name
                if executor is None:  # an old result could pass for that of a new process with the same number
                    shutil.rmtree(logs, ignore_errors=True)
                chosen = executor or _executor(plan, "local", logs)
                jobs.append((name, chosen.submit(work, tasks[name], environment(plan, gpus, slot))))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        cause = " ".join(str(error).split())
        raise PplkitError(f"the tasks cannot be started ({cause}): correct the plan's slurm, or its folder.") from None
    return jobs


def _failure(job: "Job[str]", local: bool) -> str:
    """Why a task that ended failed, "" if it did not."""
    if local and not job.paths.result_pickle.exists():  # submitit would wait for a slow file system
        return f"its process was killed, perhaps because memory ran out; its output is in {job.paths.stdout}"
    try:
        return job.result()
    except Exception as error:  # on a cluster, anything can go wrong
        lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
        cause = lines[-1] if lines else type(error).__name__
        return f"its process ended without a result ({job.state}, {cause}); its output is in {job.paths.stdout}"


def _stop(jobs: list["Job[str]"], local: bool) -> None:
    """End processes. Two signals would make one leave its own children behind, so it may first stop by itself."""
    for seconds in (STOP_SECONDS, 2 * STOP_SECONDS) if local else (0.0,):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not all(job.done() for job in jobs):
            time.sleep(POLL_SECONDS)
        for job in jobs:
            if not local or not job.done():
                job.cancel(check=False)
