"""Landmarks that a person clicks on a handful of images: which is next, and the file that keeps them.

The file is CSV with the header `image,landmark,x,y`: the image's position in its split, the name, and pixels of the
prepared image, 0 = the centre of the first pixel. It is written anew with every click, complete or as before. Images
that it names in another way, as by their source, keep that name.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.texts import read_text
from pplkit.geometry.coordinates import to_pixels, to_unit
from pplkit.training.run_folder import write_text

HEADER = ("image", "landmark", "x", "y")
Points = dict[tuple[str, str], tuple[float, float]]  # by image and landmark


class Labels:
    """Where a person is with the clicking: `place`, a position in `images`, and `name`, the landmark that is next.

    images (n,), n > 0, are positions in a split of pictures of `size` pixels; `names` the landmarks, in the order of
    clicking; `path` the file, whose labels are taken up, also those of other images and landmarks, and kept. `known`
    gives the position, as text, of an image that the file calls otherwise; other names as they are.
    Raises PplkitError for no image or one below 0, for a name twice or none, and for a file that is not of this form.
    """

    def __init__(
        self,
        images: Sequence[int] | np.ndarray,
        names: Sequence[str],
        size: int,
        path: Path,
        known: Callable[[str], str] = str,
    ) -> None:
        self.names = [name.strip() for name in names]  # as they are read back
        bad = [name for name in self.names if self.names.count(name) > 1 or len(name.splitlines()) != 1]
        if bad:
            what = "more than once, empty or of several lines"
            raise PplkitError(f"landmarks has {bad[0]!r} {what}: give each point a name of its own.")
        self.images, self.size, self.path = [str(image) for image in positions(images)], size, path
        self.points = read_points(path, size)
        self._called = {(known(image), name): (image, name) for image, name in self.points}
        self._before: list[tuple[int, int, Points]] = []  # place, number and points before each change
        self.place = next((k for k in range(len(self.images)) if not self.done(k)), 0)
        self._find()

    @property
    def name(self) -> str:
        """The landmark that the next click is; "" when the image has all of them."""
        return self.names[self.number] if self.number < len(self.names) else ""

    def done(self, place: int) -> bool:
        """Whether all landmarks of an image have a label."""
        return all(key in self.points for key in self._keys(place))

    def click(self, point: np.ndarray) -> None:
        """Label the landmark that is next with a point (2,) in [-1, 1], and go on to the one after, or the next image.

        Does nothing if the image has them all. Raises PplkitError if the file cannot be written; nothing changes then.
        """
        if not self.name:
            return
        self._change({self._keys(self.place)[self.number]: self._pixels(point)})
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
        keys = self._keys(self.place)
        moved = {key: self._pixels(point) for key, point in zip(keys, points, strict=True)}
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
        pixels = [self.points.get(key, (math.nan, math.nan)) for key in self._keys(place)]
        return to_unit(np.array(pixels, np.float64).reshape(-1, 2), self.size)

    def count(self) -> tuple[int, int]:
        """How many of the points asked for have a label, and how many are asked for."""
        asked = [key for place in range(len(self.images)) for key in self._keys(place)]
        return sum(key in self.points for key in asked), len(asked)

    def _find(self) -> None:
        """To the first landmark of the image without a label, if there is one."""
        keys = self._keys(self.place)
        self.number = next((k for k, key in enumerate(keys) if key not in self.points), len(keys))

    def _keys(self, place: int) -> list[tuple[str, str]]:
        """What the file calls the landmarks of an image, in the order of the names."""
        keys = [(self.images[place], name) for name in self.names]
        return [self._called.get(key, key) for key in keys]

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


def positions(images: Any, count: int | None = None) -> list[int]:
    """Positions of images as Python's numbers, 0 to `count` - 1 where the number of images in the split is given.

    Raises PplkitError for none at all, and for anything else: a negative number would be written and not read back.
    """
    found = np.asarray(images, object).ravel().tolist()
    last, of = (math.inf, "") if count is None else (count - 1, f" of {count} images")
    remedy = f"give positions from 0 {'on' if count is None else f'to {last}'}{', or how many' if of else ''}."
    if not found:
        raise PplkitError(f"to_click chooses none{of}: {remedy}")
    for one in found:
        if not isinstance(one, Integral) or isinstance(one, bool) or not 0 <= int(one) <= last:
            raise PplkitError(f"to_click has {one!r}, which is no position{of}: {remedy}")
    return [int(one) for one in found]


def read_points(path: Path, size: int | None = None, known: Callable[[str], str] = str) -> Points:
    """The labels of a file in its order, pixels (x, y) by image and landmark; none if there is no file.

    `known` gives one name for all those of an image. Raises PplkitError, naming the line, for one that is malformed,
    labels a point a second time or, where the `size` of the images is given, lies far outside of them.
    """
    found: Points = {}
    given: dict[tuple[str, str], str] = {}  # where a label is, and what it calls the image
    if not path.exists():
        return found
    rows = csv.reader(io.StringIO(read_text(path, "save it as CSV in UTF-8"), newline=""))
    try:
        if tuple(word.strip().lower() for word in next(rows, [])) != HEADER:
            raise PplkitError(f"{path} must begin with the line {','.join(HEADER)}: correct it, or delete the file.")
        for row in filter(any, rows):
            where = f"{path}, line {rows.line_num},"
            (image, name), point = _point(row, where, size)
            key = known(image), name
            if key in found:
                again = f"labels {name!r} on {image!r} a second time, after {given[key]}"
                raise PplkitError(f"{where} {again}: remove one of them.")
            found[key], given[key] = point, f"{image!r} in line {rows.line_num}"
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
