"""Pictures that are there twice: the same file again, or the same picture in another size, format or compression.

Two pictures are near-duplicates if at most 4 of the 64 bits of their difference hashes differ (in each of 8 rows of 9
grey levels: is the next one brighter?) and their colours, over 9 x 8 cells, differ by at most 8 of 255 in the mean;
without the second, all plain pictures would be the same. Time grows with the square of the number of pictures.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from pplkit.errors import PplkitError
from pplkit.pictures import read_image

BITS = 4
BRIGHTER = 2  # of 255: less is noise, as on a white ground
COLOURS = 8.0
BLOCK = 256  # pictures compared with all others at a time
CELLS = (9, 8)
DRAFT = 64  # a JPEG need not be decoded finer than this


def near_pairs(paths: Sequence[Path]) -> tuple[list[tuple[int, int]], set[int]]:
    """Pairs (i, j), i < j, of near-duplicates among the pictures, and which of the pictures cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(tqdm(pool.map(_cells, paths), total=len(paths), desc="duplicates", unit="image"))
    rows = [row for row, cells in enumerate(found) if cells is not None]
    unreadable = set(range(len(paths))) - set(rows)
    if not rows:
        return [], unreadable
    colours = np.stack([cells for cells in found if cells is not None]).astype(np.float32)  # (n, 8, 9, 3)
    grey = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    bits = np.where(np.diff(grey, axis=2) > BRIGHTER, 1, -1).reshape(len(rows), -1).astype(np.float32)
    pairs = []
    for start in range(0, len(rows), BLOCK):
        # 64 - product = twice the number of bits that differ.
        close = bits[start : start + BLOCK] @ bits[start:].T >= bits.shape[1] - 2 * BITS
        one, other = (index + start for index in np.nonzero(np.triu(close, 1)))
        for part in range(0, len(one), BLOCK):
            i, j = one[part : part + BLOCK], other[part : part + BLOCK]
            same = np.abs(colours[i] - colours[j]).mean((1, 2, 3)) <= COLOURS
            pairs += [(rows[a], rows[b]) for a, b in zip(i[same], j[same], strict=True)]
    return sorted(pairs), unreadable


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
    found: dict[int, list[int]] = {}
    for index in sorted(parent):
        found.setdefault(root(index), []).append(index)
    return list(found.values())


def superfluous(pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """What to leave out so that no pair stays whole, and the earlier one that stands for it."""
    gone: dict[int, int] = {}
    for one, other in sorted(pairs):
        if one not in gone:
            gone.setdefault(other, one)
    return gone
