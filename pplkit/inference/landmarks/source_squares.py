"""Images of a data set as sharp as their sources: the same squares, cut out again from the files they came from."""

import re
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.crops import CROPS, Box, current_name, resized
from pplkit.data.dataset import Dataset, Split
from pplkit.data.images import list_images, read_image
from pplkit.data.reader import crop_square
from pplkit.data.video import frames
from pplkit.inference.object_crop import ImageSquares

MAX_SIDE = 1120  # pixels of a square: twice the CSS pixels of the largest canvas
MAX_DIFFERENCE = 4.0  # of 255, in the mean, between a prepared image and its source made as small
VIDEO_FRAME = re.compile(r"(?P<file>.+) (?P<seconds>\d+\.\d{3}) s")  # the source of an image from a video
HALF_MILLISECOND = 5e-4  # to which times in sources are rounded


def source_squares(data: Dataset, split: Split, positions: Sequence[int]) -> list[np.ndarray]:
    """The images at `positions` of a split, uint8 (s, s, 3) with s up to MAX_SIDE, as the source files have them.

    The file is looked for in the folder that the data set was prepared from, and the square is cut out as in the
    preparation. Where the file is not there any more, or shows another part than the prepared image, this is returned.
    """
    root, crop = Path(str(data.origin.get("path", ""))), current_name(str(data.options.get("crop", "center")))
    find: Callable[[Path], str | Box] = lambda file: crop  # noqa: E731
    if crop not in CROPS:
        try:
            find = ImageSquares(list_images(root)).box  # of all images, as it learns from them what is object
        except PplkitError:  # videos, in which the object would have to be followed again from the first frame
            return [np.asarray(split.images[position]) for position in positions]
    squares = []
    for position in positions:
        prepared = np.asarray(split.images[position])
        square = None
        with suppress(PplkitError, OSError):
            image, box = _image_and_box(root, split.sources[position], data.size, find)
            square = _same_part(image, box, prepared)
        squares.append(prepared if square is None else square)
    return squares


def _same_part(image: Image.Image, box: Box, prepared: np.ndarray) -> np.ndarray | None:
    """The square `box` of an image; None if it does not show what was prepared, or is no larger."""
    side = min(MAX_SIDE, round(box[2] - box[0]))
    difference = np.abs(resized(image, len(prepared), box).astype(int) - prepared).mean()
    return resized(image, side, box) if side > len(prepared) and difference <= MAX_DIFFERENCE else None


def _image_and_box(root: Path, source: str, size: int, find: Callable[[Path], str | Box]) -> tuple[Image.Image, Box]:
    """The whole image of a source, and the square of it; raises PplkitError or OSError where there is none."""
    match = VIDEO_FRAME.fullmatch(source)
    file = root if root.is_file() else root / (match["file"] if match else source)
    if match:
        start = max(0.0, float(match["seconds"]) - HALF_MILLISECOND)
        with closing(frames(file, start, None, None)) as shots:
            _, image = next(shots)
    else:
        image = read_image(file)
    return image, crop_square(image, size, find(file))[0]
