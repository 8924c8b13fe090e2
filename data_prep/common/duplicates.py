"""Images that are there twice: the same file again, or the same image in another size, format or compression.

Two images are near-duplicates if at most 4 of the 64 bits of their difference hashes differ (in each of 8 rows of 9
gray levels: is the next one brighter?) and their colors, over 9 x 8 cells, differ by at most 8 of 255 in the mean;
without the second, all plain images would be the same. Colours that differ so little have means that differ as
little: only images of about the same brightness are compared at all.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.progress import counted
from pplkit.data.images import read_image

BITS = 4
BRIGHTER = 2  # of 255: less is noise, as on a white ground
COLOURS = 8.0
BLOCK = 64  # images compared with others at a time
PART = 4096  # pairs whose colors are compared at a time
CELLS = (9, 8)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
DRAFT = 64  # a JPEG need not be decoded finer than this


def near_pairs(paths: Sequence[Path]) -> tuple[list[tuple[int, int]], set[int]]:
    """Pairs (i, j), i < j, of near-duplicates among the images, and which of the images cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        all_cells = list(counted(pool.map(_cells, paths), len(paths), "looking for duplicates"))
    rows = np.array([row for row, cells in enumerate(all_cells) if cells is not None], np.int64)
    unreadable = set(range(len(paths))) - set(rows.tolist())
    if not len(rows):
        return [], unreadable
    colours = np.stack([cells for cells in all_cells if cells is not None])
    pairs = alike(np.stack([_bits(cells) for cells in colours]), colours)
    return [(i, j) for i, j in rows[pairs].tolist()], unreadable


def alike(bits: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of rows i < j, in order, that are near; bits (n, 64) float32, -1 or 1, colors (n, 8, 9, 3) uint8.

    The sum of all differences is no less than the difference of the sums: those that are near have sums that are.
    """
    total = colours.sum((1, 2, 3), np.int64)
    order = np.argsort(total)
    bits, total = bits[order], total[order]
    reach = int(COLOURS * colours[0].size)
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(bits), BLOCK):
        block = bits[start : start + BLOCK]
        end = np.searchsorted(total, total[start + len(block) - 1] + reach, "right")
        # 64 - product = twice the number of bits that differ.
        close = block @ bits[start:end].T >= bits.shape[1] - 2 * BITS
        close[:, :BLOCK] = np.triu(close[:, :BLOCK], 1)
        one, other = (order[index + start] for index in np.divmod(np.flatnonzero(close), close.shape[1]))
        for part in range(0, len(one), PART):
            i, j = one[part : part + PART], other[part : part + PART]
            same = np.abs(colours[i].astype(np.int16) - colours[j]).sum((1, 2, 3)) <= reach
            pairs.append(np.sort(np.stack([i[same], j[same]], 1), axis=1))
    ordered = np.concatenate(pairs)
    return ordered[np.lexsort((ordered[:, 1], ordered[:, 0]))]


def _bits(cells: np.ndarray) -> np.ndarray:
    return np.where(np.diff(cells @ GREY) > BRIGHTER, 1, -1).astype(np.float32).ravel()


def _cells(path: Path) -> np.ndarray | None:
    try:
        return np.asarray(read_image(path, DRAFT).resize(CELLS, Image.Resampling.BOX))
    except (PplkitError, MemoryError):
        return None  # whoever makes the images will name the fault


def groups(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """What hangs together by pairs, each group sorted: [(1, 2), (2, 5)] -> [[1, 2, 5]]."""
    parent: dict[int, int] = {}

    def root(index: int) -> int:
        while parent.setdefault(index, index) != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for index in sorted(parent):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def superfluous(pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """What to leave out so that no pair stays whole, and the earlier one that stands for it."""
    gone: dict[int, int] = {}
    for one, other in sorted(pairs):
        if one not in gone:
            gone.setdefault(other, one)
    return gone
