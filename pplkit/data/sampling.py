"""Evenly spread samples."""

from collections.abc import Sized

import numpy as np


def evenly_spaced(split: Sized, limit: int | None) -> np.ndarray:
    """Indices of at most `limit` images, evenly spread over the split or list."""
    count = len(split)
    if limit is None or count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(int)
