"""Picture files of every format and mode that Pillow reads, as upright RGB images, with clear errors."""

import os
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pplkit.errors import PplkitError

PIXELS = 100_000_000  # a picture of more is not opened: it would take gigabytes
ORIENTATION = ExifTags.Base.Orientation
SUFFIXES = frozenset(Image.registered_extensions()) - {".eps", ".ps", ".pdf", ".mpg", ".mpeg", ".h5", ".hdf"}
"""Endings of every format that Pillow reads as a picture by itself"""


def read_image(path: Path, least: int | None = None) -> Image.Image:
    """The picture as RGB, turned as its EXIF says; raises PplkitError naming a file that is missing or damaged.

    With `least`, a JPEG is decoded in less time to a smaller size, whose sides are no shorter than that.
    """
    return _read(path, least)[0]


def read_cutout(path: Path, least: int | None = None) -> tuple[Image.Image, Image.Image | None]:
    """The same, and how far each pixel is opaque (grey, 255 = quite), None where nothing can be transparent."""
    return _read(path, least)[:2]


def read_reduced(path: Path, least: int) -> tuple[Image.Image, tuple[int, int]]:
    """The picture as `read_image` gives it with `least`, and the width and height that all of it has, upright."""
    image, _, size = _read(path, least)
    return image, size


def _read(path: Path, least: int | None) -> tuple[Image.Image, Image.Image | None, tuple[int, int]]:
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
            size = image.size
            if least:
                image.draft("RGB", (least, least))
            upright = ImageOps.exif_transpose(image)
            if image.getexif().get(ORIENTATION, 1) >= 5:  # a quarter turn, and its mirror images
                size = size[1], size[0]
            alpha = upright.convert("RGBA").getchannel("A") if upright.has_transparency_data else None
            return as_rgb(upright), alpha, size
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
    return listed(folder, SUFFIXES, "picture of a format that Pillow reads")


def listed(folder: Path, suffixes: Collection[str], noun: str) -> list[Path]:
    """The files of a tree with one of these endings, which are of the kind `noun`, sorted; as for `pictures`."""
    if not folder.is_dir():
        raise PplkitError(f"there is no folder {folder}; correct the path")
    found = sorted(path for path in _files(folder, set()) if path.suffix.lower() in suffixes)
    if not found:
        raise PplkitError(f"{folder} holds no {noun}; give the folder that does")
    return found


def below(path: Path, source: Path) -> str:
    """How a file is called below `source`; what is no text in its name is replaced, since sources.txt is text."""
    return path.relative_to(source).as_posix().encode("utf8", "surrogateescape").decode("utf8", "replace")


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
