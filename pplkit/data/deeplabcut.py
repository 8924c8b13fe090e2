"""Tables of DeepLabCut, .csv and .h5, one animal or several: labels of a project, and poses of `analyze_videos`.

In an .h5 nothing is executed: pandas' fixed format is plain arrays, and the names of the columns of its table format,
which are pickled, are read without classes.
"""

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.data.labels import Label, Labels, named_label, visible_label


def table_labels(path: Path, rows: Sequence[Sequence[str]]) -> Labels:
    """A table of DeepLabCut: lines scorer, bodyparts, coords, for several animals also individuals, then an image each.

    The first columns are the image's path, in one column or one a folder.
    """
    head = {row[0]: row for row in rows[:4] if row and row[0] in ("scorer", "individuals", "bodyparts", "coords")}
    if "bodyparts" not in head or "coords" not in head:
        raise PplkitError(f"{path} has no lines 'bodyparts' and 'coords', as DeepLabCut writes them: export it again")
    columns = [index for index, name in enumerate(head["coords"]) if name in ("x", "y")]
    body = [row for row in rows[len(head) :] if any(row)]
    if not columns or not body or any(len(row) <= columns[-1] for row in (*head.values(), *body)):
        raise PplkitError(f"{path} has lines that are too short, or no points; export it again")
    individuals = head.get("individuals", [""] * len(head["coords"]))
    keys = [(individuals[index], head["bodyparts"][index], head["coords"][index]) for index in columns]
    files = ["/".join(cell for cell in row[: columns[0]] if cell) for row in body]
    try:
        values = np.array([[float(row[index] or "nan") for index in columns] for row in body])
    except ValueError as error:
        raise PplkitError(f"{path} has coordinates that are not numbers ({error}); correct it") from None
    return _individuals(path, keys, files, values)


def _individuals(path: Path, keys: Sequence[tuple[str, str, str]], files: Sequence[str], values: np.ndarray) -> Labels:
    """Labels of DeepLabCut; `keys` (individual, body part, x or y) name the columns of values (files, columns)."""
    names = list(dict.fromkeys(name for _, name, _ in keys))
    position = {key: number for number, key in enumerate(keys)}
    objects: dict[str, list[Label]] = {}
    for file, row in zip(files, values, strict=True):
        labels = []
        for individual in dict.fromkeys(individual for individual, _, _ in keys):
            points = {
                name: (row[position[individual, name, "x"]], row[position[individual, name, "y"]])
                for name in names
                if (individual, name, "x") in position and (individual, name, "y") in position
            }
            label = named_label(names, points)
            if np.isfinite(label.points).any():
                labels.append(label)
        objects[file] = labels
    return Labels(path, names, [], objects)


def read_h5(path: Path) -> Labels:
    """The labels of an .h5; raises PplkitError for another file, and where h5py is missing."""
    try:
        import h5py
    except ImportError:
        raise PplkitError(f"{path} is read by the package h5py: pip install 'pplkit[data]'") from None
    try:
        with h5py.File(path, "r") as file:
            group = file[next(iter(file))]
            files, items, values = (_table_format if "table" in group else _fixed_format)(group)
    except (
        OSError, KeyError, ValueError, TypeError, IndexError, StopIteration, EOFError, pickle.UnpicklingError
    ) as error:  # fmt: skip
        raise PplkitError(
            f"{path} is not a table of DeepLabCut ({reason(error)}): give the CollectedData_*.csv beside it"
        ) from None
    keys = [(item[-3] if len(item) > 3 else "", item[-2], item[-1]) for item in items]
    columns = [number for number, key in enumerate(keys) if key[2] in ("x", "y")]
    return _individuals(path, [keys[number] for number in columns], files, values[:, columns].astype(np.float64))


H5Content = tuple[list[str], list[tuple[str, ...]], np.ndarray]
"""Files, or frames of a video; names of the columns; values (files, columns)"""


def _fixed_format(group: Any) -> H5Content:
    blocks = range(int(group.attrs["nblocks"]))
    values = np.concatenate([np.asarray(group[f"block{number}_values"]) for number in blocks], 1)
    items = [item for number in blocks for item in _levels(group, f"block{number}_items")]
    return ["/".join(level) for level in _levels(group, "axis1")], items, values


def _table_format(group: Any) -> H5Content:
    table = group["table"]
    items = _NoClasses(io.BytesIO(bytes(table.attrs["values_block_0_kind"]))).load()
    files = [value.decode() if isinstance(value, bytes) else str(value) for value in table["index"].tolist()]
    return files, [tuple(map(str, item)) for item in items], np.asarray(table["values_block_0"])


class _NoClasses(pickle.Unpickler):
    """Reads lists, tuples, text and numbers, and refuses all that could be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _levels(group: Any, axis: str) -> list[tuple[str, ...]]:
    """The entries of an axis of pandas' fixed format, plain or of several levels."""

    def texts(name: str) -> list[str]:
        return [
            value.decode() if isinstance(value, bytes) else str(value) for value in np.asarray(group[name]).tolist()
        ]

    if axis in group:
        return [(text,) for text in texts(axis)]
    levels = sorted(name for name in group if name.startswith(f"{axis}_level"))
    labels = [np.asarray(group[name.replace("_level", "_label")]).tolist() for name in levels]
    columns = [[texts(name)[code] for code in codes] for name, codes in zip(levels, labels, strict=True)]
    return list(zip(*columns, strict=True))


def merged(path: Path, tables: Sequence[Labels]) -> Labels:
    """The tables of a DeepLabCut project as one."""
    names = list(dict.fromkeys(name for table in tables for name in table.names))
    objects = {}
    for table in tables:
        order = [table.names.index(name) if name in table.names else -1 for name in names]
        for file, labels in table.objects.items():
            objects[file] = [_ordered(label, order) for label in labels]
    return Labels(path, names, [], objects)


def _ordered(label: Label, order: Sequence[int]) -> Label:
    return visible_label(np.concatenate([label.points, [[np.nan, np.nan]]])[list(order)])
