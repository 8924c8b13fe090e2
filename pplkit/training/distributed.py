"""Where a training runs: in this process, in several that it starts, or in those that a launcher has started.

torchrun, `fabric run` and srun start a command once for each device; each of these processes, a rank, finds its number
in the environment. Without a launcher this process starts the ranks itself, from a notebook as well, and attends to
them: what rank 0 has to show comes back, and the first that fails ends the others.
"""

import gc
import hashlib
import logging
import os
import platform
import signal
import socket
import threading
import time
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

TIMEOUT = timedelta(minutes=10)  # a rank waits this long for the others; NCCL does not notice sooner that one is gone
PATIENCE = 3.0  # seconds in which ranks that are left answer once one is gone, and that others leave rank 0 to speak
AGAIN = "the same call or command continues from the last checkpoint"


class Lost(PplkitError):
    """Another rank is gone; `speaks` tells whether this one is to say so."""

    def __init__(self, message: str, speaks: bool) -> None:
        super().__init__(message)
        self.speaks = speaks


class _Ended(Exception):
    """The launcher asked this rank to end."""


def launched() -> int:
    """How many ranks a launcher has started, of which this process is one; 0 without a launcher or for a single one."""
    number = os.environ.get("WORLD_SIZE") if _by_torchrun() else os.environ.get("SLURM_STEP_NUM_TASKS")
    return int(number) if number and int(number) > 1 else 0  # what runs in a SLURM job without srun has no such number


def _by_torchrun() -> bool:
    return all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


def rank() -> int:
    """The number of this process among those of a launcher, from 0; 0 without a launcher."""
    return int(os.environ["RANK" if _by_torchrun() else "SLURM_PROCID"]) if launched() else 0


def processes(devices: int) -> int:
    """How many processes will train together if `devices` are asked for; raises PplkitError if that cannot be."""
    if devices < 1:
        raise PplkitError(f"devices={devices} is too small: give the number of processes, or leave it away.")
    if launched() and devices not in (1, _on_this_machine()):
        raise PplkitError(
            f"devices={devices}, but the launcher started {_on_this_machine()} processes on this machine: leave "
            "devices away, the launcher decides."
        )
    return launched() or devices


def _on_this_machine() -> int:
    if _by_torchrun():
        return int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ["WORLD_SIZE"])
    return int(os.environ.get("SLURM_NTASKS_PER_NODE") or launched() // int(os.environ.get("SLURM_NNODES", 1)))


def usable_precision(precision: str, device: str) -> str:
    """`precision`, or "32-true" in the place of "bf16-mixed" on a CPU that has no instructions for bfloat16.

    There each rounding is made by hand, and a step takes several times as long as in single precision.
    """
    cpu = device == "cpu" or (device == "auto" and not (torch.cuda.is_available() or torch.backends.mps.is_available()))
    slow = platform.machine().lower() in ("x86_64", "amd64") and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "32-true" if precision == "bf16-mixed" and cpu and slow else precision


def fabric_for(device: str, precision: str) -> "Fabric":
    """Lightning Fabric on one device; raises PplkitError if it is not to be had."""
    return _fabric(accelerator=device, devices=1, precision=precision)


def _fabric(**settings: Any) -> "Fabric":
    from lightning.fabric import Fabric  # takes longer to import than all the rest, and only training needs it

    for part in ("fabric", "pytorch"):  # all ranks say that they are there, and which precision the config has
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    try:
        return Fabric(**settings)
    except (ValueError, RuntimeError) as error:
        wanted = f"device={settings['accelerator']!r} with devices={settings['devices']}"
        raise PplkitError(f"{wanted} is not to be had here: {error}") from None


def as_rank(function: "Callable[[Fabric], T]", device: str, precision: str) -> T:
    """function(fabric) in this process, which the environment calls a rank, joined with the others."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning.fabric.strategies.ddp import DDPStrategy
    from torch.distributed.nn import functional  # noqa: F401  # its defaults would keep a group that is there before it

    here, own = _on_this_machine(), not dist.is_initialized()
    try:
        environment = TorchElasticEnvironment() if _by_torchrun() else SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # says which option srun lacks
        raise PplkitError(f"SLURM's settings do not fit: {error}") from None
    strategy = DDPStrategy(cluster_environment=environment, timeout=TIMEOUT)
    fabric = _fabric(
        accelerator=device, devices=here, num_nodes=launched() // here, strategy=strategy, precision=precision
    )
    joined = os.environ.get("LT_CLI_USED") == "1"  # by Fabric, under `fabric run`
    try:
        made: T = function(fabric) if joined else fabric.launch(function)
    except (Interrupted, PplkitError):  # of all ranks; from one that is lost nobody can part
        if own:
            _part()
        raise
    if own:
        _part()
    return made


def _part() -> None:
    """Leave the group of the ranks and end its threads: one that outlives the interpreter may abort the process."""
    gc.collect()  # a model in a circle of references holds the group
    if dist.is_initialized():
        dist.destroy_process_group()


def as_launched(function: "Callable[[Fabric], T]", device: str, precision: str) -> T:
    """function(fabric) in a process that a launcher has started; raises Lost if another one is gone."""

    def listening(fabric: "Fabric") -> T:
        # Python hears nothing while it waits for a GPU, and had better be ended there.
        if fabric.device.type == "cpu" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _end)
        return function(fabric)

    before = signal.getsignal(signal.SIGTERM)
    try:
        made = as_rank(listening, device, precision)
    except (_Ended, RuntimeError) as error:
        if not is_lost(error):
            raise
        if signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # there is something to say, and no more
        raise _roll_call() from None
    finally:
        if signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, before)
    return made


def _end(*_: object) -> None:
    """By SIGTERM launchers end the ranks that are left."""
    raise _Ended


def is_lost(error: Exception) -> bool:
    """Whether an error says that another rank does not answer, and not what is wrong with this one."""
    return isinstance(error, (_Ended, dist.DistError)) or "gloo" in str(error) or "onnection closed" in str(error)


def _store() -> Any:
    """The store by which the ranks meet, held by torchrun or by rank 0; raises OSError if there is none."""
    host, port = os.environ.get("MASTER_ADDR"), int(os.environ.get("MASTER_PORT", 0))
    if not host or not port:
        raise OSError("the ranks have not met")
    socket.create_connection((host, port), PATIENCE).close()  # quietly, where torch would write pages
    try:
        store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=PATIENCE))  # type: ignore[attr-defined]
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun starts all ranks anew on the same store
        return dist.PrefixStore(f"pplkit-{attempt}", store)  # type: ignore[attr-defined]
    except RuntimeError as error:
        raise OSError(str(error)) from None


def _roll_call() -> Lost:
    """Who is gone; the first that is left is to say so."""
    number, every = rank(), set(range(launched()))
    here = {number}
    try:
        store = _store()
        store.set(f"left-{number}", "here")
        end = time.monotonic() + PATIENCE
        while here < every and time.monotonic() < end:
            here = {other for other in every if store.check([f"left-{other}"])}
            time.sleep(0.1)
    except (OSError, RuntimeError):  # rank 0 holds the store, if no launcher does
        here = every - {0}
    gone = sorted(every - here)
    if not gone:
        return Lost(f"the launcher ended the training: {AGAIN}.", number == 0)
    names = " and ".join(map(str, gone))
    verb = "is" if len(gone) == 1 else "are"
    message = f"process {names} of {len(every)} (counted from 0) {verb} gone and the others have ended: {AGAIN}."
    return Lost(message, number == min(here))


def voice(error: PplkitError) -> str | None:
    """What this process is to say of an error that the other ranks of a launcher may have as well, if anything.

    Rank 0 speaks. The others wait a moment, and are silent if one has said the same.
    """
    if isinstance(error, Lost):
        return str(error) if error.speaks else None
    number = rank()
    if number:
        time.sleep(PATIENCE)
    said = hashlib.sha256(str(error).encode()).hexdigest()
    try:
        first = not launched() or _store().add(said, 1) == 1
    except (OSError, RuntimeError):  # no store: SLURM ends the other ranks, if it was told to
        first = True
    return f"process {number}: {error}" if first and number else str(error) if first else None


def by_first(fabric: "Fabric", function: Callable[[], T]) -> T:
    """What `function` gives on rank 0, on all ranks; a PplkitError that it raises there is raised on all."""
    made: T | PplkitError | None = None
    if fabric.is_global_zero:
        try:
            made = function()
        except PplkitError as error:
            made = error
    made = fabric.broadcast(made)
    if isinstance(made, PplkitError):
        raise made
    return made  # type: ignore[return-value]
