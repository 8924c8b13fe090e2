"""Picture files of every format and mode that Pillow reads, as upright RGB images, with clear errors."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pplkit.errors import PplkitError

PIXELS = 100_000_000  # a picture of more is not opened: it would take gigabytes
SUFFIXES = frozenset(Image.registered_extensions())  # of every format that Pillow knows


def read_image(path: Path) -> Image.Image:
    """The picture as RGB, turned as its EXIF says; raises PplkitError naming a file that is missing or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is the kit's own
            image = Image.open(path)
        with image:
            if image.width * image.height > PIXELS:
                raise PplkitError(
                    f"{path} has {image.width} x {image.height} pixels, more than {PIXELS:,}; "
                    "make it smaller or remove it"
                )
            return as_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise PplkitError(f"{path} is missing: correct the path or get the file again") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise PplkitError(f"{path} cannot be read as a picture ({error}): get it again or leave it out") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette, 16 bit and transparent pictures as RGB: 16 bit scaled to 8, what is transparent as white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        image = Image.fromarray((values.clip(0) / (257 if deep else 1)).clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def pictures(folder: Path) -> list[Path]:
    """The files of a tree whose ending is that of a picture, sorted; links are followed, but no circle of them.

    Raises PplkitError if there is no such folder or no such file.
    """
    if not folder.is_dir():
        raise PplkitError(f"there is no folder {folder}; correct the path")
    found = sorted(path for path in _files(folder, set()) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise PplkitError(f"{folder} holds no picture of a format that Pillow reads; give the folder that does")
    return found


def _files(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise PplkitError(f"{folder} cannot be listed ({error}); make it readable or remove it") from error
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, seen)
        elif not entry.name.startswith("."):
            yield entry
