"""Moving objects in front of a background, the median of many frames, before a standing camera and before one that
turns, zooms or shakes, whose frames are first laid over one another (`geometry.registration`).

A frame differs from the background where a color deviates by more than noise, after the background was given the
light of the frame. Blobs are found by hysteresis: each has a pixel with half the largest deviation of the frame, and
extends to all neighbors above a small fraction of it, so that limbs are in and faint shadows out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from pplkit.geometry.registration import OVERLAP, canvas_size, transforms_from_middle, warp_image

SIDE = 160  # pixels of the longer side at which objects are looked for
SAMPLE = 100  # frames at most whose median is the background
BLUR = 1.0  # standard deviation in pixels at SIDE
FLOOR = 5 / 255  # a smaller deviation is noise
NOISE = 5.0  # times the usual deviation of a pixel; less is noise
LOUD = 20 / 255  # the largest noise of a whole frame
USUAL = 0.25  # quantile of a pixel's deviations that counts as usual; an object may cover it most of the time
SEED, REACH = 0.5, 0.15  # of the frame's largest deviation: a pixel of a blob has the first, all have the second
JOIN = 2  # pixels at SIDE: parts at most twice as far from one another are one blob
BLOBS = 4  # kept of a frame
OUTLINED = 1.5  # ratio of the background's gradients to the frame's at the rim of an object that has gone
GONE = 0.05  # fraction of the frames that must show the background without it
SLACK = 0.5  # pixels by which aligned frames may be off
WIDEST = 3.0  # image sides: the widest view of a moving camera
LIGHT = (0.5, 2.0)  # how much darker and brighter a frame may be than the background
LOCAL = 1 / 8  # of the longer side: scale at which brightness varies
COARSE = 4  # pixels at SIDE between those at which the light is measured
LEAP = 0.1  # of the brightness: a larger difference is not due to the light
DARK = 0.1  # added to brightness in [0, 1] before ratios are taken


class Scene(NamedTuple):
    """A background, seen where nothing moves."""

    image: np.ndarray  # (h, w, 3) float32 in [0, 1], NaN where no frame shows it
    noise: np.ndarray  # (h, w) usual deviation of frames


def reduced(frame: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A frame uint8 (H, W, 3) as float32 (h, w, 3) in [0, 1], with at most `side` pixels on the longer side."""
    image, share = Image.fromarray(frame), side / max(frame.shape[:2])
    if share < 1:
        width, height = (max(1, round(n * share)) for n in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255


def deviation(
    picture: np.ndarray, image: np.ndarray, slack: float = 0.0, slopes: np.ndarray | None = None, blur: float = BLUR
) -> np.ndarray:
    """The difference (h, w) of an image and a background, float (h, w, 3), in the color that differs most; 0 for NaN.

    Differences that an offset of `slack` pixels explains, by the background's `slopes` (h, w), do not count.
    """
    difference = np.abs(picture - image * _light(picture, image))
    difference = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    if slopes is not None:
        difference = np.maximum(difference - slack * slopes, 0)
    return ndimage.gaussian_filter(np.where(np.isfinite(difference), difference, 0).astype(np.float32), blur)


def _light(picture: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The brightness (h, w, 3) of an image in fractions of the background's: of each color, times one that varies.

    The latter varies over `LOCAL` of the longer side and follows the pixels that hardly differ from the background.
    """
    step = max(1, round(COARSE * max(image.shape[:2]) / SIDE))
    coarse = picture[::step, ::step], image[::step, ::step]
    seen = np.isfinite(coarse[0][..., 0]) & np.isfinite(coarse[1][..., 0])
    if not seen.any():
        return np.ones((1, 1, 3), np.float32)
    ours, theirs = coarse[0][seen], coarse[1][seen]
    whole = np.clip(np.median((ours + DARK) / (theirs + DARK), axis=0), *LIGHT)
    ours, theirs = ours.mean(axis=1), (theirs * whole).mean(axis=1)
    trust = 1 / np.square(1 + np.square((ours - theirs) / (theirs + DARK) / LEAP))
    sums = np.zeros((2, *seen.shape), np.float32)
    sums[0, seen], sums[1, seen] = trust * ours * theirs, trust * theirs * theirs
    width = LOCAL * max(seen.shape)
    product, square = (ndimage.gaussian_filter(total, width, truncate=2.0) for total in sums)
    usual = 0.02 * float((theirs * theirs).mean())  # far from trusted pixels only the color factors count
    local = np.clip((product + usual) / (square + usual), *LIGHT)
    across = [np.minimum(np.arange(n) / step, m - 1) for n, m in zip(image.shape[:2], local.shape, strict=True)]
    return _between(local, *across)[..., None] * whole.astype(np.float32)


def _between(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values (h, w) at fractional rows (H,) and columns (W,), interpolated linearly to (H, W)."""
    for positions in (rows, columns):  # one axis, then the other
        first = np.minimum(positions.astype(int), max(len(values) - 2, 0))
        blend = (positions - first).astype(np.float32)[:, None]
        values = (values[first] * (1 - blend) + values[np.minimum(first + 1, len(values) - 1)] * blend).T
    return values


def scene_of(pictures: Sequence[np.ndarray]) -> Scene:
    """The background of float images (h, w, 3) of a standing camera: their median.

    Where an object rested for most of the time, it is the median of the frames without the object.
    """
    stack = np.stack(pictures)
    image = np.median(stack, axis=0)
    off = np.stack([deviation(picture, image) for picture in stack])
    noise = np.quantile(off, USUAL, axis=0)
    left = np.stack([_left_behind(picture, image, part, noise) for picture, part in zip(stack, off, strict=True)])
    gone = left.mean(axis=0) >= GONE
    if gone.any():
        shown = _quantile(np.where(left[:, gone, None], stack[:, gone], np.nan), 0.5)
        image[gone] = shown
        off = np.stack([deviation(picture, image) for picture in stack])
        noise = np.quantile(off, USUAL, axis=0)
        noise[gone] = np.median(noise)  # the object itself, mostly
    return Scene(image, noise)


def _left_behind(picture: np.ndarray, image: np.ndarray, off: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Mask (h, w) of the blobs in which the background shows an object that has gone in the image.

    The outline of a blob is in the image if the object is there, and in the background if it has gone.
    """
    labels, chosen = _labelled(off, noise, JOIN)
    ours, theirs = _slopes(picture), _slopes(image)
    mask = np.zeros(off.shape, bool)
    for number in chosen:
        blob = labels == number
        rim = ndimage.binary_dilation(blob, iterations=1) & ~ndimage.binary_erosion(blob, iterations=2)
        if theirs[rim].mean() > OUTLINED * ours[rim].mean():
            mask |= ndimage.binary_dilation(blob, iterations=2)
    return mask


def changed(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """Mask (h, w) of the pixels that deviate from the background by more than noise."""
    return deviation(picture, scene.image) > np.clip(NOISE * np.median(scene.noise), FLOOR, LOUD)


def unlike(first: np.ndarray, second: np.ndarray, move: np.ndarray) -> float:
    """The fraction of the pixels of an image (h, w, 3) that differ in another one, laid over it by a transform.

    1 if they hardly overlap.
    """
    laid = warp_image(second, move, first.shape[:2])
    seen = np.isfinite(laid[..., 0])
    if seen.mean() < OVERLAP:
        return 1.0
    return float((deviation(laid, first, SLACK, _slopes(first)) > 2 * FLOOR)[seen].mean())


def _slopes(image: np.ndarray) -> np.ndarray:
    """Length (h, w) of the gradient of an image (h, w, 3), in the color with the largest."""
    return np.max([np.hypot(*np.gradient(np.nan_to_num(image[..., colour]))) for colour in range(3)], axis=0)


def _labelled(off: np.ndarray, noise: np.ndarray, join: int) -> tuple[np.ndarray, list[int]]:
    """Connected regions (h, w) of a deviation, numbered from 1, and the numbers of the blobs among them."""
    peak = float(off.max())
    # Where the object often is, its own motion looks like noise, which must not hide it.
    least = np.maximum(FLOOR, np.minimum(NOISE * noise, SEED * peak))
    reaching = off > np.maximum(least, REACH * peak)
    seeds = reaching & (off > np.maximum(2 * FLOOR, SEED * peak))
    joined, _ = ndimage.label(ndimage.binary_dilation(reaching, iterations=join) if join else reaching)
    return np.where(reaching, joined, 0), sorted(set(joined[seeds].tolist()))


def blobs(off: np.ndarray, noise: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """The blobs of a deviation (h, w), largest first: the sum of squares, and (x, y) (n, 2) of the pixels."""
    labels, chosen = _labelled(off, noise, JOIN)
    parts = ndimage.find_objects(labels)
    sums = []
    for number in chosen:
        y, x = np.nonzero(labels[parts[number - 1]] == number)
        y, x = y + parts[number - 1][0].start, x + parts[number - 1][1].start
        sums.append((float(np.square(off[y, x]).sum()), np.stack([x, y], axis=1)))
    return sorted(sums, key=lambda blob: -blob[0])[:BLOBS]


def still_blobs(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """Left, top, right, bottom and weight (k, 5) of the blobs of an image of a standing camera, largest first."""
    rows = blobs(deviation(picture, scene.image), scene.noise)
    return np.array([[*pixels.min(0), *(pixels.max(0) + 1), weight] for weight, pixels in rows]).reshape(-1, 5)


def moving_blobs(pictures: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
    """Blobs (k, 5) as in `still_blobs` of consecutive images (h, w, 3) of a moving camera, and the fraction of each
    image that the background does not explain.
    """
    shape = pictures[0].shape[:2]
    moves = transforms_from_middle([picture.mean(axis=-1) for picture in pictures])
    sides = canvas_size(moves, shape, WIDEST)
    laid = np.stack([warp_image(picture, move, sides) for picture, move in zip(pictures, moves, strict=True)])
    image = _median(laid)
    off = np.stack([deviation(picture, image, SLACK, _slopes(image)) for picture in laid])
    seen = np.isfinite(laid[..., 0])
    noise = np.nan_to_num(_quantile(np.where(seen, off, np.nan), USUAL))
    boxes, unexplained = [], []
    for difference, here, move in zip(off, seen, moves, strict=True):
        rows = [[*_placed(where, move, sides, shape), weight] for weight, where in blobs(difference, noise)]
        boxes.append(np.array(rows).reshape(-1, 5))
        unexplained.append(float((difference[here] > np.clip(NOISE * np.median(noise[here]), FLOOR, LOUD)).mean()))
    return boxes, unexplained


def _median(laid: np.ndarray) -> np.ndarray:
    """The median (h, w, 3) over `SAMPLE` evenly spread ones of images (T, h, w, 3), NaN left out."""
    return _quantile(laid[np.unique(np.linspace(0, len(laid) - 1, SAMPLE).round().astype(int))], 0.5)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """A quantile of values (T, ...) over T, NaN left out: the value at that share of the others, NaN where none is."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    rank = np.floor(share * np.maximum(count - 1, 0)).astype(int)
    return np.take_along_axis(ordered, rank[None], axis=0)[0]


def _placed(
    where: np.ndarray, move: np.ndarray, sides: tuple[int, int], shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in an image (h, w) of pixels (n, 2) of the canvas of `sides` that it was laid on."""
    centered = where - (np.array(sides[::-1]) - 1) / 2
    x, y = move[:2, :2] @ centered.T + move[:2, 2:] + (np.array([[shape[1]], [shape[0]]]) - 1) / 2
    left, right = np.clip([x.min(), x.max() + 1], 0, shape[1])
    top, bottom = np.clip([y.min(), y.max() + 1], 0, shape[0])
    return float(left), float(top), float(right), float(bottom)
