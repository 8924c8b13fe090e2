"""Labeling landmarks by clicks, without the widgets: which landmark is next, and the table that keeps the clicks."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import to_pixels, to_unit
from pplkit.inference.landmarks.label_table import Points, read_points, write_points


class LabelSession:
    """A person labels images: `place` is the current position in `images`, `name` the next landmark.

    Every click writes the table anew, whole or as before. Labels of other images and landmarks in it are kept.

    Args:
        images: (n,) positions in a split, n > 0.
        names: the landmarks, in the order of clicking.
        size: side of the images in pixels.
        path: the table, whose labels are taken up.
        rename: gives the position, as text, of an image that the table names otherwise; other names unchanged.

    Raises:
        PplkitError: for an empty or repeated name, and for a malformed table.
    """

    def __init__(
        self,
        images: Sequence[int] | np.ndarray,
        names: Sequence[str],
        size: int,
        path: Path,
        rename: Callable[[str], str] = str,
    ) -> None:
        self.names = [name.strip() for name in names]  # as they are read back
        bad = [name for name in self.names if self.names.count(name) > 1 or len(name.splitlines()) != 1]
        if bad:
            what = "more than once, empty or of several lines"
            raise PplkitError(f"landmarks has {bad[0]!r} {what}: give each point its own name.")
        self.images, self.size, self.path = [str(image) for image in images], size, path
        self.points = read_points(path, size)
        self._table_keys = {(rename(image), name): (image, name) for image, name in self.points}
        self._history: list[tuple[int, int, Points]] = []  # place, number and points before each change
        self.place = next((k for k in range(len(self.images)) if not self.done(k)), 0)
        self.number = self._first_missing()

    @property
    def name(self) -> str:
        """The landmark of the next click; "" when the image has all of them."""
        return self.names[self.number] if self.number < len(self.names) else ""

    def done(self, place: int) -> bool:
        """Whether all landmarks of an image are labeled."""
        return all(key in self.points for key in self._keys(place))

    def click(self, point: np.ndarray) -> None:
        """Label the next landmark with a point (2,) in [-1, 1], and go on to the one after it, or the next image.

        Does nothing if the image has all labels. Raises PplkitError, and changes nothing, if the file is not writable.
        """
        if self.name:
            self._change({self._keys(self.place)[self.number]: self._pixels(point)})
            self.skip()

    def skip(self) -> None:
        """Leave the landmark as it is; after the last one of an image comes the next image."""
        self.number += 1
        if self.number >= len(self.names):
            self.go(1)

    def go(self, steps: int) -> None:
        """To an image before (-1) or after (1), as far as there is one, and to its first unlabeled landmark."""
        self.place = min(max(self.place + steps, 0), len(self.images) - 1)
        self.number = self._first_missing()

    def drag(self, points: np.ndarray) -> None:
        """Move the labels of the image to points (names, 2) in [-1, 1], NaN where there is none."""
        keys = self._keys(self.place)
        moved = {key: self._pixels(point) for key, point in zip(keys, points, strict=True)}
        self._change({key: value for key, value in moved.items() if key in self.points and np.isfinite(value).all()})

    def undo(self) -> None:
        """Take back the last click or drag, and go where it was."""
        if self._history:
            place, number, points = self._history[-1]
            self._write(points)
            self._history.pop()
            self.place, self.number = place, number

    def labels(self, place: int) -> np.ndarray:
        """The labels (names, 2) of an image in [-1, 1], NaN where there is none."""
        pixels = [self.points.get(key, (math.nan, math.nan)) for key in self._keys(place)]
        return to_unit(np.array(pixels, np.float64).reshape(-1, 2), self.size)

    def count(self) -> tuple[int, int]:
        """The number of labels so far, and the number of all."""
        keys = [key for place in range(len(self.images)) for key in self._keys(place)]
        return sum(key in self.points for key in keys), len(keys)

    def _first_missing(self) -> int:
        keys = self._keys(self.place)
        return next((k for k, key in enumerate(keys) if key not in self.points), len(keys))

    def _keys(self, place: int) -> list[tuple[str, str]]:
        """The keys of an image's landmarks in the table, in the order of the names."""
        keys = [(self.images[place], name) for name in self.names]
        return [self._table_keys.get(key, key) for key in keys]

    def _pixels(self, point: np.ndarray) -> tuple[float, float]:
        x, y = to_pixels(np.clip(point, -1, 1), self.size)
        return round(float(x), 3), round(float(y), 3)

    def _change(self, points: Points) -> None:
        before = self.place, self.number, dict(self.points)
        self._write({**self.points, **points})
        self._history.append(before)

    def _write(self, points: Points) -> None:
        write_points(self.path, points)
        self.points = points
