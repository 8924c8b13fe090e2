"""The path of one object through the blobs of a video's frames, and steady squares around it."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from pplkit.geometry.trajectories import smooth

EXTENT = 0.95  # quantile of the object's extents that a square of constant size holds
GROSS = 2.0  # times its median: a larger extent is not of the object alone
SWELLS = 1.5  # times the least extent of any while that the largest has: then the size changes with time
WHILE = 101  # frames
STEADY = 0.05  # of the square's side: how far smooth squares may be from the object, in root mean square ...
OFF = 0.1  # ... and at most, in which they still hold it
JUMP, NEAR = 1.5, 7  # an object that is so many times its extent away from where it is in so many frames is another
LEAPS = 0.1  # share of frames that may be that: if there are more, they are in no order
STRAY = 0.5  # what a way of one extent costs, in weights of the largest blob
FARTHEST = 3.0  # extents: a longer way costs no more
SIZES = 0.5  # logarithm of the extent by which sizes of one object differ
RIVAL = 0.3  # of the weight of the largest blob, from which another one is an object of its own
TRAVELS = 1.0  # extents that an object must cover for the background to show all of it ...
WANDERS = 2.0  # ... and within which one whose extent changes much is seen in parts
RARE = 0.02  # share of blobs that are no part of the object
CHANGES = 0.17  # standard deviation of the logarithm of the extent that is much


def followed(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The boxes (T, 4) of one object, chosen among the blobs (k, 5) of each of T frames; NaN in frames without blobs.

    They are the path with the largest sum of weights less costs: a blob weighs its fraction of the largest one in its
    frame, less if its size is unusual; a way costs STRAY for each extent, up to FARTHEST of them.
    """
    boxes = np.full((len(rows), 4), np.nan)
    usual = float(np.median([_extent(row)[0] for row in rows if len(row)] or [1.0]))
    back: list[tuple[int, np.ndarray]] = []
    score, last = np.zeros(1), np.empty((0, 5))
    for number, row in enumerate(rows):
        if not len(row):
            continue
        strange = np.log(np.maximum(_extent(row), 1e-9) / usual) / SIZES
        weight = row[:, 4] / row[:, 4].max() * np.exp(-np.square(strange) / 2)
        best = np.zeros(len(row), int)
        if len(last):
            ways = np.hypot(*(_middle(row)[:, None] - _middle(last)[None]).transpose(2, 0, 1))
            extent = np.minimum(_extent(row)[:, None], _extent(last)[None])
            total = score[None] - STRAY * np.minimum(ways / np.maximum(extent, 1e-9), FARTHEST)
            best = total.argmax(axis=1)
            weight = weight + total.max(axis=1)
        back.append((number, best))
        score, last = weight, row
    blob = int(score.argmax())
    for number, best in reversed(back):
        boxes[number] = rows[number][blob, :4]
        blob = int(best[blob])
    return boxes


def _middle(row: np.ndarray) -> np.ndarray:
    return (row[:, :2] + row[:, 2:4]) / 2


def _extent(row: np.ndarray) -> np.ndarray:
    return (row[:, 2:4] - row[:, :2]).max(axis=1)


def astray(middle: np.ndarray, extent: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """The frames, bool (T,), in which an object at `middle` (T, 2) is far from where it is in the frames around.

    None, if there were so many that the frames are in no order.
    """
    there = np.flatnonzero(detected)
    away = np.zeros(len(detected), bool)
    if len(there) < NEAR:
        return away
    usual = ndimage.median_filter(middle[there], size=(NEAR, 1), mode="nearest")
    far = np.hypot(*(middle[there] - usual).T) > JUMP * np.median(extent[there])
    if far.mean() <= LEAPS:
        away[there[far]] = True
    return away


def sides_over(extent: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Sides (T,) of squares that hold extents (T,): constant, or slowly changing if the extents in some part of the
    video are far larger than in others.
    """
    known = np.minimum(extent[detected], GROSS * np.median(extent[detected]))
    constant = float(np.quantile(known, EXTENT))
    if len(known) < 2 * WHILE:
        return np.full(len(extent), constant)
    slow = ndimage.percentile_filter(known, 100 * EXTENT, size=WHILE, mode="nearest")
    slow = ndimage.gaussian_filter1d(slow, WHILE / 4, mode="nearest")
    if slow.max() <= SWELLS * slow.min():
        return np.full(len(extent), constant)
    return np.interp(np.arange(len(extent)), np.flatnonzero(detected), slow)


def squares_around(chosen: np.ndarray, seconds: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Squares (T, 4) around an object at (T, 4), NaN where it was not found, with `margin` on each side of its extent.

    Also returns the frames in which it was found, bool (T,), and the median of its squared extents.
    """
    middle, extent = _middle(chosen), _extent(chosen)
    detected = np.isfinite(extent)
    detected &= ~astray(middle, extent, detected)
    side = sides_over(extent, detected) * (1 + 2 * margin)
    there = np.where(detected[:, None], middle, 0)[:, None]
    smoothed = smooth(there, seconds, STEADY * float(np.median(side)), detected[:, None].astype(float))[:, 0]
    off = np.where(detected[:, None], smoothed - middle, 0)
    smoothed = smoothed - off + np.clip(off, -OFF * side[:, None], OFF * side[:, None])
    boxes = np.concatenate([smoothed - side[:, None] / 2, smoothed + side[:, None] / 2], axis=1)
    return boxes, detected, float(np.median(np.square(extent[detected])))


def stays(chosen: np.ndarray) -> bool:
    """Whether an object at (T, 4), NaN where it was not found, stays in one place, so that motion shows only parts."""
    chosen = chosen[np.isfinite(chosen[:, 0])]
    if len(chosen) < 2:
        return True
    travel = float(np.ptp(_middle(chosen), axis=0).max()) / float(np.median(_extent(chosen)))
    return travel < TRAVELS or (travel < WANDERS and in_parts(chosen))


def in_parts(chosen: np.ndarray) -> bool:
    """Whether the extent of an object at (T, 4), NaN where it was not found, changes as if only parts were seen."""
    extent = _extent(chosen[np.isfinite(chosen[:, 0])])
    return float(np.log(np.maximum(extent, 1e-9)).std()) > CHANGES


def rivals(rows: Sequence[np.ndarray]) -> float:
    """The fraction of frames whose blobs (k, 5), largest first, belong to several objects."""
    return float(np.mean([len(row) > 1 and row[1, 4] >= RIVAL * row[0, 4] for row in rows]))


def together(rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One blob (1, 5) for each frame with blobs (k, 5): around all large blobs of the video except outliers."""
    large = np.concatenate([row[row[:, 4] >= RIVAL * row[0, 4]] for row in rows if len(row)])
    low, high = np.quantile(large[:, :2], RARE, axis=0), np.quantile(large[:, 2:4], 1 - RARE, axis=0)
    around = np.array([[*low, *high, 1.0]])
    return [around[: len(row)] for row in rows]
