"""Items made ahead by threads: order, limits, errors, and nothing that goes on behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.prefetch import prefetch, read_ahead


def counted(most: int, fetched: list[int]) -> Iterator[int]:
    for number in range(most):
        fetched.append(number)
        yield number


def test_only_so_many_are_made_ahead_and_in_order() -> None:
    """Of a thousand items, the first takes longest; when one has been taken, no more than 5 + 1 were asked for."""
    fetched: list[int] = []

    def square(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    squares = prefetch(counted(1000, fetched), square, 5)
    assert len(fetched) == 5 and next(squares) == 0 and len(fetched) == 6
    assert [next(squares) for _ in range(20)] == [number * number for number in range(1, 21)]
    assert len(fetched) == 26
    squares.close()
    assert list(prefetch(iter(range(3)), square, 5)) == [0, 1, 4] and list(prefetch([], square, 5)) == []


def test_only_so_many_are_read_ahead_by_another_thread() -> None:
    fetched: list[int] = []
    items = read_ahead(counted(1000, fetched), 4)
    assert [next(items) for _ in range(10)] == list(range(10)) and len(fetched) <= 14
    before = threading.active_count()
    items.close()
    assert threading.active_count() < before  # nothing goes on behind
    assert list(read_ahead(range(3), 4)) == [0, 1, 2]


def test_an_error_of_another_thread_is_raised_in_its_turn() -> None:
    def torn() -> Iterator[int]:
        yield 1
        raise PplkitError("the video is torn")

    items = read_ahead(torn(), 4)
    assert next(items) == 1
    with pytest.raises(PplkitError, match="torn"):
        next(items)
