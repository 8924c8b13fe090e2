"""The squares around the object in files: in videos, and in pictures, of which a folder may hold the frames of a video.

The pictures of one folder that have one size are taken as frames, in the order of their numbers, if the camera stood or
moved a little between them; the others tell their object by its look, taught by all of them together. The same files
give the same squares, in preparation and in use.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.background import SIDE
from pplkit.data.crops import Box, Cropper, NoObject
from pplkit.data.images import read_reduced, upright_size
from pplkit.data.reader import OBJECT
from pplkit.data.video import PartlyRead, frames
from pplkit.inference.object_search import FEWEST, MARGIN, Squares, by_motion, search, squeezed, warnings
from pplkit.models.layers import saliency

REMEDY = "give crop=centre, or leave it out"


def in_video(path: Path, margin: float = MARGIN, threads: int = 0) -> Squares:
    """Where the object is in all frames of a video that can be read; `threads` decode (0: one for each core).

    Raises PplkitError for a video that cannot be read at all, and for one in which no object can be found.
    """

    def shots() -> Iterator[tuple[float, np.ndarray]]:
        with closing(frames(path, 0.0, None, None, threads)) as film, suppress(PartlyRead):
            for seconds, image in film:
                yield seconds, np.asarray(image)

    return search(shots, str(path), margin)


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files, folder by folder, frame 9 before frame 10."""

    def key(path: Path) -> tuple[str, list[tuple[str, int]], str]:
        parts = re.findall(r"(\D*)([0-9]*)", path.name)
        return str(path.parent), [(text, int(digits or 0)) for text, digits in parts], path.name

    return sorted(files, key=key)


class Pictures:
    """The squares of many pictures, found when they are asked for; several threads may ask."""

    def __init__(self, files: Sequence[Path], margin: float = MARGIN, say: Callable[[str], None] | None = None) -> None:
        """`files` are all that are to be cropped; those that cannot be read are left to whoever reads them.

        `say` gets a sentence about each folder of frames of which a person should know something.
        """
        self.margin, self.say = margin, say
        self.readable: list[Path] = []
        self.sizes: dict[Path, tuple[int, int]] = {}
        groups: dict[tuple[Path, tuple[int, int]], list[Path]] = {}
        for file in in_order(files):
            with suppress(PplkitError):
                self.sizes[file] = upright_size(file)
                groups.setdefault((file.parent, self.sizes[file]), []).append(file)
                self.readable.append(file)
        self._films = {key: _Film(group) for key, group in groups.items()}
        self._finder: saliency.Finder | None = None
        self._lock = Lock()

    def of(self, file: Path) -> Box:
        """The square of a picture, in its pixels; raises NoObject if there is none, PplkitError if it is damaged."""
        picture, (width, height) = _squeezed(file)
        if file in self.sizes:
            squares = self._film(file)
            if squares is not None:
                return squares[file]
        with self._lock:
            if self._finder is None:
                taught = [self.readable[i] for i in saliency.spread_over(len(self.readable))]
                self._finder = saliency.Finder([*_readable(taught)])
        found = self._finder.blobs(picture)
        if not len(found):
            raise NoObject(f"{file} shows no object that differs from its surroundings: {REMEDY}")
        left, top, right, bottom = found[0, :4] * [width, height, width, height]
        half = max(right - left, bottom - top) * (0.5 + self.margin)
        x, y = (left + right) / 2, (top + bottom) / 2
        return float(x - half), float(y - half), float(x + half), float(y + half)

    def share(self, file: Path) -> float:
        """The share of a picture's area that a square around the object takes up, without margin; errors as `of`."""
        left, _, right, _ = self.of(file)
        width, height = self.sizes[file]
        return ((right - left) / (1 + 2 * self.margin)) ** 2 / (width * height)

    def _film(self, file: Path) -> dict[Path, Box] | None:
        film = self._films[file.parent, self.sizes[file]]
        with film.lock:
            if not film.looked_at:
                film.look(self.margin, self.say)
        return film.squares


class _Film:
    """The pictures of one size in a folder, which may be frames of a video."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.squares: dict[Path, Box] | None = None
        self.looked_at = False
        self.lock = Lock()

    def look(self, margin: float, say: Callable[[str], None] | None) -> None:
        self.looked_at = True
        scale = 1

        def shots() -> Iterator[tuple[float, np.ndarray]]:
            nonlocal scale
            for number, file in enumerate(self.files):
                with suppress(PplkitError):
                    picture, scale = _frame(file)
                    yield float(number), picture

        found = by_motion(shots, margin) if len(self.files) >= FEWEST else None
        if found is None:
            return
        self.squares = {}
        for number, file in enumerate(self.files):
            left, top, right, bottom = found.at(number)
            self.squares[file] = left * scale, top * scale, right * scale, bottom * scale
        if say is not None:
            for sentence in warnings(found, str(self.files[0].parent)):
                say(sentence)


def _frame(file: Path) -> tuple[np.ndarray, int]:
    """A picture uint8 (h, w, 3), decoded to a fraction of its size, and which."""
    image, size = read_reduced(file, 2 * SIDE)
    return np.asarray(image), round(size[0] / image.width)


def _readable(files: Sequence[Path]) -> Iterator[np.ndarray]:
    for file in files:
        with suppress(PplkitError):
            yield _squeezed(file)[0]


def _squeezed(file: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture as `saliency` sees it, and its width and height."""
    image, size = read_reduced(file, 2 * saliency.SIDE)
    return squeezed(np.asarray(image)), size


class ObjectCropper:
    """As `Cropper`: squares that follow the object, without labels."""

    def video(self, path: Path) -> tuple[Callable[[float], Box], list[str]]:
        """From the seconds at which a frame of a video is shown to its square; sentences that a person should read."""
        squares = in_video(path)
        return squares.at, warnings(squares, str(path))

    def pictures(self, files: Sequence[Path], say: Callable[[str], None]) -> Callable[[Path], Box]:
        """From one of the pictures to its square."""
        return Pictures(files, say=say).of


def cropper(crop: str) -> str | Cropper:
    """A crop by its name, as `data.reader.seen` takes it."""
    return ObjectCropper() if crop == OBJECT else crop
