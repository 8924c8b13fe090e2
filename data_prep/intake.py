"""Many files to one data set: made in parallel, written in order; what cannot be used is left out and named."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_prep.common import Box, resized, to_crop
from pplkit.dataset import DatasetWriter
from pplkit.errors import PplkitError
from pplkit.pictures import read_image

AHEAD = 4  # tasks for each thread that are under way or done and not yet written


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One image of a prepared data set and what belongs to it, shaped as in `pplkit.dataset.Split` without n."""

    split: str
    image: np.ndarray  # uint8 (S, S, 3)
    source: str
    keypoints: np.ndarray | None = None  # (J, 2) in [-1, 1], NaN = unlabelled
    visible: np.ndarray | None = None  # (J,) bool
    video: int | None = None
    mask: np.ndarray | None = None  # uint8 (S, S), 255 = object
    class_index: int | None = None


class Task(NamedTuple):
    """A file to make rows from: most often one, for a video many. `make` raises PplkitError if it cannot be used."""

    source: str  # how the file is called where it is left out
    make: Callable[[], Iterable[Row]]


def picture(
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
    """The task of one picture: its `box` (or that which a function of width and height gives) at `size` pixels.

    points (J, 2) are pixels of the picture, 0 = centre of the first; `mask` is a picture of the same size.
    """

    def make() -> list[Row]:
        image = read_image(path)
        part = box(*image.size) if callable(box) else box
        keypoints = None if points is None else to_crop(points, part or (0, 0, *image.size), size)
        row = partial(Row, split=split, source=source, keypoints=keypoints, visible=visible, video=video)
        hidden = None if mask is None else _mask(mask, image, size, part)
        return [row(image=resized(image, size, part), mask=hidden, class_index=class_index)]

    return Task(source, make)


def _mask(path: Path, image: Image.Image, size: int, box: Box | None) -> np.ndarray:
    found = read_image(path).convert("L")
    if found.size != image.size:
        raise PplkitError(f"{path} has {found.size} pixels, its picture {image.size}; give a mask of the same size")
    return np.where(resized(found, size, box) > 127, 255, 0).astype(np.uint8)


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

    A task that raises PplkitError is left out and named in dataset.json, up to the share `limit` of all (at least
    one); strict=True stops at the first. Raises PplkitError for more, or if nothing is left.
    """
    if not 0 <= limit < 1:
        raise PplkitError(f"limit is {limit}; give the share of the files that may be left out, 0 or more and below 1")
    allowed = math.ceil(limit * len(tasks))
    dropped = 0
    for task, result in zip(tasks, tqdm(_results(tasks), total=len(tasks), desc=desc, unit=unit), strict=True):
        if isinstance(result, PplkitError):
            dropped += 1
            if strict:
                raise result
            if dropped > allowed:
                raise PplkitError(
                    f"more than {allowed} of {len(tasks)} {unit}s cannot be used (limit={limit}); the last: {result}"
                ) from result
            writer.drop(task.source, str(result))
        else:
            _add(writer, result)
    if dropped == len(tasks):
        raise PplkitError(f"none of {len(tasks)} {unit}s can be used; the first: {writer.metadata.dropped[0][1]}")


def _results(tasks: Sequence[Task]) -> Iterator[list[Row] | PplkitError]:
    """What each task makes, or why it cannot, in their order; a few are made ahead, by one thread for each core."""
    threads = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[Row] | PplkitError]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(_made, task))
                if len(waiting) >= AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _made(task: Task) -> list[Row] | PplkitError:
    try:
        return list(task.make())
    except PplkitError as error:
        return error
    except MemoryError:
        return PplkitError(f"{task.source} needs more memory than there is; make it smaller or remove it")


def _add(writer: DatasetWriter, rows: Sequence[Row]) -> None:
    for row in rows:
        given = {"keypoints": row.keypoints, "visible": row.visible, "masks": row.mask}
        arrays = {key: value[None] for key, value in given.items() if value is not None}
        numbers = {"videos": row.video, "classes": row.class_index}
        arrays |= {key: np.array([value]) for key, value in numbers.items() if value is not None}
        writer.add(row.split, row.image[None], sources=[row.source], **arrays)
