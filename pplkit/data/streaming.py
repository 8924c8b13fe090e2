"""The images of a split for training: on the device if they fit, otherwise read ahead from their files."""

import math
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.data.npy_shards import Shards
from pplkit.data.schema import PREPARE_AGAIN

SHARE = 0.5  # of the free memory, which images may take
STEPS_AHEAD = 4  # read before they are asked for
THREADS = 2
CHUNK_BYTES = 2**26  # read at a time on the way to the device
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


class Reader:
    """Rows of images (n, S, S, 3) uint8, read from the files of a memory-mapped split, otherwise from memory.

    Files are read because mapped pages count as memory of the process for as long as the system has room for them, and
    because a mapped file that is cut short ends the process without a message.
    Raises PplkitError, here and in `read`, for a file that is missing, cannot be read or is too short.
    """

    def __init__(self, images: np.ndarray | Shards, pinned: bool = False) -> None:
        self.parts = images.parts if isinstance(images, Shards) else [images]
        self.starts = images.starts if isinstance(images, Shards) else np.array([0, len(images)])
        self.tail, self.pinned = images.shape[1:], pinned
        self.row_bytes = math.prod(self.tail)
        self.files: list[int | None] = []
        self.close = weakref.finalize(self, _close, self.files)
        for part in self.parts:
            # A slice of a mapped array has its name too, but begins elsewhere.
            mapped = isinstance(part, np.memmap) and not isinstance(part.base, np.memmap) and hasattr(os, "preadv")
            self.files.append(_open(_name(part)) if mapped else None)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, rows: np.ndarray) -> Tensor:
        """The images at positions `rows` (m,), from 0: uint8 (m, S, S, 3), in pinned memory if asked for."""
        images = torch.empty((len(rows), *self.tail), dtype=torch.uint8, pin_memory=self.pinned)
        target = images.numpy()
        shard = np.searchsorted(self.starts, rows, side="right") - 1
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(shard) != 0)) + 1
        for begin, end in pairwise((0, *breaks.tolist(), len(rows))):  # consecutive rows are read at once
            number = int(shard[begin])
            self._fill(number, int(rows[begin] - self.starts[number]), target[begin:end])
        return images

    def _fill(self, number: int, row: int, target: np.ndarray) -> None:
        part, file = self.parts[number], self.files[number]
        if file is None or not isinstance(part, np.memmap):
            target[:] = part[row : row + len(target)]
            return
        buffer = target.reshape(-1).data
        position = part.offset + row * self.row_bytes
        while len(buffer):
            try:
                count = os.preadv(file, [buffer], position)
            except OSError as error:
                raise PplkitError(f"{_name(part)} cannot be read ({reason(error)}); {PREPARE_AGAIN}") from error
            if count == 0:
                raise PplkitError(f"{_name(part)} has become shorter since it was opened; {PREPARE_AGAIN}")
            buffer, position = buffer[count:], position + count


class Stream:
    """The images of each step, read by threads some steps ahead.

    The threads end with `close`, or with the object. Errors in a thread are raised by the call that asks for the step.
    """

    def __init__(self, images: np.ndarray | Shards, device: torch.device) -> None:
        self.device = device
        self.reader = Reader(images, pinned=device.type == "cuda")
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pplkit-images")
        self.coming: dict[int, Future[Tensor]] = {}

    def __call__(self, step: int, rows: Callable[[int], np.ndarray]) -> Tensor:
        """The images at the positions rows(step) (m,): uint8 (m, S, S, 3) on the device."""
        for other in [other for other in self.coming if not step <= other <= step + STEPS_AHEAD]:
            self.coming.pop(other).cancel()
        for other in range(step, step + STEPS_AHEAD + 1):
            if other not in self.coming:
                # A method of the reader, so that the threads do not keep this object alive.
                self.coming[other] = self.pool.submit(self.reader.read, rows(other))
        return self.coming.pop(step).result().to(self.device, non_blocking=True)

    def close(self) -> None:
        """End the threads after their current reads, and close the files."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.coming.clear()
        self.reader.close()


def fits(images: np.ndarray | Shards, device: torch.device, copies: int = 1) -> bool:
    """Whether `copies` of the images take at most half of the free memory of the device."""
    return copies * math.prod(images.shape) <= SHARE * free_memory(device)


def load(images: np.ndarray | Shards, device: torch.device) -> Tensor:
    """All images on the device, uint8 (n, S, S, 3), without a second copy of them on the way."""
    reader = Reader(images, pinned=device.type == "cuda")
    try:
        loaded = torch.empty(images.shape, dtype=torch.uint8, device=device)
        step = max(1, CHUNK_BYTES // reader.row_bytes)
        for begin in range(0, len(reader), step):
            rows = np.arange(begin, min(begin + step, len(reader)))
            loaded[begin : begin + step] = reader.read(rows).to(device, non_blocking=True)
        return loaded
    finally:
        reader.close()


def free_memory(device: torch.device) -> float:
    """Bytes free on a CUDA device, or else available to this process; infinite if unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [math.inf]
    if MEMINFO.exists():
        lines = (line.split() for line in MEMINFO.read_text().splitlines())
        limits += [1024 * int(words[1]) for words in lines if words[0] == "MemAvailable:"]
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit, usage = CGROUP / "memory.max", CGROUP / "memory.stat"  # of a container
    if limit.exists() and usage.exists() and (limit_bytes := limit.read_text().strip()).isdigit():
        used = dict(line.split() for line in usage.read_text().splitlines())
        limits.append(int(limit_bytes) - int(used.get("anon", 0)))  # cached files make room
    return min(limits)


def _name(part: np.ndarray) -> str:
    return str(getattr(part, "filename", "the images"))


def _open(file: str) -> int:
    try:
        return os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise PplkitError(f"{file} is missing; {PREPARE_AGAIN}") from error
    except OSError as error:
        raise PplkitError(f"{file} cannot be read ({reason(error)}); {PREPARE_AGAIN}") from error


def _close(files: list[int | None]) -> None:
    while files:
        if (file := files.pop()) is not None:
            os.close(file)
