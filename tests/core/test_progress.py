"""Progress: one line in a terminal, lines at sensible times in a file."""

import io

import pytest

from pplkit.core import progress
from pplkit.core.progress import ProgressLine, counted, duration, time_left


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.time, "strftime", lambda _: "12:00:00")
    return now


def test_a_file_gets_whole_lines_and_fewer_as_time_goes_on(clock: list[float]) -> None:
    file = io.StringIO()
    line = ProgressLine(file)
    for second in range(0, 1000, 5):
        clock[0] = 100.0 + second
        line.show(f"{second}")
    line.close()
    assert file.getvalue().startswith("12:00:00  10\n12:00:00  25\n12:00:00  40\n") and "\r" not in file.getvalue()
    seconds = [int(text.split()[1]) for text in file.getvalue().splitlines()]
    assert [b - a for a, b in zip(seconds, seconds[1:], strict=False)][-1] > 80


def test_a_terminal_has_one_line_that_is_rewritten(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("one")
    line.show("too soon")
    clock[0] += 1
    line.show("a text that is wider")
    line.close()
    line.close()
    assert terminal.getvalue() == "\r12:00:00  one\x1b[K\r12:00:00  a text th\x1b[K\n"


def test_items_are_counted_with_the_time_left(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())
    for _ in counted(iter("abc"), 2, "files"):  # of a video the number of frames is a guess
        clock[0] += 30
    assert progress.sys.stderr.getvalue().splitlines() == [
        "12:00:00  files: 1 of 2, about 30 s left", "12:00:00  files: 2 of 2", "12:00:00  files: 3 of 3"
    ]  # fmt: skip


def test_progress_that_is_not_shown_writes_nothing() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal, shown=False)
    line.show("one")
    line.close()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "10 s"), (44, "40 s"), (89, "90 s"), (100, "2 min"), (5000, "83 min"), (7800, "2 h 10 min")],
)
def test_times_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_time_left_follows_from_the_speed() -> None:
    assert time_left(100, 400, 2.5) == "step 100 of 400 (25 %), about 2 min left"
    assert time_left(400, 400, 2.5) == "step 400 of 400 (100 %)"
    assert time_left(100, 400, 0.0) == "step 100 of 400 (25 %)"
