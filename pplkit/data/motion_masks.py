"""Masks of what moves before a standing camera; None for videos whose camera moves or whose object rests.

Laid over one another, frames show whether the camera stands; what moves is what differs from their median. Unlike
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
FITS = 2.5 / 255  # largest median difference of two frames that count as aligned
SLACK = 1.0  # cells by which an object that rests and breathes may move
EXPLAINED = 0.5  # fraction of the difference that such a motion explains: with more, nothing has moved away
SHARE = 0.25  # of a frame's largest deviation from the background, at QUANTILE: more is the object
QUANTILE = 0.998
FULL = 0.4  # fraction of the cells that differ: with more, the background is unknown
ALIKE = 0.7  # overlap of the masks of two frames: with more, what differs does not move


def moving(frames: Sequence[np.ndarray] | np.ndarray) -> np.ndarray | None:
    """Masks (T, SIDE, SIDE) uint8 of what moves in frames (T, H, W, 3) uint8 of one video, in order; H = W.

    None if there are fewer than FEWEST frames, if the camera moves, if too many or always the same cells differ from
    the median, or if a resting object explains the difference. Frames in which nothing stands out have empty masks.
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
    maps = off > np.maximum(least, SHARE * peaks)[:, None, None]
    filled = maps[maps.any((1, 2))]
    if not len(filled) or filled.mean() > FULL or _alike(filled) > ALIKE:
        return None
    if rest[maps].sum() < (1 - EXPLAINED) * off[maps].sum():
        return None
    return as_masks(maps)


def stands(pictures: np.ndarray) -> bool:
    """Whether the camera stands in float images (T, h, w, 3) of a video, by laying frames over one another."""
    grey = pictures.mean(-1)
    for count, apart in zip(PAIRS, (1, len(grey) // 2), strict=True):
        first = np.unique(np.linspace(0, len(grey) - apart - 1, count).round().astype(int))
        try:
            off = [_displaced(grey[i], grey[i + apart]) for i in first]
        except np.linalg.LinAlgError:  # images of one color cannot be aligned
            return False
        if np.median(off) > STANDS * grey.shape[1]:
            return False
    return True


def _displaced(first: np.ndarray, second: np.ndarray) -> float:
    """Pixels by which the camera moved between two gray images (h, w); 0 if they are as similar without a motion."""
    move = estimate_transform(first, second, np.eye(3))
    before, after = np.abs(second - first), np.abs(warp_image(second, move, first.shape) - first)
    shown = np.isfinite(after)
    usual = float(np.median(before))
    if usual <= FITS and (not shown.any() or usual <= np.median(after[shown])):
        return 0.0
    return displacement(move, first.shape)


def as_masks(maps: np.ndarray) -> np.ndarray:
    """Maps bool (n, h, h) as masks (n, SIDE, SIDE) uint8, 255 where a map is true at the middle of the cell."""
    cells = np.floor((np.arange(SIDE) + 0.5) * maps.shape[-1] / SIDE).astype(int)
    return np.where(maps[:, cells][:, :, cells], 255, 0).astype(np.uint8)


def small(frame: np.ndarray) -> np.ndarray:
    """A square frame uint8 as float (SIDE, SIDE, 3) in [0, 1], or smaller if it is."""
    return reduced(frame, SIDE)


def _alike(maps: np.ndarray) -> float:
    """Mean intersection over union of the maps bool (T, h, w), none of them empty, of two frames."""
    flat = maps.reshape(len(maps), -1).astype(np.float32)
    both, each = flat @ flat.T, flat.sum(1)
    pairs = np.triu_indices(len(flat), 1)
    return float((both / (each[:, None] + each - both))[pairs].mean()) if len(flat) > 1 else 1.0
