"""The crop that a preparation takes when it is not told, and a image of the squares around the objects.

crop="auto" looks for the object in a few images or videos, evenly spread. Where a square around it, without margin,
takes up less than a quarter of the frame (the median), the crop is "object"; else what was usual: images of whole
frames would hardly show it, or show it well. Frames with a side below 160 pixels are not looked at: a part of them
would have too few pixels.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from pplkit.core.errors import PplkitError, reason
from pplkit.data.crops import CROPS, Box, resized, whole
from pplkit.data.images import upright_size
from pplkit.inference.object_crop import ImageSquares, Squares, video_squares

AUTO, OBJECT = "auto", "object"
SMALL = 0.25  # of the frame's area
LEAST = 160  # pixels of the shorter side
VIDEOS, PICTURES = 3, 24  # that are looked at
SHEET = "objects.png"
SHOWN = 24  # images on the sheet
THUMB, GAP = 192, 6  # pixels of a image on the sheet, and between two
COLUMNS = 8

Item = TypeVar("Item")
Cut = Callable[[float, Image.Image], Box]
"""From a frame of a video, and the seconds at which it is shown, to the part of it that is kept"""


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """`most` evenly spread ones of the items at most, in their order."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))] if items else []


class _Look(NamedTuple):
    """What a few files tell: of each the share of its frame that the object takes up; or why nothing can be told."""

    shares: list[float]
    nothing: str = ""


def chosen(crop: str, usual: str, look: Callable[[], _Look]) -> str:
    """`crop`, or for "auto" what `look` tells; one line on stdout says which it is and why."""
    if crop != AUTO:
        return crop
    shares, nothing = look()
    if not shares:
        told, picked = nothing or "no object was found", usual
    else:
        share = float(np.median(shares))
        picked = OBJECT if share < SMALL else usual
        told = f"the object takes up {share:.1%} of the frame, {'less than' if share < SMALL else 'at least'} a quarter"
    print(f"crop={picked}: {told}.", flush=True)
    return picked


def videos_look(paths: Sequence[Path], size_of: Callable[[Path], tuple[int, int]], known: dict[Path, Squares]) -> _Look:
    """Of a few of the videos; `size_of` gives width and height of a frame. What was found is kept in `known`."""
    shares, nothing = [], ""
    for path in spread(paths, VIDEOS):
        try:
            if min(size_of(path)) < LEAST:
                return _Look([], f"frames have fewer than {LEAST} pixels a side")
            known[path] = video_squares(path)
            shares.append(known[path].fraction)
        except PplkitError as error:
            nothing = str(error).rstrip(".")
    return _Look(shares, nothing)


def pictures_look(found: ImageSquares, files: Sequence[Path]) -> _Look:
    """Of a few of the images."""
    shares, nothing = [], ""
    for file in spread(files, PICTURES):
        try:
            if min(upright_size(file)) < LEAST:
                return _Look([], f"images have fewer than {LEAST} pixels a side")
            shares.append(found.fraction(file))
        except PplkitError as error:
            nothing = str(error).rstrip(".")
    return _Look(shares, nothing)


def say(sentence: str) -> None:
    """Tell a person what should be known of a file, on stderr."""
    print(f"data_prep: {sentence}", file=sys.stderr, flush=True)


def following(path: Path, number: int, known: dict[Path, Squares], sheet: "Sheet", threads: int = 0) -> Cut:
    """The squares around the object of a video, of task `number`, from `known` if they are there.

    Says what a person should know of them; raises PplkitError as `video_squares`.
    """
    squares = known.pop(path, None) or video_squares(path, threads=threads)
    for sentence in squares.warnings(path.name):
        say(sentence)

    def cut(seconds: float, image: Image.Image) -> Box:
        box = squares.box(seconds)
        sheet.add(number, image, box)
        return box

    return cut


def picture_cut(
    crop: str, found: ImageSquares | None, sheet: "Sheet", files: Sequence[Sequence[Path]]
) -> Callable[[Path, Image.Image, object], Box]:
    """From a image, with its file, to the square that `crop` names; those around objects go to the sheet.

    `files` are those of each task of the sheet.
    """
    numbers = {file: number for number, group in enumerate(files) for file in group}

    def cut(path: Path, image: Image.Image, label: object) -> Box:
        if crop != OBJECT or found is None:
            return CROPS[crop](*image.size)
        box = found.box(path)
        sheet.add(numbers[path], image, box)
        return box

    return cut


class Sheet:
    """Whole images with the squares that are cut out, evenly spread over the tasks of a preparation."""

    def __init__(self, tasks: int) -> None:
        self.every = max(1, tasks // SHOWN)
        self.each = max(1, SHOWN // max(tasks, 1))
        self.kept: dict[int, list[np.ndarray]] = {}
        self.steps: dict[int, tuple[int, int]] = {}  # of each task how many were given, and of how many one is kept
        self.lock = Lock()

    def add(self, task: int, image: Image.Image, box: Box) -> None:
        """The next image of a task."""
        if task % self.every:
            return
        with self.lock:
            kept = self.kept.setdefault(task, [])
            given, step = self.steps.get(task, (0, 1))
            if given % step == 0:
                kept.append(_drawn(image, box))
                if len(kept) > 2 * self.each:
                    kept[:], step = kept[::2], 2 * step
            self.steps[task] = given + 1, step

    def write(self, folder: Path) -> None:
        """The sheet as objects.png in the folder of the data set; raises PplkitError if it cannot be written."""
        shown = [one for task in sorted(self.kept) for one in spread(self.kept[task], self.each)]
        if not shown:
            return
        try:
            _in_rows(shown).save(folder / SHEET)
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
    """All of a image, uint8 (THUMB, THUMB, 3), with its box."""
    frame = whole(*image.size)
    picture = Image.fromarray(resized(image, THUMB, frame))
    scale = THUMB / (frame[2] - frame[0])
    edges = [scale * (edge - frame[i % 2]) for i, edge in enumerate(box)]
    edges = [min(max(edge, 0.0), THUMB - 1.0) for edge in edges]
    ImageDraw.Draw(picture).rectangle((edges[0], edges[1], edges[2], edges[3]), outline="orange", width=2)
    return np.asarray(picture)
