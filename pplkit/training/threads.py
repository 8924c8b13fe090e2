"""The threads of a training on a CPU: one for each core that is free when it begins, and a notice if that changes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from pplkit.core.errors import PplkitError

SAMPLE_SECONDS = 0.5
NEARLY_FREE = 0.25  # of a core, which is rounded up
WATCH_SECONDS = 60.0  # of which speeds are compared


def free_cores() -> float:
    """Number of cores that nobody works on now, over SAMPLE_SECONDS.

    Work at a low priority (nice) counts as well: it still gets its share of a core, for which all threads wait.
    """
    use = psutil.cpu_times_percent(SAMPLE_SECONDS)
    free = use.idle + getattr(use, "iowait", 0.0)
    return free / 100 * (psutil.cpu_count() or 1)


def choose_threads(requested: int | None = None, recorded: int | None = None) -> tuple[int, str]:
    """The number of threads to train on, and the reason in words.

    That is what was `requested`, else what OMP_NUM_THREADS says, else what an interrupted run has `recorded`, as the
    number of threads decides the last digits of a run; else one for each free core, at most PyTorch's own number. A
    core that another process needs too costs more than it gives: threads wait for the slowest at every operation.
    Raises PplkitError for less than one.
    """
    most = torch.get_num_threads()
    if requested is not None:
        if requested < 1:
            raise PplkitError(f"threads={requested} is too few: give a number from 1 upwards.")
        return requested, "as requested"
    if most == 1 or "OMP_NUM_THREADS" in os.environ:
        return most, "as set by the environment"
    if recorded:
        return recorded, "as before"
    free = free_cores()
    return max(1, min(most, int(free + NEARLY_FREE))), f"{free:.1f} of {psutil.cpu_count()} cores are free"


@contextmanager
def running_threads(count: int) -> Iterator[None]:
    """Inside, PyTorch works on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SlowdownWatch:
    """Notices when a training falls below half the speed of its first minute because other processes need the cores."""

    def __init__(self) -> None:
        self.first_speed: float | None = None
        self.noticed = False
        self.begin(0)

    def begin(self, images: int) -> None:
        """Measure from here on, after `images`."""
        self.images, self.clock, self.own, self.busy = images, time.perf_counter(), time.process_time(), _busy_seconds()

    def notice(self, images: int) -> str | None:
        """The notice, once, when `images` have been trained on; None most of the time."""
        elapsed = time.perf_counter() - self.clock
        if self.noticed or elapsed < WATCH_SECONDS:
            return None
        speed = (images - self.images) / elapsed
        others = (_busy_seconds() - self.busy - (time.process_time() - self.own)) / elapsed  # cores
        self.begin(images)
        if self.first_speed is None:
            self.first_speed = speed
        # Later steps may cost more by themselves, such as those at the full resolution.
        if speed >= self.first_speed / 2 or others < 0.5:
            return None
        self.noticed = True
        return (
            f"the training has slowed down from {self.first_speed:.0f} to {speed:.0f} images a second, as other "
            f"processes use {others:.1f} cores: end them, or stop with Ctrl-C and continue with fewer (--threads)"
        )


def _busy_seconds() -> float:
    """Seconds that all cores together have worked."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))
