"""Image files of every format and mode that Pillow reads, as upright RGB images, with clear errors."""

import base64
import html
import io
import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.words import quantity

MAX_PIXELS = 100_000_000  # of an image: more would take gigabytes
BAND_PIXELS = 2**22  # of an image with more than 8 bits, converted at a time
EXTERNAL_FORMATS = ("EPS", "WMF")  # Pillow hands these to other programs, and PostScript is a program itself
ORIENTATION = ExifTags.Base.Orientation
with suppress(ImportError):  # the images of phones
    import pillow_heif

    pillow_heif.register_heif_opener()
SUFFIXES = frozenset(Image.registered_extensions()) - {".eps", ".ps", ".pdf", ".mpg", ".mpeg", ".h5", ".hdf"}
"""File name endings of the image formats that Pillow reads by itself"""
HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
HEIF_REMEDY = "pip install pillow-heif, or save them as JPEG"
PAGED_SUFFIXES = frozenset((".gif", ".webp", ".tif", ".tiff", ".apng"))  # files that may hold several images
PAGE_SECONDS = 0.04
THUMBNAIL = 480  # pixels of the longer side


def read_image(path: Path, least: int | None = None) -> Image.Image:
    """The image as RGB, turned as its EXIF says; raises PplkitError naming a file that is missing or damaged.

    With `least`, a JPEG is decoded faster to a smaller size, whose sides are at least so long.
    """
    return _read(path, least)[0]


def read_cutout(path: Path) -> tuple[Image.Image, Image.Image | None]:
    """As `read_image`, with the opacity of each pixel (mode L), or None if the image cannot be transparent."""
    return _read(path, None)[:2]


def read_reduced(path: Path, least: int) -> tuple[Image.Image, tuple[int, int]]:
    """As `read_image` with `least`, with the width and height of the full image, upright."""
    image, _, size = _read(path, least)
    return image, size


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, without decoding it; raises PplkitError as `read_image` does."""
    with _opened(path) as image:
        return _upright(image, image.size)


def _read(path: Path, least: int | None) -> tuple[Image.Image, Image.Image | None, tuple[int, int]]:
    with _opened(path) as image:
        size = image.size
        if image.format == "PNG":  # a damaged name of its pixels' chunk makes them black without an error
            with Image.open(path) as checked:
                checked.verify()
        if least:
            image.draft("RGB", (least, least))
        image.load()
        if image.format == "JPEG":
            _check_scan(path, image, least)
        _check_size(path, image)  # again: an image inside an icon has a size of its own
        size = _upright(image, size)
        ImageOps.exif_transpose(image, in_place=True)
        opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        return as_rgb(image), opacity, size


def _check_scan(path: Path, image: Image.Image, least: int | None) -> None:
    """Raise ValueError for a JPEG whose data ends before its pixels.

    libjpeg then makes the rest gray, with a warning that Pillow does not pass on. Of such an image, data that is put
    in at the end changes the pixels.
    """
    if image.getpixel((image.width - 1, image.height - 1)) not in (128, (128, 128, 128)):
        return
    content = path.read_bytes()
    end = content.rfind(b"\xff\xd9")
    with Image.open(BytesIO(content[:end] + 64 * b"\x55" + content[end:])) as longer:
        if least:
            longer.draft("RGB", (least, least))
        if longer.tobytes() != image.tobytes():
            raise ValueError("its data ends before its pixels")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image, not yet decoded; what fails while it is in use becomes a PplkitError that names the file."""
    if not os.path.lexists(path):
        raise PplkitError(f"{path} is missing: correct the path or get the file again")
    check_file(path, "get it again or leave it out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is the limit here
            image = Image.open(path, formats=[kind for kind in Image.ID if kind not in EXTERNAL_FORMATS])
        with image:
            _check_size(path, image)
            yield image
    except PplkitError:
        raise
    except Exception as error:  # a torn file can fail anywhere inside Pillow's fifty readers
        raise PplkitError(
            f"{path} cannot be read as an image ({reason(error)}): get it again or leave it out"
        ) from error


def _upright(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height after the quarter turn that EXIF may ask for."""
    return (size[1], size[0]) if image.getexif().get(ORIENTATION) in range(5, 9) else size


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise PplkitError(
            f"{path} has {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}; make it smaller or remove it"
        )


def as_rgb(image: Image.Image) -> Image.Image:
    """Gray, palette, 16-bit, float and transparent images as RGB: scaled to 8 bits, transparent pixels white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray values of more bits as 8 bits; in bands, since eight bytes a value would take gigabytes.

    Floats up to 1 are fractions of white, values up to 255 are 8 bits, larger ones 16 bits.
    """
    step = max(1, BAND_PIXELS // image.width)
    bands = [(0, top, image.width, min(top + step, image.height)) for top in range(0, image.height, step)]
    largest = max(float(np.nan_to_num(np.asarray(image.crop(band))).max(initial=0)) for band in bands)
    scale = 1.0 if largest <= 255 else 1 / 257
    if image.mode.startswith("F") and largest <= 1:
        scale = 255.0
    if image.mode.startswith("I;16"):
        scale = 1 / 257
    gray = np.empty((image.height, image.width), np.uint8)
    for band in bands:
        values = np.nan_to_num(np.asarray(image.crop(band)).astype(np.float64))
        gray[band[1] : band[3]] = (values * scale).clip(0, 255).round()
    return Image.fromarray(gray)


def list_images(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, sorted; raises PplkitError if there are none."""
    return list_files(folder, SUFFIXES, "image of a format that Pillow reads")


def ignored_endings(folder: Path, suffixes: Collection[str]) -> Counter[str]:
    """How many files of a folder and its subfolders have other file name endings, by ending."""
    return Counter(path.suffix.lower() for path in _files(folder, set()) if not _listed(path, suffixes))


def _listed(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a file of a folder has one of the `suffixes`, and if it is HEIF, which has many kinds, can be read."""
    if path.suffix.lower() in HEIF_SUFFIXES & set(suffixes):
        with suppress(PplkitError), _opened(path):
            return True
        return False
    return path.suffix.lower() in suffixes


def unreadable_heif(folder: Path) -> list[Path]:
    """The files of a folder with an ending of HEIF that cannot be read."""
    heif = (path for path in _files(folder, set()) if path.suffix.lower() in HEIF_SUFFIXES)
    return sorted(path for path in heif if not _listed(path, SUFFIXES))


def ignored_files(folder: Path, suffixes: Collection[str]) -> str:
    """A sentence that counts the files of a folder that have other file name endings; "" if there are none."""
    endings = ignored_endings(folder, suffixes)
    if not endings:
        return ""
    remedies = dict.fromkeys(HEIF_SUFFIXES, f" ({HEIF_REMEDY})")
    counts = ", ".join(
        f"{count} {ending or 'without any'}{remedies.get(ending, '')}" for ending, count in endings.most_common()
    )
    total = sum(endings.values())
    files = f"{quantity(total, 'file')} with {'another ending is' if total == 1 else 'other endings are'}"
    return f"{files} left out of {folder}: {counts}"


def page_count(path: Path) -> int:
    """How many images a file of PAGED_SUFFIXES holds; 1 for others and for files that cannot be read."""
    if path.suffix.lower() not in PAGED_SUFFIXES:
        return 1
    with suppress(PplkitError), _opened(path) as image:
        return int(getattr(image, "n_frames", 1))
    return 1


def read_pages(path: Path) -> Iterator[tuple[float, Image.Image]]:
    """The images of a file with several, as `read_image`, with the seconds at which each is shown.

    Pages without a time take PAGE_SECONDS each. Raises PplkitError for a file that is missing or damaged.
    """
    seconds = 0.0
    with _opened(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield seconds, as_rgb(ImageOps.exif_transpose(image))
            seconds += image.info.get("duration", 0) / 1000 or PAGE_SECONDS


def list_files(folder: Path, suffixes: Collection[str], kind: str) -> list[Path]:
    """As `list_images` for other file name endings; `kind` names them in the error. Circular links end."""
    if not folder.is_dir():
        raise PplkitError(f"there is no folder {folder}; correct the path")
    files = sorted(path for path in _files(folder, set()) if _listed(path, suffixes))
    if not files:
        raise PplkitError(f"{folder} holds no {kind}; give the folder that does")
    return files


def _files(folder: Path, visited: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in visited:
        return
    visited.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise PplkitError(f"{folder} cannot be listed ({reason(error)}); make it readable or remove it") from error
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, visited)
        elif not entry.name.startswith("."):
            yield entry


def relative_name(path: Path, source: Path) -> str:
    """The path of a file below `source`, see `as_text`."""
    return as_text(path.relative_to(source))


def as_text(path: Path, errors: str = "replace") -> str:
    """A path in UTF-8: bytes of its name that are not text are replaced, or with "surrogateescape" kept for JSON."""
    return path.as_posix().encode("utf8", "surrogateescape").decode("utf8", errors)


def path_inside(folder: Path, name: str) -> Path:
    """The file `name` in `folder` or below; raises PplkitError for a name that leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise PplkitError(f"{name!r} does not lie in {folder}, as it should; correct the list that names it")
    return folder / name


def html_summary(summary: object, image: Image.Image | None = None) -> str:
    """What Jupyter shows of an object: its `repr`, above an image of at most THUMBNAIL pixels a side."""
    text = f"<pre>{html.escape(repr(summary))}</pre>"
    if image is None:
        return text
    small, file = image.convert("RGB"), io.BytesIO()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(file, "PNG")
    return f'{text}<img src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, S, S, 3) to float (B, 3, S, S) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def displayed(image: Image.Image, matrix: Any) -> Image.Image:
    """An image turned and mirrored by FFmpeg's display matrix of nine int32, None for none.

    Rows are x and y of the image, columns x and y on the screen: (x', y') = (a x + c y, b x + d y).
    """
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image, a, d = image.transpose(Image.Transpose.TRANSPOSE), c, b
    if a < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if d < 0 else image
