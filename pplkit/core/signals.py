"""Ctrl-C and SIGTERM while something works that has to be saved first."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """A training was asked to end by the signal `number`; the message says what is saved."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message, number)
        self.message, self.number = message, number

    def __str__(self) -> str:
        return self.message


class Stops:
    """Inside the `with` block a first Ctrl-C or SIGTERM is only noted, as `heard`; a second one interrupts at once.

    Clusters send SIGTERM some time before they take a machine away. Outside of the main thread, which alone gets
    signals, and for a signal that was ignored before, nothing changes.
    """

    def __init__(self) -> None:
        self.heard = 0  # number of the signal, 0 before there is one
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = number


def name_of(number: int) -> str:
    """How people call a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
