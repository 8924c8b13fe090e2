"""The table of labeled landmarks: CSV with the header `image,landmark,x,y`, points in pixels of the prepared image."""

import csv
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import read_text, write_text

HEADER = ("image", "landmark", "x", "y")
Points = dict[tuple[str, str], tuple[float, float]]
"""(x, y) by image and landmark; 0 = center of the first pixel"""

MAX_OUTSIDE = 0.25  # of the image side, by which a point that the crop has cut off may lie outside


def write_points(path: Path, points: Mapping[tuple[str, str], tuple[float, float]]) -> None:
    """Write the table of labels as a whole; if writing fails, the file stays as it was."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerows([HEADER, *((image, name, *point) for (image, name), point in points.items())])
    write_text(path, text.getvalue())


def is_table(path: Path) -> bool:
    """Whether a file is such a table, or a CSV file that nobody else's is: its first words are not those of others."""
    if path.suffix.lower() != ".csv":
        return False
    first = path.open("rb").read(200).decode("utf8", "replace").splitlines()[:1]
    return not first or first[0].split(",")[0].strip().lower() not in ("scorer", "file")


def read_points(path: Path, size: int | None = None, rename: Callable[[str], str] = str) -> Points:
    """The labels of a table in its order; none if there is no file.

    `rename` gives one name for all names of an image. Raises PplkitError, naming the line, for a line that is
    malformed, labels a point a second time or lies far outside an image of `size` pixels.
    """
    points: Points = {}
    origins: dict[tuple[str, str], str] = {}  # the line of each label, and its name of the image
    if not path.exists():
        return points
    rows = csv.reader(io.StringIO(read_text(path, "save it as CSV in UTF-8"), newline=""))
    try:
        if tuple(word.strip().lower() for word in next(rows, [])) != HEADER:
            raise PplkitError(f"{path} must begin with the line {','.join(HEADER)}: correct it, or delete the file.")
        for row in filter(any, rows):
            where = f"{path}, line {rows.line_num},"
            (image, name), point = _point(row, where, size)
            key = rename(image), name
            if key in points:
                again = f"labels {name!r} on {image!r} a second time, after {origins[key]}"
                raise PplkitError(f"{where} {again}: remove one of them.")
            points[key], origins[key] = point, f"{image!r} in line {rows.line_num}"
    except csv.Error as error:
        raise PplkitError(f"{path} cannot be read as a table ({reason(error)}): save it as CSV in UTF-8.") from None
    return points


def _point(row: list[str], where: str, size: int | None) -> tuple[tuple[str, str], tuple[float, float]]:
    try:
        image, name, *numbers = (word.strip() for word in row)
        x, y = map(float, numbers)
    except ValueError:
        raise PplkitError(f"{where} is not {','.join(HEADER)}: correct it.") from None
    if not (image and name and math.isfinite(x) and math.isfinite(y)):
        raise PplkitError(f"{where} gives no point: correct it.")
    if size is not None and not all(-MAX_OUTSIDE * size <= v <= (1 + MAX_OUTSIDE) * size for v in (x, y)):
        raise PplkitError(
            f"{where} puts {name!r} at ({x:g}, {y:g}), outside of the prepared image of {size} x {size} pixels: correct"
            " it. Pixels of your own, larger images go into a table that begins with file,name,x,y,visible."
        )
    return (image, name), (x, y)
