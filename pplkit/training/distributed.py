"""Where a training runs: in this process, in several that it starts, or in those that a launcher has started.

torchrun, `fabric run` and srun start a command once for each device; each of these processes finds its number, its
rank, in the environment. Without a launcher this process starts the others itself, see `processes`.
"""

import gc
import logging
import os
import platform
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

from pplkit.core.errors import PplkitError
from pplkit.core.signals import Interrupted

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)  # a process waits this long for the others; NCCL does not notice a loss sooner
CONTINUE = "the same call or command continues from the last checkpoint"


class _Ended(Exception):
    """The launcher asked this process to end."""


def launched() -> int:
    """How many processes a launcher has started, this one among them; 0 without a launcher or for a single one."""
    number = os.environ.get("WORLD_SIZE") if _by_torchrun() else os.environ.get("SLURM_STEP_NUM_TASKS")
    return int(number) if number and int(number) > 1 else 0  # without srun a SLURM job has no such number


def _by_torchrun() -> bool:
    return all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


def rank() -> int:
    """The number of this process among those of a launcher, from 0; 0 without a launcher."""
    return int(os.environ["RANK" if _by_torchrun() else "SLURM_PROCID"]) if launched() else 0


def world_size(devices: int) -> int:
    """How many processes will train together if `devices` are asked for; raises PplkitError if that cannot be."""
    if devices < 1:
        raise PplkitError(f"devices={devices} is too small: give the number of processes, or leave it out.")
    if launched() and devices not in (1, _on_this_machine()):
        raise PplkitError(
            f"devices={devices}, but the launcher started {_on_this_machine()} processes on this machine: leave "
            "devices out, the launcher decides."
        )
    return launched() or devices


def _on_this_machine() -> int:
    if _by_torchrun():
        return int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ["WORLD_SIZE"])
    return int(os.environ.get("SLURM_NTASKS_PER_NODE") or launched() // int(os.environ.get("SLURM_NNODES", 1)))


def usable_precision(precision: str, device: str) -> str:
    """`precision`, or "32-true" in place of "bf16-mixed" on a CPU that has no instructions for bfloat16.

    There each rounding is done in software, and a step takes several times as long as in single precision.
    """
    cpu = device == "cpu" or (device == "auto" and not (torch.cuda.is_available() or torch.backends.mps.is_available()))
    slow = platform.machine().lower() in ("x86_64", "amd64") and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "32-true" if precision == "bf16-mixed" and cpu and slow else precision


def fabric_for(device: str, precision: str) -> "Fabric":
    """Lightning Fabric on one device; raises PplkitError if it is not available."""
    return _fabric(accelerator=device, devices=1, precision=precision)


def _fabric(**settings: Any) -> "Fabric":
    from lightning.fabric import Fabric  # takes longer to import than all the rest, and only training needs it

    for part in ("fabric", "pytorch"):  # every process would announce itself and its precision
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    try:
        return Fabric(**settings)
    except (ValueError, RuntimeError) as error:
        wanted = f"device={settings['accelerator']!r} with devices={settings['devices']}"
        raise PplkitError(f"{wanted} is not available here: {error}") from None


def as_rank(function: "Callable[[Fabric], T]", device: str, precision: str) -> T:
    """function(fabric) in this process, to which the environment gives a rank, joined with the others."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning.fabric.strategies.ddp import DDPStrategy
    from torch.distributed.nn import functional  # noqa: F401  # its defaults would keep a group that exists before it

    local, own_group = _on_this_machine(), not dist.is_initialized()
    try:
        environment = TorchElasticEnvironment() if _by_torchrun() else SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # names the option that srun lacks
        raise PplkitError(f"SLURM's settings do not fit: {error}") from None
    strategy = DDPStrategy(cluster_environment=environment, timeout=TIMEOUT)
    nodes = launched() // local
    fabric = _fabric(accelerator=device, devices=local, num_nodes=nodes, strategy=strategy, precision=precision)
    joined = os.environ.get("LT_CLI_USED") == "1"  # by Fabric, under `fabric run`
    try:
        result: T = function(fabric) if joined else fabric.launch(function)
    except (Interrupted, PplkitError):  # of all processes; from a lost one the group cannot be left
        if own_group:
            _leave_group()
        raise
    if own_group:
        _leave_group()
    return result


def _leave_group() -> None:
    """Leave the process group and end its threads: one that outlives the interpreter may abort the process."""
    gc.collect()  # a model in a circle of references holds the group
    if dist.is_initialized():
        dist.destroy_process_group()


def as_launched(function: "Callable[[Fabric], T]", device: str, precision: str) -> T:
    """function(fabric) in a process that a launcher has started; raises PplkitError if another one is lost."""

    def ended_by_launcher(fabric: "Fabric") -> T:
        # While Python waits for a GPU it receives no signals; there the default, which ends the process, stays.
        if fabric.device.type == "cpu" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _end)
        return function(fabric)

    before = signal.getsignal(signal.SIGTERM)
    try:
        return as_rank(ended_by_launcher, device, precision)
    except (_Ended, RuntimeError) as error:
        if not is_lost(error):
            raise
        raise PplkitError(f"another of the {launched()} processes is gone and this one ends: {CONTINUE}.") from None
    finally:
        if signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    """Launchers end the remaining processes by SIGTERM."""
    raise _Ended


def is_lost(error: Exception) -> bool:
    """Whether an error comes from another process that does not answer, not from this one."""
    return isinstance(error, (_Ended, dist.DistError)) or "gloo" in str(error) or "onnection closed" in str(error)


def error_to_report(error: PplkitError) -> str:
    """What this process prints of an error: under a launcher with the number of the process, if that is not 0."""
    return f"process {rank()}: {error}" if rank() else str(error)


def on_rank_zero(fabric: "Fabric", function: Callable[[], T]) -> T:
    """What `function` returns on rank 0, on all ranks; a PplkitError that it raises there is raised on all."""
    result: T | PplkitError | None = None
    if fabric.is_global_zero:
        try:
            result = function()
        except PplkitError as error:
            result = error
    result = fabric.broadcast(result)
    if isinstance(result, PplkitError):
        raise result
    return result  # type: ignore[return-value]
