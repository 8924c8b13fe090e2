"""The ranks that a process starts itself, and how it attends to them; see `devices`."""

import io
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import torch

from pplkit.core.errors import PplkitError
from pplkit.core.signals import DeferredSignals, Interrupted
from pplkit.training.distributed import CONTINUE, as_rank, is_lost

T = TypeVar("T")
Show = Callable[[Any], Any]

GRACE = 1.0  # seconds after the first failure, in which the one that caused it may turn up


class _Failure(NamedTuple):
    """What became of a rank; the least `order` is the cause of the others."""

    order: int  # 0: an error, or a death; 1: another rank does not answer
    error: PplkitError


def spawn_workers(function: Callable[..., T], count: int, device: str, precision: str, show: Show | None) -> T:
    """function(fabric, show=...) in `count` new processes of this machine that are joined; what it returns in rank 0.

    `function` is found by its module and name, so it may not be that of a script or a notebook; `show` is called here,
    with copies on the CPU of what rank 0 shows, which waits for what it returns. Raises the PplkitError of a rank, or
    one that says which rank ended and how; no process is left then, nor after any other error here. Ctrl-C and SIGTERM
    go on to rank 0, which may save something and raise Interrupted; it is raised here then.
    """
    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    spawn, workers = get_context("spawn"), {}
    try:
        with _no_main():
            for number in range(count):
                ours, theirs = spawn.Pipe()
                own = {"RANK": str(number), "LOCAL_RANK": str(number)}
                arguments = (theirs, common | own, function, device, precision, show is not None)
                process = spawn.Process(target=_rank, args=arguments, name=f"rank {number}", daemon=True)
                process.start()
                theirs.close()
                workers[ours] = process
        with DeferredSignals() as stops:
            return _supervise(workers, show, stops)  # type: ignore[no-any-return]
    finally:
        for process in workers.values():
            process.kill()
            process.join()


def free_port() -> str:
    """The number of a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextmanager
def _no_main() -> Iterator[None]:
    """Inside, new processes do not import the running script, which nothing that they do is from.

    So a script needs no `if __name__ == "__main__":`, and a notebook or an interpreter can start them like a script.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _supervise(workers: dict[Any, Any], show: Show | None, stops: DeferredSignals) -> Any:
    """Show what rank 0 has to show until all have ended; what rank 0 returns."""
    ranks: dict[Any, int] = {ours: number for number, ours in enumerate(workers)}
    results: dict[int, Any] = {}
    failures: list[_Failure] = []
    end, forwarded = math.inf, False
    while ranks and time.monotonic() < end:
        if stops.received and not forwarded:
            next(iter(workers.values())).terminate()  # of all the first
            forwarded = True
        ready: list[Any] = connection.wait(list(ranks), timeout=GRACE)
        for ours in ready:
            number = ranks[ours]
            try:
                kind, content = ours.recv()
            except (EOFError, ConnectionError):  # it has ended
                del ranks[ours]
                workers[ours].join(GRACE)
                if number not in results:
                    failures.append(_Failure(0, _ended(number, len(workers), _how(workers[ours].exitcode))))
                continue
            if kind == "show":
                assert show is not None
                ours.send(show(torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)))
                continue
            results[number] = content
            if kind == "failed":
                failures.append(content)
            if kind == "interrupted" and number == 0:
                raise Interrupted(content, stops.received or signal.SIGTERM)
        if failures:
            end = min(end, time.monotonic() + GRACE)
    if stops.received and failures:
        raise Interrupted("interrupted before there was something to save", stops.received)
    if failures:
        raise min(failures, key=lambda failure: failure.order).error
    return results[0]


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}{', as the system does when memory runs out' * (name == 'SIGKILL')}"


def _ended(number: int, count: int, how: str) -> PplkitError:
    return PplkitError(
        f"process {number} of {count} (counted from 0) ended ({how}) and the others with it: {CONTINUE}. "
        "If memory ran out, start a new run with fewer devices or a smaller batch_size."
    )


def _rank(
    theirs: Connection,
    environment: dict[str, str],
    function: Callable[..., Any],
    device: str,
    precision: str,
    shown: bool,
) -> None:
    """The whole life of a rank: it works, and tells how that went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one gets it as well, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    show = partial(_show, theirs) if shown else None
    try:
        theirs.send(("done", as_rank(partial(function, show=show), device, precision)))
        return
    except Interrupted as error:
        theirs.send(("interrupted", str(error)))
        return
    except PplkitError as error:
        failure = _Failure(0, error)
    except Exception as error:
        if lost := is_lost(error):
            how = "another process does not answer"
        else:
            traceback.print_exc()
            how = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'see above'}"
        failure = _Failure(int(lost), _ended(int(environment["RANK"]), int(environment["WORLD_SIZE"]), how))
    theirs.send(("failed", failure))


def _show(theirs: Connection, content: Any) -> Any:
    """Hand a copy to the process that started this one, and wait for what it says to it."""
    copy = io.BytesIO()  # not as tensors, which would put those of the model into shared memory
    torch.save(content, copy)
    theirs.send(("show", copy.getvalue()))
    return theirs.recv()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
