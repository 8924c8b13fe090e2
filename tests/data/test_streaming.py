"""Images on the device and images read ahead by threads: the same batches, in bounded memory, and clear faults."""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data import streaming
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.npy_shards import Shards
from pplkit.data.streaming import STEPS_AHEAD, Reader, Stream, fits, free_memory, load
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.batches import Batches
from pplkit.models.prior.config import Config

CPU = torch.device("cpu")
SIDE = 32
ROW = SIDE * SIDE * 3  # bytes of an image


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pplkit-images")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    gc.collect()
    before = set(threads())
    yield
    gc.collect()  # what a test still holds goes with its frame
    for thread in set(threads()) - before:
        thread.join(timeout=10)
    assert set(threads()) <= before


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """27 images of 9 videos in shards of 4."""
    images = np.random.default_rng(0).integers(0, 256, (27, SIDE, SIDE, 3), dtype=np.uint8)
    with DatasetWriter(tmp_path / "set", name="toy", size=SIDE, keypoint_names=[], shard_bytes=4 * ROW) as writer:
        writer.add("train", images, videos=np.repeat(np.arange(9), 3))
    return open_dataset(tmp_path / "set")


def equal(first: Any, second: Any) -> bool:
    names = ("images", "reference", "target", "second_view", "view_transform")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    return all(a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("reference", ["frame", "masked"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": False},
        {"weight_equivariance": 1.0},
        {"max_rotation": 0.5, "max_shift": 0.1, "weight_equivariance": 1.0},
    ],
)
def test_streamed_batches_are_the_resident_ones(
    tiny: Config, data: Dataset, reference: str, changes: dict[str, Any]
) -> None:
    """Over more than an epoch, which has 6.75 steps; also for one that starts at step 5, and for shares of two."""
    config = tiny.replace(reference=reference, mask_ratio=0.5, **changes)
    resident = Batches(data["train"], config, CPU, stream=False)
    assert isinstance(resident.images, Tensor)
    expected = [resident(step) for step in range(10)]
    with Batches(data["train"], config, CPU, stream=True) as streamed:
        assert isinstance(streamed.images, Stream)
        assert all(equal(streamed(step), expected[step]) for step in range(10))
    with Batches(data["train"], config, CPU, stream=True) as continued:
        assert all(equal(continued(step), expected[step]) for step in (5, 6, 7, 2, 9))
    parts = [Batches(data["train"], config, CPU, rank, 2, stream=True)(8).images for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), expected[8].images)


def test_what_is_streamed_is_what_the_set_holds(tiny: Config, data: Dataset) -> None:
    config = tiny.replace(reference="masked", mask_ratio=0.0, flip=False, batch_size=9)
    with Batches(data["train"], config, CPU, stream=True) as streamed:
        result = torch.cat([streamed(step).images for step in range(3)])
    numbers = ((result + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert sorted(map(bytes, numbers)) == sorted(map(bytes, np.asarray(data["train"].images)))


@pytest.mark.parametrize("rows", [[0], [3, 4, 5], [26, 0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 4], list(range(27))])
def test_rows_are_read_from_files_and_from_memory(data: Dataset, rows: list[int]) -> None:
    images = data["train"].images
    assert isinstance(images, Shards)
    whole = np.asarray(images)
    mapped = np.load(data.path / "train" / "images-00001.npy", mmap_mode="r")
    for source in (images, whole):
        assert np.array_equal(Reader(source).read(np.array(rows)).numpy(), whole[rows])
    assert np.array_equal(Reader(mapped).read(np.array([2, 0])).numpy(), whole[[6, 4]])
    assert np.array_equal(Reader(mapped[1:]).read(np.array([2, 0])).numpy(), whole[[7, 5]])


def test_loading_goes_in_pieces(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 5 * ROW)  # 27 images are 5 pieces of 5 and one of 2
    assert np.array_equal(load(data["train"].images, CPU).numpy(), np.asarray(data["train"].images))


def test_steps_are_read_ahead_and_those_passed_over_are_dropped(data: Dataset) -> None:
    stream = Stream(data["train"].images, CPU)
    asked = []

    def rows(step: int) -> np.ndarray:
        asked.append(step)
        return np.array([step])

    for step in (0, 1, 7, 3):
        assert np.array_equal(stream(step, rows)[0], np.asarray(data["train"].images)[step])
        assert sorted(stream.coming) == list(range(step + 1, step + STEPS_AHEAD + 1))
    assert asked == [*range(5), 5, *range(7, 12), *range(3, 8)]  # 7 is given and gone when 3 is asked for
    stream.close()
    assert threads() == [] and stream.reader.files == []


def test_threads_end_with_the_object_and_with_an_error(tiny: Config, data: Dataset) -> None:
    streamed = Batches(data["train"], tiny, CPU, stream=True)
    streamed(0)
    running = threads()
    assert running
    del streamed
    for thread in running:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in running)
    with pytest.raises(KeyboardInterrupt), Batches(data["train"], tiny, CPU, stream=True) as other:
        other(0)
        raise KeyboardInterrupt
    assert threads() == []


@pytest.mark.parametrize("stream", [True, False])
def test_a_missing_shard_is_named(tiny: Config, data: Dataset, stream: bool) -> None:
    (data.path / "train" / "images-00002.npy").unlink()
    with pytest.raises(PplkitError, match=r"images-00002\.npy is missing; prepare the data set again"):
        Batches(data["train"], tiny, CPU, stream=stream)


def test_a_shard_cut_short_is_named_by_the_step_that_needs_it(tiny: Config, data: Dataset) -> None:
    with Batches(data["train"], tiny, CPU, stream=True) as streamed:
        os.truncate(data.path / "train" / "images-00003.npy", 128 + ROW // 2)
        with pytest.raises(PplkitError, match=r"images-00003\.npy has become shorter .*; prepare the data set again"):
            for step in range(7):
                streamed(step)
    with pytest.raises(PplkitError, match=r"images-00003\.npy has become shorter"):
        load(data["train"].images, CPU)


def test_what_fits_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((10, 4, 4, 3), np.uint8)  # 480 bytes
    for free, copies, answer in ((960, 1, True), (959, 1, False), (1919, 2, False), (1920, 2, True)):
        monkeypatch.setattr(streaming, "free_memory", lambda device, free=free: free)
        assert fits(images, CPU, copies) is answer


def test_a_set_that_does_not_fit_is_streamed(tiny: Config, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, kind in ((2 * 27 * ROW, Tensor), (2 * 27 * ROW - 1, Stream)):
        monkeypatch.setattr(streaming, "free_memory", lambda device, free=free: free)
        with Batches(data["train"], tiny, CPU) as made:
            assert isinstance(made.images, kind)
    monkeypatch.setattr(streaming, "free_memory", lambda device: 2 * 27 * ROW)
    with Batches(data["train"], tiny, CPU, rank=1, world=2) as shared:  # each process would hold all of them
        assert isinstance(shared.images, Stream)


def test_free_memory_is_the_systems_or_the_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(streaming, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    5 kB\n")
    assert free_memory(CPU) == 5120
    (tmp_path / "memory.stat").write_text("anon 1000\nfile 7\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) == 5120
    (tmp_path / "memory.max").write_text("4000\n")
    assert free_memory(CPU) == 3000
