"""Many files to one data set: made in parallel, written in order; what cannot be used is left out and named."""

import math
import os
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Condition
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from pplkit.core.errors import PplkitError
from pplkit.data.crops import Box, resized, to_crop
from pplkit.data.dataset import DatasetWriter
from pplkit.data.images import read_image

AHEAD = 4  # tasks for each thread that are under way or done and not yet written
HELD = 2**28  # bytes of images that wait to be written; where there are more, those who make them wait


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One image of a prepared data set and what belongs to it, shaped as in `pplkit.data.dataset.Split` without n."""

    split: str
    image: np.ndarray  # uint8 (S, S, 3)
    source: str
    keypoints: np.ndarray | None = None  # (J, 2) in [-1, 1], NaN = unlabelled
    visible: np.ndarray | None = None  # (J,) bool
    video: int | None = None
    mask: np.ndarray | None = None  # uint8 (S, S), 255 = object
    class_index: int | None = None


class Task(NamedTuple):
    """A file to make rows from: most often one, for a video many. `make` raises PplkitError if it cannot be used.

    A task's rows are kept in memory until all are made, so that a fault leaves out the whole file. With `streamed` each
    is written as soon as it is made: any number fits, and after a fault the rows before it stay and the fault is noted.
    """

    source: str  # how the file is called where it is left out
    make: Callable[[], Iterable[Row]]
    streamed: bool = False


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
    one); so is what a streamed task could not read, which does not count where it gave a row. strict=True stops at the
    first. Raises PplkitError for more, or if nothing is left.
    """
    if not 0 <= limit < 1:
        raise PplkitError(f"limit is {limit}; give the share of the files that may be left out, 0 or more and below 1")
    allowed = math.ceil(limit * len(tasks))
    left_out: list[PplkitError] = []
    results = _results(tasks)
    try:
        for task, parts in zip(tasks, tqdm(results, total=len(tasks), desc=desc, unit=unit), strict=True):
            rows = 0
            for part in parts:
                if not isinstance(part, PplkitError):
                    _add(writer, part)
                    rows += len(part)
                    continue
                left_out += [] if rows else [part]
                if strict:
                    raise part
                if len(left_out) > allowed:
                    raise PplkitError(
                        f"more than {allowed} of {len(tasks)} {unit}s cannot be used (limit={limit}); the last: {part}"
                    ) from part
                writer.drop(task.source, str(part))
    finally:
        results.close()  # now, so that no thread is left behind an error
    if left_out and len(left_out) == len(tasks):
        raise PplkitError(f"none of {len(tasks)} {unit}s can be used; the first: {left_out[0]}")


Part = list[Row] | PplkitError


def _results(tasks: Sequence[Task]) -> Generator[Iterator[Part], None, None]:
    """For each task, in their order, the parts that it makes; a few are made ahead, by one thread for each core."""
    threads = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    line = _Line()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number in range(len(tasks)):
                first = 0 if number == 0 else number + AHEAD * threads - 1
                for ahead in range(first, min(number + AHEAD * threads, len(tasks))):
                    pool.submit(line.fill, ahead, tasks[ahead])
                yield line.parts(number)
        finally:
            line.stop()
            pool.shutdown(cancel_futures=True)


class _Line:
    """What several tasks make at the same time, handed out in their order; at most HELD bytes wait."""

    def __init__(self) -> None:
        self.change = Condition()
        self.waiting: defaultdict[int, deque[Part | BaseException | None]] = defaultdict(deque)
        self.turn = 0  # the task whose parts are taken now
        self.held = 0
        self.stopped = False

    def fill(self, number: int, task: Task) -> None:
        """Make all parts of a task; waits for room, and gives up after `stop`."""
        try:
            for part in _made(task):
                if not self._put(number, part):
                    return
            self._put(number, None)
        except BaseException as error:  # a fault of the program: it is raised where the parts are taken
            self._put(number, error)

    def parts(self, number: int) -> Iterator[Part]:
        """The parts of the task whose turn it is, as they are made."""
        with self.change:
            self.turn = number
            self.change.notify_all()
        while True:
            with self.change:
                self.change.wait_for(lambda: bool(self.waiting[number]))
                part = self.waiting[number].popleft()
                self.held -= _weight(part)
                self.change.notify_all()
            if part is None:
                del self.waiting[number]
                return
            if isinstance(part, BaseException) and not isinstance(part, PplkitError):
                raise part
            yield part

    def stop(self) -> None:
        """Let those who wait for room give up."""
        with self.change:
            self.stopped = True
            self.change.notify_all()

    def _put(self, number: int, part: Part | BaseException | None) -> bool:
        def room() -> bool:
            # The task whose turn it is may always leave one part: else it could wait for ever for those behind it.
            return self.stopped or self.held < HELD or (number == self.turn and not self.waiting[number])

        with self.change:
            self.change.wait_for(room)
            if not self.stopped:
                self.waiting[number].append(part)
                self.held += _weight(part)
                self.change.notify_all()
            return not self.stopped


def _weight(part: Part | BaseException | None) -> int:
    return sum(row.image.nbytes for row in part) if isinstance(part, list) else 0


def _made(task: Task) -> Iterator[Part]:
    try:
        if task.streamed:
            for row in task.make():
                yield [row]
        else:
            yield list(task.make())
    except PplkitError as error:
        yield error
    except MemoryError:
        yield PplkitError(f"{task.source} needs more memory than there is; make it smaller or remove it")


def _add(writer: DatasetWriter, rows: Sequence[Row]) -> None:
    for row in rows:
        given = {"keypoints": row.keypoints, "visible": row.visible, "masks": row.mask}
        arrays = {key: value[None] for key, value in given.items() if value is not None}
        numbers = {"videos": row.video, "classes": row.class_index}
        arrays |= {key: np.array([value]) for key, value in numbers.items() if value is not None}
        writer.add(row.split, row.image[None], sources=[row.source], **arrays)
