"""What moves in a video whose camera stands, as masks; nothing is said where the camera moves or the object rests.

Laid over one another, frames show whether the camera stands; what differs from their median is what moves. Unlike
`motion`, which looks for one object in every frame, this leaves out a video that may mislead. Measured on built-in
puppets (64 and 32 px, 30 videos each): all videos of a standing camera are told from those of a moving one; in wide
scenes, of which a third are of a moving camera, and in crops that follow the object, of which all seem to be.
"""

from collections.abc import Sequence

import numpy as np

from pplkit.data.background import FLOOR, NOISE, USUAL, deviation, reduced
from pplkit.geometry.registration import displacement, estimate_transform, warp_image

SIDE = 64  # cells of a mask, and pixels at which frames are compared, at most
FEWEST = 6  # frames
PAIRS = 5, 3  # of neighboring frames, and of frames half a video apart, laid over one another to see the camera move
STANDS = 0.003  # of the image side, by which frames are off at most; by 0.004 and more where a camera moves
FITS = 2.5 / 255  # median difference of two frames that may be said to fit as they are
SLACK = 1.0  # cells by which an object that rests and breathes may move
EXPLAINED = 0.5  # share of what differs that such a motion explains: with more, nothing has moved from its place
SHARE = 0.25  # of a frame's largest deviation from the background, which is at QUANTILE: more is the object
QUANTILE = 0.998
FULL = 0.4  # share of the cells that differ: with more, the background is not known
ALIKE = 0.7  # share that the maps of two frames have in common: with more, what differs is not what moves


def moving(frames: Sequence[np.ndarray] | np.ndarray) -> np.ndarray | None:
    """Masks (T, SIDE, SIDE) uint8 of what moves in frames (T, H, W, 3) uint8 of one video, in order; H = W.

    None if there are fewer than FEWEST frames, if the camera moves, if too much or always the same differs from the
    median of the frames, or if an object that rests explains it. A frame in which nothing stands out has an empty mask.
    """
    if len(frames) < FEWEST:
        return None
    pictures = np.stack([small(frame) for frame in frames])
    if not stands(pictures):
        return None
    background = np.median(pictures, axis=0)
    slopes = np.hypot(*np.gradient(background, axis=(0, 1))).max(-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # black images have no light
        off = np.stack([deviation(picture, background) for picture in pictures])
        rest = np.stack([deviation(picture, background, SLACK, slopes) for picture in pictures])
    least = max(FLOOR, NOISE * float(np.median(np.quantile(off, USUAL, axis=0))))
    peaks = np.quantile(off.reshape(len(off), -1), QUANTILE, axis=1)
    found = off > np.maximum(least, SHARE * peaks)[:, None, None]
    seen = found[found.any((1, 2))]
    if not len(seen) or seen.mean() > FULL or _alike(seen) > ALIKE:
        return None
    if rest[found].sum() < (1 - EXPLAINED) * off[found].sum():
        return None
    return as_masks(found)


def stands(pictures: np.ndarray) -> bool:
    """Whether the camera stands in float images (T, h, w, 3) of one video, by laying frames over one another."""
    grey = pictures.mean(-1)
    for count, apart in zip(PAIRS, (1, len(grey) // 2), strict=True):
        first = np.unique(np.linspace(0, len(grey) - apart - 1, count).round().astype(int))
        try:
            off = [_displaced(grey[i], grey[i + apart]) for i in first]
        except np.linalg.LinAlgError:  # images of one color tell nothing
            return False
        if np.median(off) > STANDS * grey.shape[1]:
            return False
    return True


def _displaced(first: np.ndarray, second: np.ndarray) -> float:
    """By how many pixels the camera moved between gray images (h, w): 0 where they fit as well as they are."""
    move = estimate_transform(first, second, np.eye(3))
    before, after = np.abs(second - first), np.abs(warp_image(second, move, first.shape) - first)
    shown = np.isfinite(after)
    usual = float(np.median(before))
    if usual <= FITS and (not shown.any() or usual <= np.median(after[shown])):
        return 0.0
    return displacement(move, first.shape)


def as_masks(found: np.ndarray) -> np.ndarray:
    """Maps bool (n, h, h) as masks (n, SIDE, SIDE) uint8, 255 where a map is true at the middle of the cell."""
    cells = np.floor((np.arange(SIDE) + 0.5) * found.shape[-1] / SIDE).astype(int)
    return np.where(found[:, cells][:, :, cells], 255, 0).astype(np.uint8)


def small(frame: np.ndarray) -> np.ndarray:
    """A square frame uint8 as float (SIDE, SIDE, 3) in [0, 1], or smaller if it is."""
    return reduced(frame, SIDE)


def _alike(found: np.ndarray) -> float:
    """Mean share that maps bool (T, h, w) of two frames, neither empty, have in common of what either has."""
    flat = found.reshape(len(found), -1).astype(np.float32)
    both, each = flat @ flat.T, flat.sum(1)
    pairs = np.triu_indices(len(flat), 1)
    return float((both / (each[:, None] + each - both))[pairs].mean()) if len(flat) > 1 else 1.0
