"""Ctrl-C and SIGTERM wait for what has to be saved first; a second one does not wait."""

import os
import pickle
import signal
import threading

import pytest

from pplkit.core.signals import DeferredSignals, Interrupted, signal_name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_interrupts(number: int) -> None:
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), DeferredSignals() as signals:
        assert signals.received == 0
        os.kill(os.getpid(), number)
        assert signals.received == number
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == handler


def test_an_ignored_signal_stays_ignored() -> None:
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with DeferredSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == 0
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_other_threads_change_no_handler() -> None:
    handlers: list[object] = []

    def work() -> None:
        with DeferredSignals():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]


def test_signals_have_the_names_that_people_use_and_reach_other_processes() -> None:
    assert (signal_name(signal.SIGINT), signal_name(signal.SIGTERM)) == ("Ctrl-C", "SIGTERM")
    error = pickle.loads(pickle.dumps(Interrupted("saved", signal.SIGTERM)))
    assert str(error) == "saved" and error.number == signal.SIGTERM and isinstance(error, KeyboardInterrupt)
