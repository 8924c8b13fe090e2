"""Many files to one data set: order, what is left out, limits, and that nothing is half written."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.common.ingest import Row, Task, image_task, write
from pplkit.core.errors import PplkitError
from pplkit.data.crops import center
from pplkit.data.dataset import open_dataset
from pplkit.data.prefetch import core_count
from pplkit.data.writer import DatasetWriter


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    """Forty grey pictures, each as bright as its number; its one point is the centre of its left upper pixel."""
    results = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        Image.new("L", (6, 4), number).save(path)
        results.append(
            image_task(
                path, 4, split="train", source=path.name, box=center, points=np.array([[1.0, 0.0]]), video=number
            )
        )
    return results


def writer(out: Path) -> DatasetWriter:
    return DatasetWriter(out, name="grey", size=4, keypoint_names=["corner"])


def test_rows_are_in_the_order_of_the_tasks(tasks: list[Task], tmp_path: Path) -> None:
    with writer(tmp_path / "out") as out:
        write(out, tasks)
    train = open_dataset(tmp_path / "out")["train"]
    assert np.asarray(train.images)[:, 0, 0, 0].tolist() == list(range(40))
    assert train.videos is not None and train.videos.tolist() == list(range(40))
    assert train.keypoints is not None and (train.keypoints == -1).all() and train.sources[3] == "3.png"


def test_a_task_may_make_many_rows(tmp_path: Path) -> None:
    def frames() -> Iterator[Row]:
        for number in range(3):
            yield Row(split="test", image=np.full((4, 4, 3), number, np.uint8), source=f"{number}", mask=MASK)

    with writer(tmp_path / "out") as out:
        write(out, [Task("film", frames)])
    test = open_dataset(tmp_path / "out")["test"]
    assert np.asarray(test.images)[:, 1, 2, 0].tolist() == [0, 1, 2] and test.sources == ["0", "1", "2"]
    assert test.masks is not None and np.asarray(test.masks).tolist() == [MASK.tolist()] * 3


def test_a_streamed_task_keeps_what_was_made_before_its_fault(tmp_path: Path) -> None:
    def frames(count: int) -> Iterator[Row]:
        for number in range(count):
            yield Row(split="train", image=np.full((4, 4, 3), number, np.uint8), source=f"{number}")
        raise PplkitError("the film is cut short")

    tasks = [Task("film", lambda: frames(3), streamed=True), Task("other", lambda: frames(3))]
    with writer(tmp_path / "out") as out:
        write(out, tasks)
    data = open_dataset(tmp_path / "out")
    assert data["train"].sources == ["0", "1", "2"]
    assert data.dropped == [("film", "the film is cut short"), ("other", "the film is cut short")]
    with pytest.raises(PplkitError, match="cut short"), writer(tmp_path / "new") as out:
        write(out, tasks, strict=True)
    with pytest.raises(PplkitError, match="none of 1 images can be used"), writer(tmp_path / "new") as out:
        write(out, [Task("film", lambda: frames(0), streamed=True)])
    assert not (tmp_path / "new").exists()


def test_few_rows_wait_to_be_written_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = core_count()
    rows_ahead = 3
    monkeypatch.setattr("data_prep.common.ingest.MAX_WAITING_BYTES", threads * rows_ahead * 4 * 4 * 3)
    made: list[int] = []
    most = 0

    def frames(video: int) -> Iterator[Row]:
        for number in range(50):
            made.append(video)
            yield Row(split="train", image=np.full((4, 4, 3), number, np.uint8), source=f"{video} {number}")

    class Counting(DatasetWriter):
        def add(self, split: str, images: np.ndarray, **arrays: object) -> None:  # type: ignore[override]
            nonlocal most
            super().add(split, images, **arrays)  # type: ignore[arg-type]
            most = max(most, len(made) - sum(map(len, self._sources.values())))

    with Counting(tmp_path / "out", name="grey", size=4) as out:
        write(out, [Task(f"{video}", lambda video=video: frames(video), streamed=True) for video in range(12)])
    assert most <= (threads + 1) * (rows_ahead + 1)
    assert open_dataset(tmp_path / "out")["train"].sources == [f"{v} {n}" for v in range(12) for n in range(50)]


def test_a_fault_of_the_program_is_raised(tasks: list[Task], tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writer(tmp_path / "out") as out:
        write(out, [*tasks, Task("bug", lambda: [1 // 0])])  # type: ignore[list-item]
    assert not (tmp_path / "out").exists()


MASK = np.diag([255, 0, 255, 0]).astype(np.uint8)


def test_what_cannot_be_used_is_left_out_and_named(tasks: list[Task], tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes(b"text")
    (tmp_path / "30.png").unlink()
    with writer(tmp_path / "out") as out:
        write(out, tasks, limit=0.05)
    data = open_dataset(tmp_path / "out")
    assert len(data["train"]) == 38 and [source for source, _ in data.dropped] == ["3.png", "30.png"]
    assert "cannot be read as an image" in data.dropped[0][1] and "is missing" in data.dropped[1][1]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["dropped"] == [list(d) for d in data.dropped]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strict": True}, r"3\.png cannot be read"),
        ({"limit": 0.0}, r"more than 0 of 40 images cannot be used \(limit=0.0\); the last: .*3\.png"),
        ({"limit": 0.02}, r"more than 1 of 40 images cannot be used \(limit=0.02\); the last: .*30\.png"),
        ({"limit": 1.5}, r"limit is 1.5; give the fraction"),
    ],
)
def test_too_many_faults_leave_nothing(
    options: dict[str, float], message: str, tasks: list[Task], tmp_path: Path
) -> None:
    for number in (3, 30):
        (tmp_path / f"{number}.png").write_bytes(b"text")
    with pytest.raises(PplkitError, match=message), writer(tmp_path / "out") as out:
        write(out, tasks, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_nothing_that_can_be_used_is_an_error(tmp_path: Path) -> None:
    message = r"none of 1 images can be used; the first: .*gone\.png is missing"
    with pytest.raises(PplkitError, match=message), writer(tmp_path / "out") as out:
        write(out, [image_task(tmp_path / "gone.png", 4, split="train", source="gone.png")])


def test_masks_go_with_their_picture(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image[..., 0]).save(tmp_path / "mask.png")
    task = image_task(tmp_path / "a.png", 4, split="train", source="a", box=center, mask=tmp_path / "mask.png")
    (row,) = task.make()
    assert row.mask is not None and row.mask.tolist() == row.image[..., 0].tolist() and row.mask.sum() == 8 * 255
    Image.new("L", (4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(PplkitError, match=r"mask\.png has \(4, 4\) pixels, its image \(6, 4\)"):
        task.make()
