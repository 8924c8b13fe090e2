"""What moves in front of a background, which is the median of many frames: with a standing camera, and with one that
turns, zooms or shakes and whose frames are laid over one another (`alignment`).

A frame differs from the background where it deviates in any color by more than its noise, after the background was
given the frame's own light. Blobs have a place that deviates by half as much as the most deviating one (hysteresis);
they reach as far as the deviation is above a small share of that, so that limbs are in and faint shadows out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from pplkit.geometry.registration import OVERLAP, canvas_size, transforms_from_middle, warp_image

SIDE = 160  # pixels of the longer side at which objects are looked for
SAMPLE = 100  # frames that a background is the median of
BLUR = 1.0  # standard deviation in pixels at SIDE
FLOOR = 5 / 255  # a smaller deviation is noise
NOISE = 5.0  # times the usual deviation of a pixel: less is noise
LOUD = 20 / 255  # no noise of a frame as a whole is larger
USUAL = 0.25  # quantile of a pixel's deviations that is the usual one; an object may be there more often than not
SEED, REACH = 0.5, 0.15  # of the frame's largest deviation: a blob has the first, and reaches to the second
JOIN = 2  # pixels at SIDE: parts of an object that are not farther from one another than twice that are one blob
BLOBS = 4  # of a frame that are kept
OUTLINED = 1.5  # times the image's slopes at the rim of a blob that the background's are where an object has gone
GONE = 0.05  # share of the frames that must show the place without it
SLACK = 0.5  # pixels by which aligned frames may be off
WIDEST = 3.0  # of the image's sides: what a moving camera sees of its surroundings
LIGHT = (0.5, 2.0)  # how much darker and brighter a frame may be than the background
LOCAL = 1 / 8  # of the longer side: over which brightness changes from place to place
COARSE = 4  # pixels at SIDE between those at which the light is looked at
LEAP = 0.1  # of the brightness: what differs by more is something else, not the light
DARK = 0.1  # added to a brightness in [0, 1] before shares of it are taken


class Scene(NamedTuple):
    """A background: what is seen where nothing moves."""

    image: np.ndarray  # (h, w, 3) float32 in [0, 1], NaN where no frame shows it
    noise: np.ndarray  # (h, w) what frames usually deviate


def reduced(frame: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A frame uint8 (H, W, 3) as float32 (h, w, 3) in [0, 1], its longer side of at most `side` pixels."""
    image, share = Image.fromarray(frame), side / max(frame.shape[:2])
    if share < 1:
        width, height = (max(1, round(n * share)) for n in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255


def background(frames: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The median of frames uint8 (H, W, 3) of a standing camera, of `SAMPLE` evenly spread ones at most: the same."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, SAMPLE).round().astype(int))
    return np.median(np.stack([frames[i] for i in chosen]), axis=0).round().astype(np.uint8)


def foreground(frame: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Where, bool (H, W), a frame uint8 (H, W, 3) shows something else than the background of the same shape.

    All blobs, whichever is the object; none where nothing stands out from the frame's noise.
    """
    scale = max(1.0, max(frame.shape[:2]) / SIDE)
    found = deviation(frame.astype(np.float32) / 255, background.astype(np.float32) / 255, blur=BLUR * scale)
    noise = np.full(found.shape, np.median(found))
    labels, chosen = _labelled(found, noise, round(JOIN * scale))
    return np.isin(labels, chosen)


def deviation(
    picture: np.ndarray, image: np.ndarray, slack: float = 0.0, slopes: np.ndarray | None = None, blur: float = BLUR
) -> np.ndarray:
    """By how much (h, w) an image differs from a background, both float (h, w, 3), in the color that differs most.

    What an offset of `slack` pixels explains, from the background's `slopes` (h, w), does not count; NaN gives 0.
    """
    lit = image * _light(picture, image)
    colours = np.abs(picture - lit)
    found = np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])
    if slopes is not None:
        found = np.maximum(found - slack * slopes, 0)
    return ndimage.gaussian_filter(np.where(np.isfinite(found), found, 0).astype(np.float32), blur)


def _light(picture: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How bright (h, w, 3) an image is in shares of the background: each color on the whole, and from place to place.

    The latter changes over `LOCAL` of the longer side, and follows what differs from the background little or nothing.
    """
    step = max(1, round(COARSE * max(image.shape[:2]) / SIDE))
    some = picture[::step, ::step], image[::step, ::step]
    seen = np.isfinite(some[0][..., 0]) & np.isfinite(some[1][..., 0])
    if not seen.any():
        return np.ones((1, 1, 3), np.float32)
    ours, theirs = some[0][seen], some[1][seen]
    whole = np.clip(np.median((ours + DARK) / (theirs + DARK), axis=0), *LIGHT)
    ours, theirs = ours.mean(axis=1), (theirs * whole).mean(axis=1)
    trust = 1 / np.square(1 + np.square((ours - theirs) / (theirs + DARK) / LEAP))
    sums = np.zeros((2, *seen.shape), np.float32)
    sums[0, seen], sums[1, seen] = trust * ours * theirs, trust * theirs * theirs
    width = LOCAL * max(seen.shape)
    product, square = (ndimage.gaussian_filter(one, width, truncate=2.0) for one in sums)
    usual = 0.02 * float((theirs * theirs).mean())  # far from what can be trusted the light is as on the whole
    local = np.clip((product + usual) / (square + usual), *LIGHT)
    across = [np.minimum(np.arange(n) / step, m - 1) for n, m in zip(image.shape[:2], local.shape, strict=True)]
    return _between(local, *across)[..., None] * whole.astype(np.float32)


def _between(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values (h, w) at fractional rows (H,) and columns (W,), interpolated linearly to (H, W)."""
    for places in (rows, columns):  # one axis, then the other
        first = np.minimum(places.astype(int), max(len(values) - 2, 0))
        blend = (places - first).astype(np.float32)[:, None]
        values = (values[first] * (1 - blend) + values[np.minimum(first + 1, len(values) - 1)] * blend).T
    return values


def scene_of(pictures: Sequence[np.ndarray]) -> Scene:
    """The background of float images (h, w, 3) of a standing camera.

    The median, except where an object rested for most of the time: there the frames after it has gone.
    """
    stack = np.stack(pictures)
    image = np.median(stack, axis=0)
    off = np.stack([deviation(picture, image) for picture in stack])
    noise = np.quantile(off, USUAL, axis=0)
    left = np.stack([_left_behind(picture, image, one, noise) for picture, one in zip(stack, off, strict=True)])
    gone = left.mean(axis=0) >= GONE
    if gone.any():
        shown = _quantile(np.where(left[:, gone, None], stack[:, gone], np.nan), 0.5)
        image[gone] = shown
        off = np.stack([deviation(picture, image) for picture in stack])
        noise = np.quantile(off, USUAL, axis=0)
        noise[gone] = np.median(noise)  # the object itself, mostly
    return Scene(image, noise)


def _left_behind(picture: np.ndarray, image: np.ndarray, off: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Where, bool (h, w), an image differs from the background because the latter has an object that has gone.

    Of a blob that is the object the image has the outline, of such a place the background.
    """
    labels, chosen = _labelled(off, noise, JOIN)
    ours, theirs = _slopes(picture), _slopes(image)
    found = np.zeros(off.shape, bool)
    for number in chosen:
        blob = labels == number
        rim = ndimage.binary_dilation(blob, iterations=1) & ~ndimage.binary_erosion(blob, iterations=2)
        if theirs[rim].mean() > OUTLINED * ours[rim].mean():
            found |= ndimage.binary_dilation(blob, iterations=2)
    return found


def changed(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """Where, bool (h, w), an image deviates from the background by more than noise."""
    return deviation(picture, scene.image) > np.clip(NOISE * np.median(scene.noise), FLOOR, LOUD)


def unlike(first: np.ndarray, second: np.ndarray, move: np.ndarray) -> float:
    """The share of the pixels of an image (h, w, 3) that another one, laid over it by a map, does not show.

    1 where hardly anything of it is shown.
    """
    laid = warp_image(second, move, first.shape[:2])
    seen = np.isfinite(laid[..., 0])
    if seen.mean() < OVERLAP:
        return 1.0
    return float((deviation(laid, first, SLACK, _slopes(first)) > 2 * FLOOR)[seen].mean())


def _slopes(image: np.ndarray) -> np.ndarray:
    """How steep (h, w) an image (h, w, 3) is, in the color that is steepest."""
    return np.max([np.hypot(*np.gradient(np.nan_to_num(image[..., colour]))) for colour in range(3)], axis=0)


def _labelled(off: np.ndarray, noise: np.ndarray, join: int) -> tuple[np.ndarray, list[int]]:
    """Blobs (h, w), numbered from 1, of a deviation, and the numbers of those that stand out."""
    peak = float(off.max())
    # Where the object often is its own motion looks like noise: never so much that it could not be seen.
    least = np.maximum(FLOOR, np.minimum(NOISE * noise, SEED * peak))
    reaching = off > np.maximum(least, REACH * peak)
    seeds = reaching & (off > np.maximum(2 * FLOOR, SEED * peak))
    joined, _ = ndimage.label(ndimage.binary_dilation(reaching, iterations=join) if join else reaching)
    return np.where(reaching, joined, 0), sorted(set(joined[seeds].tolist()))


def blobs(off: np.ndarray, noise: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """What stands out of a deviation (h, w): its sum of squares, and (x, y) (n, 2) of its pixels; largest first."""
    labels, chosen = _labelled(off, noise, JOIN)
    parts = ndimage.find_objects(labels)
    found = []
    for number in chosen:
        y, x = np.nonzero(labels[parts[number - 1]] == number)
        y, x = y + parts[number - 1][0].start, x + parts[number - 1][1].start
        found.append((float(np.square(off[y, x]).sum()), np.stack([x, y], axis=1)))
    return sorted(found, key=lambda one: -one[0])[:BLOBS]


def still_blobs(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """Left, top, right, bottom and weight (k, 5) of the blobs of an image of a standing camera, largest first."""
    found = blobs(deviation(picture, scene.image), scene.noise)
    return np.array([[*where.min(0), *(where.max(0) + 1), weight] for weight, where in found]).reshape(-1, 5)


def moving_blobs(pictures: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
    """Blobs (k, 5) as of `still_blobs` of neighboring images (h, w, 3) of a moving camera, and of each image the
    share that its background does not explain.
    """
    shape = pictures[0].shape[:2]
    moves = transforms_from_middle([picture.mean(axis=-1) for picture in pictures])
    sides = canvas_size(moves, shape, WIDEST)
    laid = np.stack([warp_image(picture, move, sides) for picture, move in zip(pictures, moves, strict=True)])
    image = _median(laid)
    off = np.stack([deviation(picture, image, SLACK, _slopes(image)) for picture in laid])
    seen = np.isfinite(laid[..., 0])
    noise = np.nan_to_num(_quantile(np.where(seen, off, np.nan), USUAL))
    found, unexplained = [], []
    for one, here, move in zip(off, seen, moves, strict=True):
        rows = [[*_placed(where, move, sides, shape), weight] for weight, where in blobs(one, noise)]
        found.append(np.array(rows).reshape(-1, 5))
        unexplained.append(float((one[here] > np.clip(NOISE * np.median(noise[here]), FLOOR, LOUD)).mean()))
    return found, unexplained


def _median(laid: np.ndarray) -> np.ndarray:
    """The median (h, w, 3) over `SAMPLE` evenly spread ones of images (T, h, w, 3), NaN left out."""
    return _quantile(laid[np.unique(np.linspace(0, len(laid) - 1, SAMPLE).round().astype(int))], 0.5)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """A quantile of values (T, ...) over T, NaN left out: the value at that share of the others, NaN where none is."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    place = np.floor(share * np.maximum(count - 1, 0)).astype(int)
    return np.take_along_axis(ordered, place[None], axis=0)[0]


def _placed(
    where: np.ndarray, move: np.ndarray, sides: tuple[int, int], shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in an image (h, w) of pixels (n, 2) of the canvas of `sides` that it was laid on."""
    places = where - (np.array(sides[::-1]) - 1) / 2
    x, y = move[:2, :2] @ places.T + move[:2, 2:] + (np.array([[shape[1]], [shape[0]]]) - 1) / 2
    left, right = np.clip([x.min(), x.max() + 1], 0, shape[1])
    top, bottom = np.clip([y.min(), y.max() + 1], 0, shape[0])
    return float(left), float(top), float(right), float(bottom)
