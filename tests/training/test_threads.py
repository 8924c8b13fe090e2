"""A training takes as many threads as there are free cores, unless somebody or something has decided before."""

from types import SimpleNamespace

import psutil
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.training.threads import SlowdownWatch, choose_threads, free_cores, running_threads


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The use of four cores in percent, as psutil gives it."""
    use = {"idle": 100.0, "nice": 0.0, "iowait": 0.0}
    monkeypatch.setattr(psutil, "cpu_times_percent", lambda seconds: SimpleNamespace(**use))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    return use


@pytest.mark.parametrize(
    ("idle", "nice", "threads"), [(98, 0, 4), (74, 0, 3), (50, 0, 2), (1, 0, 1), (20, 78, 1), (67, 0, 2)]
)
def test_one_thread_for_each_free_core(idle: float, nice: float, threads: int, cores: dict[str, float]) -> None:
    cores |= {"idle": idle, "nice": nice}
    assert free_cores() == pytest.approx(idle / 25)
    assert choose_threads()[0] == threads
    assert choose_threads()[1] == f"{idle / 25:.1f} of 4 cores are free"


def test_request_environment_and_record_go_first(cores: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    cores["idle"] = 25
    assert choose_threads() == (1, "1.0 of 4 cores are free")
    assert choose_threads(recorded=3) == (3, "as before")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert choose_threads(recorded=3) == (4, "as set by the environment")
    assert choose_threads(7, recorded=3) == (7, "as requested")
    with pytest.raises(PplkitError, match="threads=0 is too few"):
        choose_threads(0)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with running_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("others", "slower", "noticed"), [(1.0, 3.0, True), (1.0, 1.5, False), (0.1, 3.0, False)])
def test_slowdown_by_others_is_noticed_once(
    others: float, slower: float, noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": 0.0, "others": 0.0}
    monkeypatch.setattr("time.perf_counter", lambda: clock["now"])
    monkeypatch.setattr("time.process_time", lambda: clock["now"])  # one core of its own
    times = lambda: SimpleNamespace(user=clock["now"] + clock["others"], system=1.0)  # noqa: E731
    monkeypatch.setattr(psutil, "cpu_times", times)
    watch = SlowdownWatch()
    notices, images = [], 0.0
    for minute in range(8):
        for _ in range(7):
            clock["now"] += 10
            images += 1000 / (1 if minute < 3 else slower)
            clock["others"] += 0 if minute < 3 else 10 * others
            notices.append(watch.notice(int(images)))
    said = [notice for notice in notices if notice]
    assert len(said) == noticed
    if noticed:
        assert said[0].startswith(
            "the training has slowed down from 100 to 33 images a second, as other processes use 1.0"
        )
