"""The training monitor: when it draws, what its buttons ask of the training, how fast it says that it goes."""

import mmap
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import IPython
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.widgets import TrainingMonitor, training_monitor

IMAGES = torch.zeros(3, 3, 32, 32)
PRIOR = PosePrior(np.array([[0.0, 0.5], [0.5, 0.0]], np.float32), np.array([[0, 1], [1, 0]], np.float32))


class FakeDisplay:
    """Stands for IPython's display and its handle; counts what is shown and what replaces it."""

    def __init__(self) -> None:
        self.shown, self.updated = 0, 0

    def __call__(self, figure: Figure, display_id: bool) -> "FakeDisplay":
        assert isinstance(figure, Figure) and display_id
        self.shown += 1
        return self

    def update(self, figure: Figure) -> None:
        assert isinstance(figure, Figure)
        self.updated += 1


class FakeButtons:
    """Stands for the buttons: what the text beside them said."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        self.said: list[str] = []

    def show(self, text: str, paused: bool) -> None:
        self.said.append(text)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDisplay]:
    """As in a notebook with somebody before it."""
    made = FakeDisplay()
    monkeypatch.setattr(training_monitor, "in_notebook", lambda: True)
    monkeypatch.setattr(training_monitor, "attended", lambda: True)
    monkeypatch.setattr(training_monitor, "_Buttons", FakeButtons)
    monkeypatch.setattr(IPython.display, "display", made)
    yield made


def progress(step: int) -> Any:
    model = SimpleNamespace(
        prior=lambda: PRIOR,
        parameters=lambda: iter([torch.zeros(1)]),
        memory=SimpleNamespace(in_use=lambda: torch.tensor([0.5, 1.0])),
    )
    batch, output = SimpleNamespace(images=IMAGES), SimpleNamespace(reconstruction=IMAGES)
    return SimpleNamespace(
        step=step,
        steps=100,
        row={"loss": 1.5},
        images_per_second=20.0,
        batch_size=32,
        model=model,
        batch=batch,
        output=output,
    )


def test_outside_a_notebook_it_prints_now_and_then_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = TrainingMonitor(every=1000)
    monkeypatch.setattr(training_monitor, "training_state", lambda *_: 1 / 0)
    for step in (20, 40, 100):
        assert monitor(progress(step)) is None
    assert [line.split("   ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "step 20 of 100",
        "step 100 of 100",
    ]
    assert [row["step"] for row in monitor.rows] == [20, 40, 100]


def test_it_renews_one_picture_and_always_draws_the_last(display: FakeDisplay) -> None:
    monitor = TrainingMonitor(every=1000)
    for step in (20, 40, 60, 100):
        monitor(progress(step))
    assert (display.shown, display.updated) == (1, 1)


def test_nobody_before_the_notebook_no_buttons(display: FakeDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_monitor, "attended", lambda: False)
    monkeypatch.setattr(training_monitor, "_Buttons", lambda _: 1 / 0)
    TrainingMonitor()(progress(20))
    assert display.shown == 1


def test_what_is_wanted_is_asked_of_the_training_once(display: FakeDisplay) -> None:
    monitor = TrainingMonitor(every=1000)
    assert monitor(progress(20)) is None
    monitor.save()
    assert monitor(progress(40)) == "save"
    assert monitor(progress(60)) is None and display.updated == 0
    monitor.stop()
    assert monitor(progress(80)) == "stop"
    assert display.updated == 1  # the last figure is that of the last step


def test_a_button_pressed_while_the_cell_is_busy_acts_at_the_next_step(
    display: FakeDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = TrainingMonitor()
    monkeypatch.setattr(training_monitor, "handle_events", monitor.stop)
    assert monitor(progress(20)) == "stop"


def test_a_pause_lasts_until_it_is_ended(display: FakeDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = TrainingMonitor(every=1000)
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 4:
            monitor.resume()

    monkeypatch.setattr(training_monitor, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(training_monitor, "handle_events", look)
    monitor.pause()
    assert monitor(progress(20)) is None and len(looks) == 4
    assert any("paused at step 20" in text for text in monitor._buttons.said)  # type: ignore[union-attr]


def test_a_pause_ends_with_a_stop_from_another_thread_and_with_the_last_step(display: FakeDisplay) -> None:
    monitor = TrainingMonitor()
    monitor.pause()
    threading.Timer(0.05, monitor.stop).start()
    assert monitor(progress(20)) == "stop"
    assert monitor(progress(100)) is None


def test_speed_is_that_of_late_without_what_the_callback_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(training_monitor.time, "monotonic", lambda: clock[0])
    speed = training_monitor.Speed()
    assert speed.measure(progress(20)) == 20  # of the whole call
    for begin, end, step in ((100, 104, 40), (904, 910, 60)):  # a pause of 800 seconds between the two
        clock[0] = begin
        speed.start(step - 20)
        clock[0] = end
        result = speed.measure(progress(step))
    assert result == 40 * 32 / 10


def test_the_status_says_how_long_it_takes() -> None:
    # 80 steps of 32 images are left, at 20 images a second: 128 s
    assert training_monitor.status(progress(20), 20) == "step 20 of 100   loss 1.500   20 images/s   2 min 08 s left"
    assert training_monitor._duration(3 * 3600 + 5 * 60 + 10) == "3 h 05 min"


def test_memory_is_that_of_this_process_and_of_those_it_started() -> None:
    held = mmap.mmap(-1, 400_000_000)  # of the system: an array may lie where others have been
    held.write(b"1" * len(held))
    before = float(training_monitor.memory_usage(torch.device("cpu")).split()[1])
    held.close()
    assert before - float(training_monitor.memory_usage(torch.device("cpu")).split()[1]) == pytest.approx(0.4, abs=0.11)
