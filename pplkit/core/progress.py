"""Progress in words: one line that is rewritten in a terminal, lines with the time of day in a file."""

import shutil
import sys
import time
from collections.abc import Generator, Iterable
from typing import TextIO, TypeVar

T = TypeVar("T")
TERMINAL_SECONDS = 0.1  # between two states of the line in a terminal
FIRST_SECONDS = 10  # until a file gets its first line
EVERY_SECONDS, EVERY_SHARE = 15, 0.1  # between two lines of a file, at least: a time, and a part of the time so far


class ProgressLine:
    """The progress of one piece of work, written to `file`, by default stderr."""

    def __init__(self, file: TextIO | None = None, shown: bool = True) -> None:
        self.file, self.shown = file or sys.stderr, shown
        self.terminal = self.file.isatty()
        self.start = time.monotonic()
        self.due, self.open = self.start + FIRST_SECONDS * (not self.terminal), False

    def show(self, text: str) -> None:
        """Say how far the work is, if a line is due."""
        now = time.monotonic()
        if not self.shown or now < self.due:
            return
        line = f"{time.strftime('%H:%M:%S')}  {text}"
        if self.terminal:
            columns = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:columns]}\x1b[K", end="", file=self.file, flush=True)
            self.open, self.due = True, now + TERMINAL_SECONDS
        else:
            print(line, file=self.file, flush=True)
            self.due = now + max(EVERY_SECONDS, EVERY_SHARE * (now - self.start))

    def count(self, done: int, total: int, what: str) -> None:
        """Print how many of about `total` pieces of work are done, and how long the rest will take."""
        left = duration((total - done) * (time.monotonic() - self.start) / done) if 0 < done < total else ""
        self.show(f"{what}: {done} of {max(done, total)}{left and f', about {left} left'}")

    def close(self) -> None:
        """End the line that is being rewritten, so that others can follow."""
        if self.open:
            print(file=self.file, flush=True)
            self.open = False


def counted(items: Iterable[T], total: int, what: str, shown: bool = True) -> Generator[T, None, None]:
    """The same items; stderr says how many of about `total` are done, and how long the others take."""
    line = ProgressLine(shown=shown)
    try:
        for done, item in enumerate(items, 1):
            yield item
            line.count(done, total, what)
    finally:
        line.close()


def duration(seconds: float) -> str:
    """A time as one says it: "40 s", "3 min", "2 h 10 min"; rounded, as it is an estimate."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def time_left(step: int, steps: int, steps_per_second: float) -> str:
    """How far a training is: step, share and, once the speed is known, the time left."""
    left = (
        f", about {duration((steps - step) / steps_per_second)} left" if steps_per_second > 0 and step < steps else ""
    )
    return f"step {step} of {steps} ({100 * step // max(1, steps)} %){left}"
