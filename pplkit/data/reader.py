"""Pictures and the frames of videos as a model sees them: read and made small by threads while it works.

What is read ahead is bounded, so that a long video takes no more memory than a short one.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.crops import CROPS, Box, Cropper, NoObject, resized
from pplkit.data.images import SUFFIXES, listed, read_image, read_reduced
from pplkit.data.video import SUFFIXES as FILMS
from pplkit.data.video import frame_count, readable

Item = TypeVar("Item")
Made = TypeVar("Made")
ENOUGH = 2  # a JPEG is decoded to no fewer than this many times the model's pixels a side, instead of to all
OBJECT = "object"  # the crop that follows the object, which is looked for
FEW = 8  # frames that wait at full size
_END = object()


class Seen(NamedTuple):
    """A picture, or a frame of a video, and the square of it that a model sees."""

    file: Path
    frame: int | None  # number in the video, from 0; None for a picture
    seconds: float | None  # from the video's first frame
    size: tuple[int, int]  # width and height
    box: Box
    square: np.ndarray  # (S, S, 3) uint8
    image: np.ndarray | None = None  # (H, W, 3) uint8, all of it, where that is wanted


def check_crop(crop: str | Cropper) -> None:
    """Raise PplkitError for a crop that is unknown."""
    if isinstance(crop, str) and crop not in (*CROPS, OBJECT):
        raise PplkitError(f"crop={crop!r} is unknown: choose one of {', '.join((*CROPS, OBJECT))}.")


def is_video(path: Path) -> bool:
    """Whether the ending of `path` is that of a video and of no picture."""
    return path.suffix.lower() in FILMS - SUFFIXES


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files of `paths`, folders replaced by the pictures and videos in them, in order of name.

    Raises PplkitError for a folder without any.
    """
    noun = "picture or video of a format that Pillow or PyAV reads"
    return [file for path in paths for file in (listed(path, SUFFIXES | FILMS, noun) if path.is_dir() else [path])]


def count(files: Sequence[Path]) -> int | None:
    """About how many images there are in pictures and videos; None where a video does not tell."""
    counts = [frame_count(file) if is_video(file) else 1 for file in files]
    return None if None in counts else sum(filter(None, counts))


def seen(
    files: Sequence[Path], side: int, crop: str | Cropper = "centre", ahead: int = 64, *, whole: bool = False
) -> Generator[Seen, None, None]:
    """Pictures and all frames of videos, one by one, with the square that a model of `side` pixels sees.

    `crop` as in `squared`, or what finds squares that follow the object (`inference.object_crop`). About `ahead` of
    them are made while others are used; `whole` keeps the images as well. Raises PplkitError for an unknown `crop` and,
    where its turn comes, for a file that cannot be read, or a video without an object. Of a damaged video the frames
    that can be read are given, and stderr says that some could not; it also says where several objects or none were
    found.
    """
    check_crop(crop)
    first = 0
    while first < len(files):
        if is_video(files[first]):
            yield from _frames(files[first], side, crop, ahead, whole)
            first += 1
            continue
        last = first + 1
        while last < len(files) and not is_video(files[last]):
            last += 1
        make = partial(_picture, side=side, crop=_picture_crop(files[first:last], crop), whole=whole)
        yield from made_ahead(files[first:last], make, ahead)
        first = last


def squared(
    image: Image.Image, side: int, crop: str | Box, size: tuple[int, int] | None = None
) -> tuple[Box, np.ndarray]:
    """The square that a model sees of a picture, as a box in its pixels and as uint8 (side, side, 3).

    `crop="centre"` is the largest in the middle, "pad" all of the picture, the shorter side filled up, as in the
    preparation of data; or it is the box itself. The picture may be one of `size`, width and height, that was decoded
    to a half, a quarter or an eighth; the box is then that of all of it.
    """
    size = size or image.size
    box = CROPS[crop](*size) if isinstance(crop, str) else crop
    scale = round(size[0] / image.width)  # the last row and column of a reduced picture reach beyond the whole one
    return box, resized(image, side, (box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale))


def _picture_crop(files: Sequence[Path], crop: str | Cropper) -> Callable[[Path], str | Box]:
    """What a picture is cropped to; one of several in which no object is found, to its centre."""
    if isinstance(crop, str):
        return lambda file: crop
    find = crop.pictures(files, _say)

    def box(file: Path) -> str | Box:
        try:
            return find(file)
        except NoObject as error:
            if len(files) == 1:
                raise
            _say(f"{error}; its centre is taken")
            return "centre"

    return box


def _video_crop(file: Path, crop: str | Cropper) -> Callable[[float], str | Box]:
    """What the frames of a video are cropped to, by the seconds at which they are shown."""
    if isinstance(crop, str):
        return lambda seconds: crop
    box_at, sentences = crop.video(file)
    for sentence in sentences:
        _say(sentence)
    return box_at


def _say(sentence: str) -> None:
    print(f"pplkit: {sentence}", file=sys.stderr, flush=True)


def _picture(file: Path, side: int, crop: Callable[[Path], str | Box], whole: bool) -> Seen:
    if whole:
        image = read_image(file)
        return Seen(file, None, None, image.size, *squared(image, side, crop(file)), np.asarray(image))
    square = crop(file)
    image, size = read_reduced(file, ENOUGH * side)
    return Seen(file, None, None, size, *squared(image, side, square, size))


def _frames(file: Path, side: int, crop: str | Cropper, ahead: int, whole: bool) -> Iterator[Seen]:
    box_at = _video_crop(file, crop)

    def make(shot: tuple[float, Image.Image, int]) -> Seen:
        seconds, image, number = shot
        kept = np.asarray(image) if whole else None
        return Seen(file, number, seconds, image.size, *squared(image, side, box_at(seconds)), kept)

    with closing(readable(file)) as film, closing(taken_ahead(film, FEW)) as decoded:
        yield from made_ahead(decoded, make, ahead)


def made_ahead(items: Iterable[Item], make: Callable[[Item], Made], ahead: int) -> Generator[Made, None, None]:
    """make(item) of each item, in order, by one thread for each core; about `ahead` are made before they are taken."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="pplkit-reading") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def taken_ahead(items: Iterator[Item], ahead: int) -> Generator[Item, None, None]:
    """The items themselves, fetched by another thread, at most `ahead` of them before they are taken."""

    def fetch() -> Any:
        return next(items, _END)

    with ThreadPoolExecutor(1, thread_name_prefix="pplkit-decoding") as pool:
        waiting = deque(pool.submit(fetch) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(fetch))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
