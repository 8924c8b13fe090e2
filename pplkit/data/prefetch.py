"""Items made by threads before they are asked for, as many as a limit allows."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice, repeat, takewhile
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_END: Any = object()


def core_count() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch(
    items: Iterable[Item], make: Callable[[Item], Made], ahead: int, threads: int | None = None
) -> Generator[Made, None, None]:
    """make(item) of each item, in order, made by `threads` (default: one for each core) before it is asked for.

    The first `ahead` are begun at once, and another one whenever one is taken. What `make` raises is raised in the
    item's turn. `close` ends the threads.
    """
    results = _prefetch(iter(items), make, ahead, threads or core_count())
    next(results)  # begins the first ones
    return results


def _prefetch(items: Iterator[Item], make: Callable[[Item], Made], ahead: int, threads: int) -> Generator[Any]:
    with ThreadPoolExecutor(threads, thread_name_prefix="pplkit-prefetch") as pool:
        try:
            waiting = deque(pool.submit(make, item) for item in islice(items, ahead))
            yield None
            for item in items:
                waiting.append(pool.submit(make, item))
                yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """The items themselves, the next `ahead` of which another thread fetches; see `prefetch`."""
    return _until_end(prefetch(repeat(iter(items)), lambda source: next(source, _END), ahead, threads=1))


def _until_end(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    with closing(items):
        yield from takewhile(lambda item: item is not _END, items)
