"""The images and video frames of files and folders as a model sees them, read by threads while it works.

The number of frames that are read ahead is limited, so that a long video takes no more memory than a short one.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import CROPS, Box, Cropper, NoObject, current_name, resized
from pplkit.data.images import SUFFIXES, ignored_files, list_files, page_count, read_image, read_reduced
from pplkit.data.prefetch import prefetch, read_ahead
from pplkit.data.video import SUFFIXES as VIDEO_SUFFIXES
from pplkit.data.video import frame_count, readable

DRAFT_SCALE = 2  # a JPEG is decoded to at least this many times the model's pixels a side, instead of to all
OBJECT = "object"  # the crop that follows the object
CROPPERS: dict[str, Callable[[], Cropper]] = {}  # crops that rooms above find; pplkit/__init__.py adds "object"
FRAMES_AHEAD = 64  # squares that are made before they are asked for
DECODED_AHEAD = 8  # video frames that wait at full size


class Frame(NamedTuple):
    """An image or a frame of a video, and the square of it that a model sees."""

    file: Path
    number: int | None  # in the video, from 0; None for an image
    seconds: float | None  # from the video's first frame
    size: tuple[int, int]  # width and height
    box: Box
    square: np.ndarray  # (S, S, 3) uint8
    image: np.ndarray | None = None  # (H, W, 3) uint8, all of it, if asked for


class FrameSource:
    """The frames of files, and of all images and videos in folders, with the squares that a model sees.

    `len()` is about the number of frames; a video that does not say how many it has counts as one. Iterating yields
    a Frame at a time; `closing(iter(source))` ends the threads that read ahead.

    Args:
        paths: files and folders; the files of a folder come in the order of their names.
        size: side of the squares, in pixels.
        crop: "center" or "pad" as in `crop_square`, "object" for squares that follow the object
            (`pplkit.inference.object_crop`), or what finds such squares.
        ahead: number of squares that are made before they are asked for.
        whole: whether to keep the whole images as well.
        skip: whether one of several images that cannot be read is left out, which a line on stderr says, instead of
            raising.

    Raises:
        PplkitError: for an unknown crop and a folder without images and videos; while iterating, for a file that cannot
            be read and a video without an object. Of a damaged video the readable frames are used; a line on stderr
            says so, and says where several objects or none were found.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        crop: str | Cropper = "center",
        ahead: int = FRAMES_AHEAD,
        *,
        whole: bool = False,
        skip: bool = False,
    ) -> None:
        self.size, self.crop, self.ahead, self.whole = size, named_crop(crop), ahead, whole
        self.skip = skip
        kind = "image or video of a format that Pillow or PyAV reads"
        self.paths = paths
        self.files = [
            file
            for path in paths
            for file in (list_files(path, SUFFIXES | VIDEO_SUFFIXES, kind) if path.is_dir() else [path])
        ]

    def warn_of_ignored(self) -> None:
        """Say on stderr how many files of the folders are neither images nor videos, by ending."""
        for path in self.paths:
            if path.is_dir() and (sentence := ignored_files(path, SUFFIXES | VIDEO_SUFFIXES)):
                _warn(sentence)

    def __len__(self) -> int:
        return sum((frame_count(file) or 1) if is_video(file) else 1 for file in self.files)

    def __iter__(self) -> Generator[Frame, None, None]:
        for video, group in groupby(self.files, is_video):
            files = list(group)
            if video:
                for file in files:
                    yield from self._video_frames(file)
            else:
                make = partial(self._image_frame, crop_of=self._image_crop(files))
                if self.skip and len(files) > 1:
                    yield from (frame for frame in prefetch(files, partial(_or_none, make), self.ahead) if frame)
                else:
                    yield from prefetch(files, make, self.ahead)

    def _image_crop(self, files: Sequence[Path]) -> Callable[[Path], str | Box]:
        """From an image to its crop; one of several images in which no object is found is cropped to its center."""
        crop = self.crop
        if isinstance(crop, str):
            return lambda file: crop
        find = crop.pictures(files, _warn)

        def object_box(file: Path) -> str | Box:
            try:
                return find(file)
            except NoObject as error:
                if len(files) == 1:
                    raise
                _warn(f"{error}; its center is taken")
                return "center"

        return object_box

    def _image_frame(self, file: Path, crop_of: Callable[[Path], str | Box]) -> Frame:
        if self.whole:
            image = read_image(file)
            box, square = crop_square(image, self.size, crop_of(file))
            return Frame(file, None, None, image.size, box, square, np.asarray(image))
        crop = crop_of(file)
        image, size = read_reduced(file, DRAFT_SCALE * self.size)
        return Frame(file, None, None, size, *crop_square(image, self.size, crop, size))

    def _video_frames(self, file: Path) -> Generator[Frame, None, None]:
        crop_at: Callable[[float], str | Box]
        if isinstance(self.crop, str):
            crop_at = partial(lambda crop, seconds: crop, self.crop)
        else:
            crop_at, warnings = self.crop.video(file)
            for warning in warnings:
                _warn(warning)

        def make(shot: tuple[float, Image.Image, int]) -> Frame:
            seconds, image, number = shot
            box, square = crop_square(image, self.size, crop_at(seconds))
            return Frame(file, number, seconds, image.size, box, square, np.asarray(image) if self.whole else None)

        with closing(readable(file)) as shots, closing(read_ahead(shots, DECODED_AHEAD)) as decoded:
            yield from prefetch(decoded, make, self.ahead)


def named_crop(crop: str | Cropper) -> str | Cropper:
    """A crop of CROPS, or what finds the squares of another; raises PplkitError for an unknown name."""
    if not isinstance(crop, str) or (crop := current_name(crop)) in CROPS:
        return crop
    if crop not in CROPPERS:
        raise PplkitError(f"crop={crop!r} is unknown: {choice(crop, (*CROPS, *CROPPERS))}.")
    return CROPPERS[crop]()


def read_whole(frames: Sequence[Frame]) -> list[np.ndarray]:
    """The whole images of frames, uint8 (H, W, 3), read again where they were not kept."""
    videos: dict[tuple[Path, int | None], np.ndarray] = {}
    for file in {frame.file for frame in frames if frame.image is None and frame.number is not None}:
        wanted = {frame.number for frame in frames if frame.file == file}
        with closing(readable(file, quiet=True)) as shots:
            needed = ((number, image) for _, image, number in shots if number in wanted)
            videos |= {(file, number): np.asarray(image) for number, image in islice(needed, len(wanted))}
    return [
        frame.image if frame.image is not None
        else np.asarray(read_image(frame.file)) if frame.number is None
        else videos[frame.file, frame.number]
        for frame in frames
    ]  # fmt: skip


def is_video(path: Path) -> bool:
    """Whether `path` has the file name of a video, or is an image file that holds several images."""
    return path.suffix.lower() in VIDEO_SUFFIXES - SUFFIXES or page_count(path) > 1


def crop_square(
    image: Image.Image, side: int, crop: str | Box, size: tuple[int, int] | None = None
) -> tuple[Box, np.ndarray]:
    """The square of an image that a model sees, as a box in the image's pixels and as uint8 (side, side, 3).

    `crop="center"` is the largest square in the middle, "pad" the whole image with its shorter side filled up; or it is
    the box itself. The image may be one of `size`, width and height, decoded to a half, a quarter or an eighth; the box
    is then in pixels of the full size.
    """
    size = size or image.size
    box = CROPS[crop](*size) if isinstance(crop, str) else crop
    scale = round(size[0] / image.width)  # the last row and column of a reduced image reach beyond the full one
    return box, resized(image, side, (box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale))


def _or_none(make: Callable[[Path], Frame], file: Path) -> Frame | None:
    """The frame of an image; None, and a line on stderr, if it cannot be read."""
    try:
        return make(file)
    except PplkitError as error:
        _warn(f"{error}; it is left out")
        return None


def _warn(sentence: str) -> None:
    print(f"pplkit: {sentence}", file=sys.stderr, flush=True)
