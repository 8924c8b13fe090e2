"""Many files to one data set: read in parallel, written in order; unusable files are left out and named."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.progress import counted
from pplkit.data.crops import Box, resized, to_crop
from pplkit.data.images import read_image
from pplkit.data.prefetch import core_count, prefetch, read_ahead
from pplkit.data.writer import DatasetWriter

TASKS_AHEAD = 4  # for each thread, under way or done and not yet written
MAX_WAITING_BYTES = 2**28  # of images of streamed tasks that wait to be written ...
MAX_WAITING_ROWS = 4096  # ... and of one task


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One image of a data set with its labels, shaped as in `pplkit.data.dataset.Split` without n."""

    split: str
    image: np.ndarray  # uint8 (S, S, 3)
    source: str
    keypoints: np.ndarray | None = None  # (J, 2) in [-1, 1], NaN = unlabelled
    visible: np.ndarray | None = None  # (J,) bool
    video: int | None = None
    mask: np.ndarray | None = None  # uint8 (S, S), 255 = object
    class_index: int | None = None


class Task(NamedTuple):
    """A file and how to make rows of it; `make` raises PplkitError if the file cannot be used.

    The rows of a task are kept in memory until all are made, so that an error leaves out the whole file. With
    `streamed` each row is written as soon as it is made, and after an error the rows before it stay.
    """

    source: str  # name of the file in `dropped`
    make: Callable[[], Iterable[Row]]
    streamed: bool = False


def image_task(
    path: Path,
    size: int,
    *,
    split: str,
    source: str,
    box: Box | Callable[[int, int], Box] | None = None,
    points: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    video: int | None = None,
    mask: Path | None = None,
    class_index: int | None = None,
) -> Task:
    """The task of one image: its part `box`, or what a function of width and height gives, at `size` pixels a side.

    points (J, 2) are in pixels of the image, 0 = center of the first; `mask` is an image of the same size.
    """

    def make() -> list[Row]:
        image = read_image(path)
        part = box(*image.size) if callable(box) else box
        keypoints = None if points is None else to_crop(points, part or (0, 0, *image.size), size)
        row = partial(Row, split=split, source=source, keypoints=keypoints, visible=visible, video=video)
        pixels = None if mask is None else _mask(mask, image, size, part)
        return [row(image=resized(image, size, part), mask=pixels, class_index=class_index)]

    return Task(source, make)


def _mask(path: Path, image: Image.Image, size: int, box: Box | None) -> np.ndarray:
    mask = read_image(path).convert("L")
    if mask.size != image.size:
        raise PplkitError(f"{path} has {mask.size} pixels, its image {image.size}; give a mask of the same size")
    return np.where(resized(mask, size, box) > 127, 255, 0).astype(np.uint8)


def write(
    writer: DatasetWriter,
    tasks: Sequence[Task],
    *,
    strict: bool = False,
    limit: float = 0.1,
    desc: str = "",
    unit: str = "image",
) -> None:
    """Make the rows of all tasks in parallel and add them to the writer, in the order of the tasks.

    A task that raises PplkitError is left out and named in dataset.json, up to the fraction `limit` of all (at least
    one); so is what a streamed task could not read, which does not count if the task gave a row. strict=True stops at
    the first. Raises PplkitError if more are left out, or all.
    """
    if not 0 <= limit < 1:
        raise PplkitError(f"limit is {limit}; give the fraction of the files that may be left out, from 0 to below 1")
    allowed = math.ceil(limit * len(tasks))
    left_out: list[PplkitError] = []
    results = _results(tasks, writer.metadata.size)
    with closing(results):  # at once, so that no thread is left behind an error
        for task, result in zip(tasks, counted(results, len(tasks), f"{desc}, {unit}s"), strict=True):
            rows = 0
            with closing(result) as parts:
                for part in parts:
                    if isinstance(part, Row):
                        _add(writer, part)
                        rows += 1
                        continue
                    left_out += [] if rows else [part]
                    if strict:
                        raise part
                    if len(left_out) > allowed:
                        raise PplkitError(
                            f"more than {allowed} of {len(tasks)} {unit}s cannot be used (limit={limit}); "
                            f"the last: {part}"
                        ) from part
                    writer.drop(task.source, str(part))
    if left_out and len(left_out) == len(tasks):
        raise PplkitError(f"none of {len(tasks)} {unit}s can be used; the first: {left_out[0]}")


def write_dataset(
    out: Path | str, tasks: Sequence[Task], *, overwrite: bool, strict: bool, limit: float, **metadata: Any
) -> Path:
    """Write the data set that the tasks make, as `write` does; `metadata` as for DatasetWriter. Returns `out`."""
    with DatasetWriter(out, overwrite=overwrite, **metadata) as writer:
        write(writer, tasks, strict=strict, limit=limit, desc=metadata["name"])
    return Path(out)


Part = Row | PplkitError


def _results(tasks: Sequence[Task], size: int) -> Generator[Generator[Part, None, None], None, None]:
    """For each task, in order, its rows and what was wrong; a few tasks are worked on ahead."""
    threads = core_count()
    rows_ahead = min(max(1, MAX_WAITING_BYTES // (threads * 3 * size * size)), MAX_WAITING_ROWS)

    def start(task: Task) -> Generator[Part, None, None]:
        if task.streamed:
            return read_ahead(_make(task), rows_ahead)
        parts = list(_make(task))
        errors = [part for part in parts if isinstance(part, PplkitError)]
        return (part for part in errors or parts)

    ahead = threads if any(task.streamed for task in tasks) else TASKS_AHEAD * threads
    return prefetch(tasks, start, ahead)


def _make(task: Task) -> Iterator[Part]:
    try:
        yield from task.make()
    except PplkitError as error:
        yield error
    except MemoryError:
        yield PplkitError(f"{task.source} needs more memory than there is; make it smaller or remove it")


def _add(writer: DatasetWriter, row: Row) -> None:
    arrays = {"keypoints": row.keypoints, "visible": row.visible, "masks": row.mask}
    numbers = {"videos": row.video, "classes": row.class_index}
    arrays |= {key: np.array(value) for key, value in numbers.items() if value is not None}
    batch = {key: array[None] for key, array in arrays.items() if array is not None}
    writer.add(row.split, row.image[None], sources=[row.source], **batch)
