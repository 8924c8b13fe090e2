"""Ctrl-C and SIGTERM during work that has to be saved first."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """The signal `number` ended a training; the message says what is saved."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message, number)
        self.message, self.number = message, number

    def __str__(self) -> str:
        return self.message


class DeferredSignals:
    """Inside the `with` block a first Ctrl-C or SIGTERM is only noted, in `received`; a second one interrupts at once.

    Clusters send SIGTERM some time before they take a machine away. Nothing changes outside of the main thread, which
    alone gets signals, and for a signal that was ignored before.
    """

    def __init__(self) -> None:
        self.received = 0  # number of the signal, 0 before there is one
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number


def signal_name(number: int) -> str:
    """The name that people know a signal by, such as Ctrl-C or SIGTERM."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
