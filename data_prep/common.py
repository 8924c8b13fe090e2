"""What every data set's module shares: reading pictures and text files with clear errors, and the command line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pplkit.dataset import open_dataset
from pplkit.errors import PplkitError


def read_image(path: Path) -> Image.Image:
    """The picture as RGB, grey ones too; raises PplkitError naming a file that is missing or damaged."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise PplkitError(f"{path} is missing; download the data set again") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PplkitError(f"{path} cannot be read as a picture ({error}); download it again or remove it") from error


def resized(image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """The part (left, top, right, bottom) of an image, or all of it, as uint8 (size, size, 3)."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


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


def parser(description: str | None) -> argparse.ArgumentParser:
    """SOURCE OUT --size --overwrite, to which a module adds its own options."""
    command = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help="the folder as downloaded")
    command.add_argument("out", type=Path, help="the folder to write the prepared data set to")
    command.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    command.add_argument("--overwrite", action="store_true", help="replace a data set that is already there")
    return command


def run(prepare: Callable[..., Path], command: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Prepare as the command line says and print the counts; the exit status, 2 after an error of one line."""
    try:
        data = open_dataset(prepare(**vars(command.parse_args(arguments))))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    print(f"{data.path}: {counts} images of {data.size} pixels")
    return 0
