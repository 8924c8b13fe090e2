"""How the camera moved between pictures: similarities that lay one grey picture over another, found from the pixels.

A map is a matrix (3, 3) of points (x, y, 1) in pixels from the middle of a picture; it leads from a place in the
reference to the same thing in another picture. It starts from the shift with the highest phase correlation and is
refined by Gauss-Newton steps on the differences of brightness, coarse to fine (Lucas-Kanade, inverse compositional),
with weights (Geman-McClure) that leave out what moves by itself. Shift, turn and zoom are all that is looked for: with
shear as well, little detail would let a map follow an object.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

LEVELS = 3  # resolutions, each half of the one before
STEPS = 12  # of Gauss-Newton at most, at each resolution
SETTLED = 0.02  # pixels by which a step moves the border at most when it is the last
OVERLAP = 0.5  # of the reference that a picture must show to be laid over it directly
RIDGE = 1e-6  # added to the diagonal, of itself: what no gradient tells stays as it is


def warped(picture: np.ndarray, move: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A float picture (h, w) or (h, w, C), laid over a reference of `shape` (its own): value at p is picture(move · p).

    Linear interpolation; NaN where the picture does not reach.
    """
    sides = shape or (picture.shape[0], picture.shape[1])
    matrix = move[1::-1, 1::-1]
    middle = (np.array(picture.shape[:2]) - 1) / 2
    offset = middle + move[1::-1, 2] - matrix @ ((np.array(sides) - 1) / 2)
    planes = picture[..., None] if picture.ndim == 2 else picture
    made = np.empty((*sides, planes.shape[2]), np.float32)
    for channel in range(planes.shape[2]):
        made[..., channel] = ndimage.affine_transform(
            planes[..., channel], matrix, offset, sides, order=1, cval=np.nan, output=np.float32
        )
    return made.reshape(*sides, *picture.shape[2:])


def shift_between(reference: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The map that is a shift of whole pixels: where the phases of two pictures (h, w) agree best."""
    height, width = reference.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    first, second = (np.fft.rfft2((one - one.mean()) * window) for one in (reference, picture))
    cross = second * first.conj()
    agreement = np.fft.irfft2(cross / (np.abs(cross) + 1e-6), s=reference.shape)
    peak = np.unravel_index(ndimage.gaussian_filter(agreement, 1, mode="wrap").argmax(), reference.shape)
    y, x = (
        int(place) if place <= side // 2 else int(place) - side
        for place, side in zip(peak, reference.shape, strict=True)
    )
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def aligned(reference: np.ndarray, picture: np.ndarray, start: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """The map from `reference` to `picture`, both float (h, w), near the map `start`; at `levels` resolutions."""
    move = start
    for level in reversed(range(levels)):
        scale = np.diag([0.5**level, 0.5**level, 1.0])
        back = np.linalg.inv(scale)
        move = back @ _refined(_smaller(reference, level), _smaller(picture, level), scale @ move @ back) @ scale
    return move


def _smaller(picture: np.ndarray, level: int) -> np.ndarray:
    small = ndimage.gaussian_filter(picture, 0.8)
    for _ in range(level):
        small = ndimage.zoom(ndimage.gaussian_filter(small, 0.8), 0.5, order=1, grid_mode=True, mode="nearest")
    return small


def _refined(reference: np.ndarray, picture: np.ndarray, move: np.ndarray) -> np.ndarray:
    down, across = np.gradient(reference)
    x, y = _grid(reference.shape)
    slopes = np.stack([across, down, across * x + down * y, down * x - across * y], axis=-1).reshape(-1, 4)
    reach = (reference.shape[1] - 1) / 2
    for _ in range(STEPS):
        error = (warped(picture, move, reference.shape) - reference).ravel()
        seen = np.isfinite(error)
        if seen.mean() < OVERLAP / 2:
            return move
        error = np.where(seen, error - np.median(error[seen]), 0)
        scale = 1.4826 * float(np.median(np.abs(error[seen]))) + 1e-3
        weighted = slopes * (seen / np.square(1 + np.square(error / (2 * scale))))[:, None]
        system = weighted.T @ slopes
        system += np.diag(RIDGE * np.diag(system) + 1e-12)
        right, below, zoom, turn = np.linalg.solve(system, weighted.T @ error)
        change = np.array([[1 + zoom, -turn, right], [turn, 1 + zoom, below], [0, 0, 1]])
        if not np.isfinite(change).all() or abs(np.linalg.det(change)) < 0.1:
            return move
        move = move @ np.linalg.inv(change)
        if max(abs(right), abs(below), reach * abs(zoom), reach * abs(turn)) < SETTLED:
            break
    return move


@lru_cache(maxsize=8)
def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y (h, w) in pixels from the middle."""
    y, x = (np.arange(side) - (side - 1) / 2 for side in shape)
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


def moves_from_middle(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The maps from the middle one of neighbouring float pictures (h, w) to each.

    Each is followed from its neighbour, and laid over the middle one itself while it shows enough of it.
    """
    middle = len(pictures) // 2
    moves = [np.eye(3)] * len(pictures)
    for order in (range(middle + 1, len(pictures)), range(middle - 1, -1, -1)):
        before = middle
        for i in order:
            start = shift_between(pictures[before], pictures[i])
            move = aligned(pictures[before], pictures[i], start) @ moves[before]
            if shared(move, pictures[i].shape) > OVERLAP:
                move = aligned(pictures[middle], pictures[i], move, levels=2)
            moves[i], before = move, i
    return moves


def shared(move: np.ndarray, shape: tuple[int, ...]) -> float:
    """The share of the reference (h, w) that a picture of the same size shows."""
    x, y = _grid((shape[0], shape[1]))
    places = np.stack([x.ravel()[::7], y.ravel()[::7], np.ones(len(x.ravel()[::7]))])
    within = np.abs((move @ places)[:2]) <= (np.array([[shape[1]], [shape[0]]]) - 1) / 2
    return float(within.all(axis=0).mean())


def displacement(move: np.ndarray, shape: tuple[int, ...]) -> float:
    """By how many pixels a map moves the corners of a picture (h, w), in the mean."""
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    corners = np.array([[-x, x, -x, x], [-y, -y, y, y], [1, 1, 1, 1]])
    return float(np.hypot(*(move @ corners - corners)[:2]).mean())


def canvas_of(moves: Sequence[np.ndarray], shape: tuple[int, ...], most: float) -> tuple[int, int]:
    """Height and width of the picture around the reference that holds all pictures (h, w) of these maps.

    At most `most` times as high and as wide as one of them.
    """
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    corners = np.array([[-x, x, -x, x], [-y, -y, y, y], [1, 1, 1, 1]])
    places = np.concatenate([np.linalg.inv(move) @ corners for move in moves], axis=1)[:2]
    half = np.minimum(np.abs(places).max(axis=1), [most * x, most * y])
    width, height = 2 * np.ceil(half).astype(int) + 1
    return int(height), int(width)
