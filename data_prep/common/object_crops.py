"""The crop that a preparation chooses by itself, and a sheet of images with the squares around the objects.

crop="auto" looks for the object in a few images or videos, evenly spread. If a square around it, without margin, fills
less than a quarter of the frame (median), the crop is "object", since images of whole frames would hardly show it;
otherwise the usual one. Frames with a side below 160 pixels keep the usual crop: a part of them would have too few
pixels.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from pplkit.core.errors import PplkitError, reason
from pplkit.data.crops import CROPS, Box, resized, whole
from pplkit.data.images import upright_size
from pplkit.data.sampling import evenly_spaced
from pplkit.data.video import frame_size
from pplkit.inference.object_crop import ImageSquares, Squares, video_squares

AUTO, OBJECT = "auto", "object"
SMALL_FRACTION = 0.25  # of the frame's area
MIN_SIDE = 160  # pixels of the shorter side
SAMPLED_VIDEOS, SAMPLED_IMAGES = 3, 24
SHEET = "objects.png"
SHEET_IMAGES = 24
THUMB, GAP = 192, 6  # pixels of an image on the sheet, and between two
COLUMNS = 8

Item = TypeVar("Item")
Cut = Callable[[float, Image.Image], Box]
"""From the seconds at which a frame of a video is shown, and the frame, to the part of it that is kept"""
Sample = Callable[[], tuple[list[float], str]]
"""The fractions of their frames that objects fill in some files; or none, and the reason"""


def evenly_chosen(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` evenly spread items, in their order."""
    return [items[i] for i in evenly_spaced(items, most)]


def choose_crop(crop: str, default: str, sample: Sample) -> str:
    """`crop`, or for "auto" what the sample suggests; a line on stderr then says which it is and why."""
    if crop != AUTO:
        return crop
    warn("looking for the object in a sample, to choose the crop")
    fractions, reason = sample()
    choice = default
    if fractions:
        fraction = float(np.median(fractions))
        choice, relation = (OBJECT, "less than") if fraction < SMALL_FRACTION else (default, "at least")
        reason = f"the object takes up {fraction:.1%} of the frame, {relation} a quarter"
        if choice == "center":
            reason += "; what lies outside of the largest square is not used (crop=pad keeps it)"
    warn(f"crop={choice}: {reason}.")
    return choice


def sample_videos(paths: Sequence[Path], known: dict[Path, Squares]) -> tuple[list[float], str]:
    """The object's fraction of the frame in some of the videos; their squares are kept in `known`."""

    def fraction(path: Path) -> float:
        known[path] = video_squares(path)
        return known[path].fraction

    return _fractions(evenly_chosen(paths, SAMPLED_VIDEOS), frame_size, fraction, "frames")


def sample_images(squares: ImageSquares, files: Sequence[Path]) -> tuple[list[float], str]:
    """The object's fraction of the image in some of the images."""
    return _fractions(evenly_chosen(files, SAMPLED_IMAGES), upright_size, squares.fraction, "images")


def _fractions(
    files: Sequence[Path],
    size_of: Callable[[Path], tuple[int, int]],
    fraction_of: Callable[[Path], float],
    noun: str,
) -> tuple[list[float], str]:
    fractions, reason = [], "no object was found"
    for file in files:
        try:
            if min(size_of(file)) < MIN_SIDE:
                return [], f"{noun} have fewer than {MIN_SIDE} pixels a side"
            fractions.append(fraction_of(file))
        except PplkitError as error:
            reason = str(error).rstrip(".")
    return fractions, reason


def warn(sentence: str) -> None:
    """Print a sentence for the user on stderr."""
    print(f"data_prep: {sentence}", file=sys.stderr, flush=True)


def video_cut(path: Path, number: int, known: dict[Path, Squares], sheet: "Sheet", threads: int = 0) -> Cut:
    """The squares around the object of the video of task `number`, from `known` if they are there.

    Prints warnings about them; raises PplkitError as `video_squares` does.
    """
    squares = known.pop(path, None) or video_squares(path, threads=threads)
    for sentence in squares.warnings(path.name):
        warn(sentence)

    def cut(seconds: float, image: Image.Image) -> Box:
        box = squares.box(seconds)
        sheet.add(number, image, box)
        return box

    return cut


def image_cut(
    crop: str, squares: ImageSquares | None, sheet: "Sheet", files: Sequence[Sequence[Path]]
) -> Callable[[Path, Image.Image, object], Box]:
    """A function from a file and its image to the square that `crop` names; squares of objects go to the sheet.

    `files` are the files of each task of the sheet.
    """
    numbers = {file: number for number, group in enumerate(files) for file in group}

    def cut(path: Path, image: Image.Image, label: object) -> Box:
        if crop != OBJECT or squares is None:
            return CROPS[crop](*image.size)
        box = squares.box(path)
        sheet.add(numbers[path], image, box)
        return box

    return cut


class Sheet:
    """Whole images with the squares that are cut out of them, evenly spread over the tasks of a preparation."""

    def __init__(self, tasks: int) -> None:
        self.every = max(1, tasks // SHEET_IMAGES)
        self.each = max(1, SHEET_IMAGES // max(tasks, 1))
        self.kept: dict[int, list[np.ndarray]] = {}
        self.steps: dict[int, tuple[int, int]] = {}  # of each task: images so far, and of how many one is kept
        self.lock = Lock()

    def add(self, task: int, image: Image.Image, box: Box) -> None:
        """The next image of a task."""
        if task % self.every:
            return
        with self.lock:
            kept = self.kept.setdefault(task, [])
            count, step = self.steps.get(task, (0, 1))
            if count % step == 0:
                kept.append(_drawn(image, box))
                if len(kept) > 2 * self.each:
                    kept[:], step = kept[::2], 2 * step
            self.steps[task] = count + 1, step

    def write(self, folder: Path) -> None:
        """The sheet as objects.png in the folder of the data set; raises PplkitError if it cannot be written."""
        images = [image for task in sorted(self.kept) for image in evenly_chosen(self.kept[task], self.each)]
        if not images:
            return
        try:
            _in_rows(images).save(folder / SHEET)
        except OSError as error:
            raise PplkitError(f"{folder / SHEET} cannot be written ({reason(error)}): make room for it.") from None


def _in_rows(images: Sequence[np.ndarray]) -> Image.Image:
    """Images uint8 (THUMB, THUMB, 3) side by side, COLUMNS in a row, on white."""
    step = THUMB + GAP
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (step * min(len(images), COLUMNS) - GAP, step * rows - GAP), "white")
    for number, image in enumerate(images):
        sheet.paste(Image.fromarray(image), (step * (number % COLUMNS), step * (number // COLUMNS)))
    return sheet


def _drawn(image: Image.Image, box: Box) -> np.ndarray:
    """The whole image with its box, uint8 (THUMB, THUMB, 3)."""
    frame = whole(*image.size)
    thumbnail = Image.fromarray(resized(image, THUMB, frame))
    scale = THUMB / (frame[2] - frame[0])
    edges = [scale * (edge - frame[i % 2]) for i, edge in enumerate(box)]
    edges = [min(max(edge, 0.0), THUMB - 1.0) for edge in edges]
    ImageDraw.Draw(thumbnail).rectangle((edges[0], edges[1], edges[2], edges[3]), outline="orange", width=2)
    return np.asarray(thumbnail)
