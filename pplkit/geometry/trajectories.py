"""Places over time made smooth without lag: Whittaker's smoother, whose strength follows from how far it may lead.

Smooth points minimise Σ w |z - x|² + λ Σ |z''|², z'' the acceleration at the times of the frames. Past and future count
alike, so nothing lags. λ is one number for all points, the largest with which they stay within a given distance of x.
"""

import numpy as np
from scipy.linalg import solveh_banded

RANGE = (-6.0, 10.0)  # logarithms of λ that are looked at
HINT = 1e-6  # weight of a straight line through gaps, which keeps the equations solvable however long they are


def smooth(points: np.ndarray, seconds: np.ndarray, within: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Points (T, N, 2) at times (T,), smooth: at most `within` from the given ones in weighted root mean square.

    weights (T, N): 0 for what is not known, and is interpolated; their scale for each point is of no matter. What has
    fewer than three known frames stays as it is.
    """
    weights = np.ones(points.shape[:2]) if weights is None else weights
    enough = (weights > 0).sum(0) > 2
    if within <= 0 or not enough.any():
        return bridged(points, seconds, weights)
    known, straight = weights[:, enough], bridged(points, seconds, weights)[:, enough]
    scaled = known / (known.sum(0) / (known > 0).sum(0))
    bands = bending(seconds)

    def smoothed(strength: float) -> np.ndarray:
        made = np.empty_like(straight)
        for n in range(made.shape[1]):
            w = np.maximum(scaled[:, n], HINT)
            system = 10.0**strength * bands
            system[2] += w
            made[:, n] = solveh_banded(system, w[:, None] * straight[:, n])
        return made

    low, high = RANGE
    while high - low > 0.05:
        middle = (low + high) / 2
        off = scaled * np.square(smoothed(middle) - straight).sum(-1)
        low, high = (middle, high) if off.sum() <= within**2 * scaled.sum() else (low, middle)
    made = bridged(points, seconds, weights)
    made[:, enough] = smoothed(low)
    return made


def bridged(points: np.ndarray, seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Points (T, N, 2) at times (T,) with straight lines through those whose weight (T, N) is 0."""
    made = np.array(points, float)
    for n in range(made.shape[1]):
        known = weights[:, n] > 0
        if known.any() and not known.all():
            for axis in range(2):
                made[~known, n, axis] = np.interp(seconds[~known], seconds[known], made[known, n, axis])
    return made


def bending(seconds: np.ndarray) -> np.ndarray:
    """Σ |z''|² as a matrix in upper bands (3, T), time counted in median steps; with even steps z'' = z₋ - 2z + z₊."""
    steps = np.diff(seconds)
    steps = np.maximum(steps / max(float(np.median(steps)), 1e-9), 1e-3)
    before, after = steps[:-1], steps[1:]
    scale = np.sqrt(2 / (before + after))
    first, last = scale / before, scale / after
    middle = -first - last
    bands = np.zeros((3, len(seconds)))
    for place, (one, other) in enumerate(((first, first), (middle, middle), (last, last))):
        bands[2, place : place + len(first)] += one * other
    bands[1, 1 : 1 + len(first)] += first * middle
    bands[1, 2 : 2 + len(first)] += middle * last
    bands[0, 2 : 2 + len(first)] += first * last
    return bands
