"""Landmarks that a person clicks on a handful of images: which is next, and the file that keeps them.

The file is CSV with the header `image,landmark,x,y`: the image's position in its split, the name, and pixels of the
prepared image, 0 = the centre of the first pixel. It is written anew with every click, complete or as before. Images
that it names in another way, as by their source, are left as they are.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pplkit.errors import PplkitError
from pplkit.geometry import to_pixels, to_unit
from pplkit.runs import write_text
from pplkit.texts import read_text

HEADER = ("image", "landmark", "x", "y")
Points = dict[tuple[str, str], tuple[float, float]]  # by image and landmark


class Labels:
    """Where a person is with the clicking: `place`, a position in `images`, and `name`, the landmark that is next.

    images (n,) are positions in a split of pictures of `size` pixels; `names` the landmarks, in the order of clicking;
    `path` the file, whose labels are taken up, also those of other images and landmarks, and kept.
    Raises PplkitError for a name twice, and for a file that is not of this form.
    """

    def __init__(self, images: Sequence[int], names: Sequence[str], size: int, path: Path) -> None:
        twice = [name for name in names if list(names).count(name) > 1 or not name.strip()]
        if twice:
            raise PplkitError(f"landmarks has {twice[0]!r} more than once or empty: give each point a name of its own.")
        self.images, self.names, self.size, self.path = [str(image) for image in images], list(names), size, path
        self.points = read_points(path, size)
        self._before: list[tuple[int, int, Points]] = []  # place, number and points before each change
        self.place = next((k for k in range(len(self.images)) if not self.done(k)), 0)
        self._find()

    @property
    def name(self) -> str:
        """The landmark that the next click is; "" when the image has all of them."""
        return self.names[self.number] if self.number < len(self.names) else ""

    def done(self, place: int) -> bool:
        """Whether all landmarks of an image have a label."""
        return all((self.images[place], name) in self.points for name in self.names)

    def click(self, point: np.ndarray) -> None:
        """Label the landmark that is next with a point (2,) in [-1, 1], and go on to the one after, or the next image.

        Does nothing if the image has them all. Raises PplkitError if the file cannot be written; nothing changes then.
        """
        if not self.name:
            return
        self._change({(self.images[self.place], self.name): self._pixels(point)})
        self.skip()

    def skip(self) -> None:
        """Leave the landmark as it is; after the last of an image comes the next image."""
        self.number += 1
        if self.number >= len(self.names):
            self.go(1)

    def go(self, steps: int) -> None:
        """To an image before (-1) or after (1), as far as there is one; there, to the first point without a label."""
        self.place = min(max(self.place + steps, 0), len(self.images) - 1)
        self._find()

    def drag(self, points: np.ndarray) -> None:
        """Put the labels of the image where they are wanted: (names, 2) in [-1, 1], NaN where there is none."""
        image = self.images[self.place]
        moved = {(image, name): self._pixels(point) for name, point in zip(self.names, points, strict=True)}
        self._change({key: value for key, value in moved.items() if key in self.points and np.isfinite(value).all()})

    def undo(self) -> None:
        """Take back the last click or drag, and go where it was."""
        if self._before:
            place, number, points = self._before[-1]
            self._write(points)
            self._before.pop()
            self.place, self.number = place, number

    def shown(self, place: int) -> np.ndarray:
        """The labels (names, 2) of an image in [-1, 1], NaN where there is none."""
        image = self.images[place]
        pixels = [self.points.get((image, name), (math.nan, math.nan)) for name in self.names]
        return to_unit(np.array(pixels, np.float64).reshape(-1, 2), self.size)

    def count(self) -> tuple[int, int]:
        """How many of the points asked for have a label, and how many are asked for."""
        asked = [(image, name) for image in self.images for name in self.names]
        return sum(key in self.points for key in asked), len(asked)

    def _find(self) -> None:
        """To the first landmark of the image without a label, if there is one."""
        image, count = self.images[self.place], len(self.names)
        self.number = next((k for k in range(count) if (image, self.names[k]) not in self.points), count)

    def _pixels(self, point: np.ndarray) -> tuple[float, float]:
        x, y = to_pixels(np.clip(point, -1, 1), self.size)
        return round(float(x), 3), round(float(y), 3)

    def _change(self, points: Points) -> None:
        before = self.place, self.number, dict(self.points)
        self._write({**self.points, **points})
        self._before.append(before)

    def _write(self, points: Points) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(HEADER)
        table.writerows((image, name, *point) for (image, name), point in points.items())
        write_text(self.path, text.getvalue())
        self.points = points


def read_points(path: Path, size: int | None = None) -> Points:
    """The labels of a file in its order, pixels (x, y) by image and landmark; none if there is no file.

    Raises PplkitError, naming the line, for one that is malformed, labels a point a second time or, where the `size` of
    the images is given, lies far outside of them.
    """
    found: Points = {}
    if not path.exists():
        return found
    rows = csv.reader(io.StringIO(read_text(path, "save it as CSV in UTF-8"), newline=""))
    try:
        if tuple(word.strip().lower() for word in next(rows, [])) != HEADER:
            raise PplkitError(f"{path} must begin with the line {','.join(HEADER)}: correct it, or delete the file.")
        for row in filter(any, rows):
            where = f"{path}, line {rows.line_num},"
            key, point = _point(row, where, size)
            if key in found:
                raise PplkitError(f"{where} labels {key[1]!r} on {key[0]!r} a second time: remove one of them.")
            found[key] = point
    except csv.Error as error:
        raise PplkitError(f"{path} cannot be read as a table ({error}): save it as CSV in UTF-8.") from None
    return found


def _point(row: list[str], where: str, size: int | None) -> tuple[tuple[str, str], tuple[float, float]]:
    try:
        image, name, *place = (word.strip() for word in row)
        x, y = (float(word) for word in place)
    except ValueError:
        raise PplkitError(f"{where} is not {','.join(HEADER)}: correct it.") from None
    far = size is not None and not (-size <= x < 2 * size and -size <= y < 2 * size)
    if not (image and name and math.isfinite(x) and math.isfinite(y)) or far:
        of = f" of a prepared image of {size} x {size} pixels" if size is not None else ""
        raise PplkitError(f"{where} gives no point{of}: correct it.")
    return (image, name), (x, y)
