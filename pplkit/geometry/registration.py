"""How the camera moved between frames: similarities that register one grey image with another, from the pixels.

A transform is a matrix (3, 3) of points (x, y, 1) in pixels from the middle of an image; it leads from a point of the
reference to the same thing in another image. It starts from the shift with the highest phase correlation and is
refined by Gauss-Newton steps on the differences of brightness, coarse to fine (Lucas-Kanade, inverse compositional),
with Geman-McClure weights that leave out what moves by itself. Only shift, rotation and zoom are estimated: with
shear as well, little detail would let a transform follow an object.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

LEVELS = 3  # resolutions, each half of the one before
MAX_STEPS = 12  # of Gauss-Newton, at each resolution
CONVERGED_PIXELS = 0.02  # stop after a step that moves the border by less
OVERLAP = 0.5  # fraction of the reference that an image must show to be registered with it directly
RIDGE = 1e-6  # added to the diagonal, relative to it: directions without any gradient stay as they are


def warp_image(image: np.ndarray, transform: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A float image (h, w) or (h, w, C) resampled in a reference of `shape`: its value at p is image(transform · p).

    `shape` defaults to the image's own. Linear interpolation; NaN where the image does not reach.
    """
    sides = shape or (image.shape[0], image.shape[1])
    matrix = transform[1::-1, 1::-1]
    offset = (np.array(image.shape[:2]) - 1) / 2 + transform[1::-1, 2] - matrix @ ((np.array(sides) - 1) / 2)
    planes = image[..., None] if image.ndim == 2 else image
    warped = np.empty((*sides, planes.shape[2]), np.float32)
    for channel in range(planes.shape[2]):
        plane = planes[..., channel]
        warped[..., channel] = ndimage.affine_transform(
            plane, matrix, offset, sides, order=1, cval=np.nan, output=np.float32
        )
    return warped.reshape(*sides, *image.shape[2:])


def estimate_shift(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The transform that is a shift of whole pixels, at the highest phase correlation of two images (h, w)."""
    height, width = reference.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    first, second = (np.fft.rfft2((plane - plane.mean()) * window) for plane in (reference, image))
    cross = second * first.conj()
    correlation = np.fft.irfft2(cross / (np.abs(cross) + 1e-6), s=reference.shape)
    peak = np.unravel_index(ndimage.gaussian_filter(correlation, 1, mode="wrap").argmax(), reference.shape)
    y, x = (int(p) - (side if p > side // 2 else 0) for p, side in zip(peak, reference.shape, strict=True))
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def estimate_transform(reference: np.ndarray, image: np.ndarray, start: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """The transform from `reference` to `image`, both float (h, w), near `start`; at `levels` resolutions."""
    transform = start
    for level in reversed(range(levels)):
        scale = np.diag([0.5**level, 0.5**level, 1.0])
        inverse = np.linalg.inv(scale)
        small = scale @ transform @ inverse
        transform = inverse @ _refine(_pyramid(reference, level), _pyramid(image, level), small) @ scale
    return transform


def _pyramid(image: np.ndarray, level: int) -> np.ndarray:
    """The image at 1 / 2^level of its size, blurred."""
    small = ndimage.gaussian_filter(image, 0.8)
    for _ in range(level):
        small = ndimage.zoom(ndimage.gaussian_filter(small, 0.8), 0.5, order=1, grid_mode=True, mode="nearest")
    return small


def _refine(reference: np.ndarray, image: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Gauss-Newton at one resolution; the transform as it is where too little overlaps or the system is singular."""
    down, across = np.gradient(reference)
    x, y = _grid(reference.shape)
    slopes = np.stack([across, down, across * x + down * y, down * x - across * y], axis=-1).reshape(-1, 4)
    reach = (reference.shape[1] - 1) / 2
    for _ in range(MAX_STEPS):
        error = (warp_image(image, transform, reference.shape) - reference).ravel()
        known = np.isfinite(error)
        if known.mean() < OVERLAP / 2:
            return transform
        error = np.where(known, error - np.median(error[known]), 0)
        scale = 1.4826 * float(np.median(np.abs(error[known]))) + 1e-3
        weighted = slopes * (known / np.square(1 + np.square(error / (2 * scale))))[:, None]
        system = weighted.T @ slopes
        system += np.diag(RIDGE * np.diag(system) + 1e-12)
        right, below, zoom, turn = np.linalg.solve(system, weighted.T @ error)
        change = np.array([[1 + zoom, -turn, right], [turn, 1 + zoom, below], [0, 0, 1]])
        if not np.isfinite(change).all() or abs(np.linalg.det(change)) < 0.1:
            return transform
        transform = transform @ np.linalg.inv(change)
        if max(abs(right), abs(below), reach * abs(zoom), reach * abs(turn)) < CONVERGED_PIXELS:
            break
    return transform


@lru_cache(maxsize=8)
def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y (h, w) in pixels from the middle."""
    y, x = (np.arange(side) - (side - 1) / 2 for side in shape)
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    return np.array([[-x, x, -x, x], [-y, -y, y, y], [1, 1, 1, 1]])


def transforms_from_middle(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The transforms from the middle one of consecutive float images (h, w) to each of them.

    Each is followed from its neighbor, and registered with the middle one itself while it shows enough of it.
    """
    middle = len(images) // 2
    transforms = [np.eye(3)] * len(images)
    for order in (range(middle + 1, len(images)), range(middle - 1, -1, -1)):
        before = middle
        for i in order:
            start = estimate_shift(images[before], images[i])
            transform = estimate_transform(images[before], images[i], start) @ transforms[before]
            if overlap(transform, images[i].shape) > OVERLAP:
                transform = estimate_transform(images[middle], images[i], transform, levels=2)
            transforms[i], before = transform, i
    return transforms


def overlap(transform: np.ndarray, shape: tuple[int, ...]) -> float:
    """The fraction of the reference (h, w) that an image of the same size shows."""
    x, y = (axis.ravel()[::7] for axis in _grid((shape[0], shape[1])))
    points = (transform @ np.stack([x, y, np.ones(len(x))]))[:2]
    return float((np.abs(points) <= (np.array([[shape[1]], [shape[0]]]) - 1) / 2).all(axis=0).mean())


def displacement(transform: np.ndarray, shape: tuple[int, ...]) -> float:
    """The mean distance in pixels by which a transform moves the corners of an image (h, w)."""
    corners = _corners(shape)
    return float(np.hypot(*(transform @ corners - corners)[:2]).mean())


def canvas_size(transforms: Sequence[np.ndarray], shape: tuple[int, ...], most: float) -> tuple[int, int]:
    """Height and width of a canvas around the reference that holds all images (h, w) of these transforms.

    At most `most` times as high and as wide as one of them.
    """
    corners = _corners(shape)
    points = np.concatenate([np.linalg.inv(transform) @ corners for transform in transforms], axis=1)[:2]
    half = np.minimum(np.abs(points).max(axis=1), most * corners[:2, 3])
    width, height = 2 * np.ceil(half).astype(int) + 1
    return int(height), int(width)
