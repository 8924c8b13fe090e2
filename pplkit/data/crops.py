"""Square parts of images, resized, and the way of points into them and back."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.images import MAX_PIXELS
from pplkit.geometry.coordinates import to_pixels, to_unit

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels from the image's left upper corner; may reach beyond its borders"""


class NoObject(PplkitError):
    """Nothing in a file stands out as an object."""


class Cropper(Protocol):
    """Finds the squares of files that follow an object."""

    def video(self, path: Path) -> tuple[Callable[[float], Box], list[str]]:
        """From the seconds at which a frame of a video is shown to its square; sentences that a person should read."""

    def pictures(self, files: Sequence[Path], say: Callable[[str], None]) -> Callable[[Path], Box]:
        """From one of the images to its square, or NoObject is raised; `say` gets sentences as of `video`."""


def resized(image: Image.Image, size: int, box: Box | None = None) -> np.ndarray:
    """The part `box` of an image, or all of it, as uint8 (size, size, 3); for mode L, masks, (size, size).

    Where the box reaches beyond the image, the outermost pixels are repeated; an image that would take gigabytes with
    them is made smaller before. Raises PplkitError for a box that is none, or a million times as large as the image.
    """
    if box is not None:
        if not (box[0] < box[2] and box[1] < box[3] and np.isfinite(box).all()):
            raise PplkitError(f"the square {box} to cut out is empty: correct the box or the labels it comes from")
        left, top = (max(0, math.ceil(-start)) for start in box[:2])
        right, bottom = (max(0, math.ceil(end - side)) for end, side in zip(box[2:], image.size, strict=True))
        if (area := (left + image.width + right) * (top + image.height + bottom)) > MAX_PIXELS:
            return _resized_smaller(image, size, box, area)
        if left or top or right or bottom:
            pixels = np.asarray(image)
            spare = [(top, bottom), (left, right), (0, 0)][: pixels.ndim]
            image = Image.fromarray(np.pad(pixels, spare, "edge"))
            box = box[0] + left, box[1] + top, box[2] + left, box[3] + top
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _resized_smaller(image: Image.Image, size: int, box: Box, area: int) -> np.ndarray:
    """`resized` of an image that with its border has `area` pixels, more than MAX_PIXELS, after it was made smaller."""
    if max(image.size) == 1:
        raise PplkitError(f"the square {box} to cut out is far larger than the image: correct the box or its labels")
    share = math.sqrt(MAX_PIXELS / area)
    width, height = (max(1, int(side * share)) for side in image.size)
    x, y = width / image.width, height / image.height
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized(small, size, (box[0] * x, box[1] * y, box[2] * x, box[3] * y))


def whole(width: int, height: int) -> Box:
    """The square around the whole image, centered: its shorter side is filled up."""
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    return -left, -top, side - left, side - top


def center(width: int, height: int) -> Box:
    """The largest square in the middle of the image."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


CROPS: dict[str, Callable[[int, int], Box]] = {"center": center, "pad": whole}
"""What the option `crop` names: from width and height of an image to its square"""


def current_name(crop: str) -> str:
    """The name of a crop as it is written now: files and commands of version 0.1.0 have "center" for "center"."""
    return "center" if crop == "centre" else crop


def around(points: np.ndarray, margin: float) -> Box:
    """The square around points (J, 2), NaN left out: their extent, and `margin` of it on each side."""
    points = points[np.isfinite(points).all(-1)]
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2 + 0.5, max(float((high - low).max()), 1.0) * (0.5 + margin)
    return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half


def to_crop(points: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Pixel coordinates (..., 2), 0 = center of the image's first pixel, to [-1, 1] of the resized crop."""
    start, end = np.array(box[:2]), np.array(box[2:])
    # Resizing keeps edges on edges: a pixel's center is half a pixel from its edge before and after.
    return to_unit((points + 0.5 - start) * (size / (end - start)) - 0.5, size)


def from_crop(points: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The inverse of `to_crop`: [-1, 1] of the resized crop to pixel coordinates (..., 2) of the image."""
    start, end = np.array(box[:2]), np.array(box[2:])
    return (to_pixels(points, size) + 0.5) * ((end - start) / size) + start - 0.5
