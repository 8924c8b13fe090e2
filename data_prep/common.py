"""What every data set's module shares: crops, text files with clear errors, the command line."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pplkit.dataset import open_dataset
from pplkit.errors import PplkitError
from pplkit.geometry import to_unit

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels from the image's left upper corner; may reach beyond its borders"""


def resized(image: Image.Image, size: int, box: Box | None = None) -> np.ndarray:
    """The part `box` of an image, or all of it, as uint8 (size, size, 3); for mode L, masks, (size, size).

    Where the box reaches beyond the image, the outermost pixels are repeated.
    """
    if box is not None:
        left, top = (max(0, math.ceil(-start)) for start in box[:2])
        right, bottom = (max(0, math.ceil(end - side)) for end, side in zip(box[2:], image.size, strict=True))
        if left or top or right or bottom:
            pixels = np.asarray(image)
            spare = [(top, bottom), (left, right), (0, 0)][: pixels.ndim]
            image = Image.fromarray(np.pad(pixels, spare, "edge"))
            box = box[0] + left, box[1] + top, box[2] + left, box[3] + top
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def whole(width: int, height: int) -> Box:
    """The square around the whole image, centred: its shorter side is filled up."""
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    return -left, -top, side - left, side - top


def centre(width: int, height: int) -> Box:
    """The largest square in the middle of the image."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def around(points: np.ndarray, margin: float) -> Box:
    """The square around points (J, 2), NaN left out: their extent, and `margin` of it on each side."""
    points = points[np.isfinite(points).all(-1)]
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2 + 0.5, max(float((high - low).max()), 1.0) * (0.5 + margin)
    return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half


def to_crop(points: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Pixel coordinates (..., 2), 0 = centre of the image's first pixel, to [-1, 1] of the resized crop."""
    start, end = np.array(box[:2]), np.array(box[2:])
    # Resizing keeps edges on edges: a pixel's centre is half a pixel from its edge before and after.
    return to_unit((points + 0.5 - start) * (size / (end - start)) - 0.5, size)


def read_table(path: Path, columns: int, remedy: str) -> list[list[str]]:
    """Rows of a text file of `columns` columns; the last may hold spaces. Raises PplkitError naming file and line."""
    if not path.is_file():
        raise PplkitError(f"{path} is missing; {remedy}")
    rows = [line.split(maxsplit=columns - 1) for line in path.read_text(encoding="utf8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise PplkitError(f"{path} has {len(row)} columns in line {number}, not {columns}; {remedy}")
    if not rows:
        raise PplkitError(f"{path} is empty; {remedy}")
    return rows


def parser(description: str | None, source: str = "the folder as downloaded") -> argparse.ArgumentParser:
    """SOURCE OUT --size --overwrite --strict --limit, to which a module adds its own options."""
    command = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help=source)
    command.add_argument("out", type=Path, help="the folder to write the prepared data set to")
    command.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    command.add_argument("--overwrite", action="store_true", help="replace a data set that is already there")
    command.add_argument("--strict", action="store_true", help="stop at the first file that cannot be used")
    command.add_argument(
        "--limit", type=float, default=0.1, help="share of the files that may be left out (default: 0.1)"
    )
    return command


def run(prepare: Callable[..., Path], command: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Prepare as the command line says and print the counts; the exit status, 2 after an error of one line."""
    given: dict[str, Any] = vars(command.parse_args(arguments))
    try:
        data = open_dataset(prepare(**given))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    print(f"{data.path}: {counts} images of {data.size} pixels")
    if data.dropped:
        print(f"{len(data.dropped)} left out; the first: {': '.join(data.dropped[0])} (all are in dataset.json)")
    return 0
