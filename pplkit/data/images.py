"""Picture files of every format and mode that Pillow reads, as upright RGB images, with clear errors."""

import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file

PIXELS = 100_000_000  # a picture of more is not opened: it would take gigabytes
SCANNED = 10 * PIXELS  # pixels times scans of a JPEG; progressive ones have about ten
BAND = 2**22  # pixels
PROGRAMS = ("EPS", "WMF")  # what Pillow hands to other programs: a file of PostScript is one itself, whatever its name
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


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of the picture, upright, as its head says them; raises PplkitError as `read_image` does."""
    with _opened(path) as image:
        return _upright(image, image.size)


def _read(path: Path, least: int | None) -> tuple[Image.Image, Image.Image | None, tuple[int, int]]:
    with _opened(path) as image:
        size = image.size
        if least:
            image.draft("RGB", (least, least))
        image.load()
        _check_size(path, image)  # again: a picture in an icon says its own
        size = _upright(image, size)
        ImageOps.exif_transpose(image, in_place=True)
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        return as_rgb(image), alpha, size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, not yet decoded; what fails while it is in use is a PplkitError that names it."""
    if not os.path.lexists(path):
        raise PplkitError(f"{path} is missing: correct the path or get the file again")
    check_file(path, "get it again or leave it out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is the kit's own
            image = Image.open(path, formats=[kind for kind in Image.ID if kind not in PROGRAMS])
        with image:
            _check_size(path, image)
            _check_scans(path, image)
            yield image
    except PplkitError:
        raise
    except Exception as error:  # a torn or hostile file can fail anywhere inside Pillow's fifty readers
        raise PplkitError(
            f"{path} cannot be read as a picture ({reason(error)}): get it again or leave it out"
        ) from error


def _upright(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height after the quarter turn that EXIF may ask for, with or without a mirror."""
    return (size[1], size[0]) if image.getexif().get(ORIENTATION, 1) >= 5 else size


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > PIXELS:
        raise PplkitError(
            f"{path} has {image.width} x {image.height} pixels, more than {PIXELS:,}; make it smaller or remove it"
        )


def _check_scans(path: Path, image: Image.Image) -> None:
    """Each scan of a JPEG goes over all of it, and takes a hundred bytes: thousands of them would take hours."""
    if image.format in ("JPEG", "MPO"):
        if path.stat().st_size > SCANNED:  # no picture has ten bytes a pixel
            raise PplkitError(f"{path} is longer than {SCANNED:,} bytes: save it anew or remove it")
        scans = path.read_bytes().count(b"\xff\xda")  # a byte of 255 among the pixels is followed by a zero
        if scans * image.width * image.height > SCANNED:
            raise PplkitError(f"{path} has {scans} scans of {image.size} pixels: save it anew or remove it")


def as_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette, 16 bit and transparent pictures as RGB: 16 bit scaled to 8, what is transparent as white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of more bits; in bands, since numbers of eight bytes would take gigabytes."""
    step = max(1, BAND // image.width)
    bands = [(0, top, image.width, min(top + step, image.height)) for top in range(0, image.height, step)]
    deep = image.mode.startswith("I;16") or any(np.asarray(image.crop(band)).max(initial=0) > 255 for band in bands)
    found = np.empty((image.height, image.width), np.uint8)
    for band in bands:
        values = np.nan_to_num(np.asarray(image.crop(band)).astype(np.float64))
        found[band[1] : band[3]] = (values.clip(0) / (257 if deep else 1)).clip(0, 255).round()
    return Image.fromarray(found)


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


def inside(folder: Path, name: str) -> Path:
    """The file that a list calls `name`, in `folder` or below; raises PplkitError for a name that leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise PplkitError(f"{name!r} is no file in {folder}, where it should be; correct the list that names it")
    return folder / name


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


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, S, S, 3) to float (B, 3, S, S) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
