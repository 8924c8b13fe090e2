"""Trajectories smoothed without lag by Whittaker's smoother, whose strength follows from how far it may lead.

Smooth points minimize Σ w |z - x|² + λ Σ |z''|², z'' the acceleration at the times of the frames. Past and future count
alike, so nothing lags. λ is the same for all points: the largest that keeps them within a given distance of x.
"""

import numpy as np
from scipy.linalg import solveh_banded

from pplkit.core.errors import PplkitError

LOG10_RANGE = (-6.0, 10.0)  # of λ
GAP_WEIGHT = 1e-6  # of a straight line through gaps, which keeps the equations solvable however long the gaps are
MAX_LAG = 5  # frames
MIN_LAG_FRAMES = 40  # that a lag can be measured in


def smooth(points: np.ndarray, seconds: np.ndarray, within: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Smooth points (T, N, 2) at times (T,), at most `within` from the given ones in weighted root mean square.

    weights (T, N): 0 for what is unknown, and is interpolated; their scale for each point does not matter. Points with
    fewer than three known frames are only interpolated.
    """
    weights = np.ones(points.shape[:2]) if weights is None else weights
    result = interpolate_gaps(points, seconds, weights)
    enough = (weights > 0).sum(0) > 2
    if within <= 0 or not enough.any():
        return result
    known, straight = weights[:, enough], result[:, enough]
    scaled = known / (known.sum(0) / (known > 0).sum(0))
    bands = bending_bands(seconds)

    def smoothed(strength: float) -> np.ndarray:
        solution = np.empty_like(straight)
        for n in range(solution.shape[1]):
            w = np.maximum(scaled[:, n], GAP_WEIGHT)
            system = 10.0**strength * bands
            system[2] += w
            solution[:, n] = solveh_banded(system, w[:, None] * straight[:, n])
        return solution

    low, high = LOG10_RANGE
    while high - low > 0.05:
        middle = (low + high) / 2
        squared = scaled * np.square(smoothed(middle) - straight).sum(-1)
        low, high = (middle, high) if squared.sum() <= within**2 * scaled.sum() else (low, middle)
    result[:, enough] = smoothed(low)
    return result


def interpolate_gaps(points: np.ndarray, seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Points (T, N, 2) at times (T,) with straight lines where the weight (T, N) is 0."""
    result = np.array(points, float)
    for n in range(result.shape[1]):
        known = weights[:, n] > 0
        if known.any() and not known.all():
            for axis in range(2):
                result[~known, n, axis] = np.interp(seconds[~known], seconds[known], result[known, n, axis])
    return result


def bending_bands(seconds: np.ndarray) -> np.ndarray:
    """Σ |z''|² as a matrix in upper bands (3, T), time counted in median steps; with even steps z'' = z₋ - 2z + z₊."""
    steps = np.diff(seconds)
    steps = np.maximum(steps / max(float(np.median(steps)), 1e-9), 1e-3)
    before, after = steps[:-1], steps[1:]
    scale = np.sqrt(2 / (before + after))
    first, last = scale / before, scale / after
    middle = -first - last
    count = len(first)
    bands = np.zeros((3, len(seconds)))
    for offset, weight in enumerate((first, middle, last)):
        bands[2, offset : offset + count] += weight * weight
    bands[1, 1 : 1 + count] += first * middle
    bands[1, 2 : 2 + count] += middle * last
    bands[0, 2 : 2 + count] += first * last
    return bands


def short_gaps(known: np.ndarray, longest: int) -> np.ndarray:
    """Where, bool (T, N), at most `longest` frames in a row are not known, with a known one before and after."""
    short = np.zeros_like(known)
    for n in range(known.shape[1]):
        frames = np.flatnonzero(known[:, n])
        for before, after in zip(frames[:-1], frames[1:], strict=True):
            if 1 < after - before <= longest + 1:
                short[before + 1 : after, n] = True
    return short


def jitter(points: np.ndarray, truth: np.ndarray | None = None) -> float:
    """Root mean square acceleration of points (T, N, 2) per frame², NaN left out; with `truth`, that of the error.

    Without truth it includes the acceleration of the motion itself. NaN without three known frames in a row.
    """
    error = points if truth is None else points - truth
    squares = np.square(np.diff(error, 2, axis=0)).sum(-1)
    return float(np.sqrt(np.nanmean(squares))) if np.isfinite(squares).any() else float("nan")


def lag(points: np.ndarray, truth: np.ndarray) -> float:
    """By how many frames, -MAX_LAG to MAX_LAG, points (T, N, 2) come later than `truth`.

    The shift at which their velocities differ least in mean square, refined by a parabola through its neighbors; NaN
    where nothing known moves. Raises PplkitError for fewer than MIN_LAG_FRAMES frames.
    """
    if len(points) < MIN_LAG_FRAMES:
        raise PplkitError(f"{len(points)} frames are too few to measure a lag: give {MIN_LAG_FRAMES}.")
    velocities, true_velocities = np.diff(points, axis=0), np.diff(truth, axis=0)[MAX_LAG:-MAX_LAG]
    count = len(true_velocities)
    squares = [np.square(velocities[shift : shift + count] - true_velocities) for shift in range(2 * MAX_LAG + 1)]
    known = np.isfinite(squares).all(0)  # the same at each shift
    if not np.abs(true_velocities[known]).sum() > 0:
        return float("nan")
    errors = [float(square[known].mean()) for square in squares]
    best = int(np.argmin(errors))
    if best in (0, 2 * MAX_LAG):
        return float(best - MAX_LAG)
    before, least, after = errors[best - 1 : best + 2]
    return best - MAX_LAG + 0.5 * (before - after) / (before - 2 * least + after)
