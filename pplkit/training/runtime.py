"""The machine that a training runs on, as far as it decides what comes out, and what is asked of it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pplkit.core.errors import PplkitError

LARGE_MAP_BYTES = 2**25  # of a batch's largest map in float32
KEPT_BLOCK_MB = 12  # larger blocks are given back at once


def keep_memory(largest_map: int) -> None:
    """Ask glibc, if this is glibc, to keep what a step frees for the next one where `largest_map` (bytes) is small.

    By itself it gives blocks of some MB back to the system and gets them again page by page: ten thousand and more in a
    step of the preset `puppets`. Networks of its size keep them, but for the few largest. Large networks would pay with
    holes between blocks, in which nothing fits: theirs of 4 MB and more are given back.
    """
    if os.name == "posix" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        small = largest_map < LARGE_MAP_BYTES
        libc.mallopt(ctypes.c_int(-3), ctypes.c_int((KEPT_BLOCK_MB if small else 4) * 2**20))  # M_MMAP_THRESHOLD
        libc.mallopt(ctypes.c_int(-1), ctypes.c_int(2**31 - 1 if small else 2**21))  # M_TRIM_THRESHOLD


def machine_description(device: torch.device, processes: int, deterministic: bool) -> dict[str, Any]:
    """What rounds sums in its own way: the kind of device, how many of them, and threads."""
    if device.type == "cuda":
        kind = f"cuda ({torch.cuda.get_device_name(device)})"
    else:
        kind = f"{device.type} ({torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else device.type
    return {"device": kind, "devices": processes, "threads": torch.get_num_threads(), "deterministic": deterministic}


def check_device(device: str) -> None:
    """Raise PplkitError if there is no such device here, without waking it; "auto" is the best present."""
    kind, _, number = device.partition(":")
    mps = int(torch.backends.mps.is_available())
    present = {"auto": 1, "cpu": 1, "cuda": torch.cuda.device_count(), "mps": mps}
    if not int(number if number.isdigit() else 0) < present.get(kind, 0):
        here = ", ".join(name for name, count in present.items() if count)
        raise PplkitError(f"device={device!r} is not available here: choose one of {here}.")


@contextmanager
def working(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Inside, operations that add up in a changing order are replaced or refused, if `deterministic`.

    Raises PplkitError for one that is refused, and for a device without enough memory.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a GPU's library is first used
        torch.use_deterministic_algorithms(True)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PplkitError(
            f"{device} has too little memory for the model ({str(error).splitlines()[0]}): end what else uses it, or "
            "take another device."
        ) from None
    except RuntimeError as error:
        if not deterministic or "deterministic" not in str(error):
            raise
        raise PplkitError(
            f"deterministic=True is not available on {device} ({str(error).splitlines()[0]}): leave it out, or take "
            "another device."
        ) from None
    finally:
        torch.use_deterministic_algorithms(before)
