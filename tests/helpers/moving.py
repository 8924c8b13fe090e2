"""Frames with one thing that moves, made by hand."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from pplkit.models.layers import saliency

WIDTH, HEIGHT, SQUARE = 160, 120, 14


def ground(height: int, width: int, seed: int = 0, contrast: float = 60.0) -> np.ndarray:
    """A coarse pattern of grey float (H, W) around 120, whose differences spread by `contrast`."""
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 3)
    return 120 + contrast * rough / rough.std()


def with_squares(
    grounds: list[np.ndarray], corners: np.ndarray, side: int, noise: float = 2.0, value: float = 250.0
) -> np.ndarray:
    """Frames uint8 (T, H, W, 3): a bright square with its left upper corner (x, y) at corners (T, 2), and noise."""
    random = np.random.default_rng(1)
    frames = []
    for plane, (x, y) in zip(grounds, corners, strict=True):
        picture = plane + noise * random.standard_normal(plane.shape)
        if x >= 0:
            picture[y : y + side, x : x + side] = value
        frames.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(frames)


def save(path: Path, frame: np.ndarray) -> Path:
    """An image file of a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path)
    return path


def photograph(path: Path, seed: int, bright: bool = True) -> Path:
    """200 x 160 pixels, with a bright patch of 48 x 40 somewhere."""
    frame = np.repeat(ground(160, 200, seed, 20).clip(0, 180).astype(np.uint8)[..., None], 3, axis=2)
    x, y = np.random.default_rng(seed).integers(0, (150, 118))
    if bright:
        frame[y : y + 40, x : x + 48] = 255
    return save(path, frame)


def walk(frames: int, width: int, height: int, side: int) -> np.ndarray:
    """Corners (T, 2) on an ellipse that keeps the square inside."""
    angle = np.linspace(0, 2 * np.pi, frames)
    reach = np.array([width - side, height - side]) / 2 - 6
    return (reach + 6 + reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)).round().astype(int)


def standing(frames: int = 40, noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    corners = walk(frames, WIDTH, HEIGHT, SQUARE)
    return with_squares([ground(HEIGHT, WIDTH, contrast=20)] * frames, corners, SQUARE, noise), corners


def check_around(boxes: np.ndarray, corners: np.ndarray, off: float = 2.5) -> None:
    """Each box is a square around its square with a fifth of it on each side, to within some pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    np.testing.assert_allclose(sides, 1.4 * SQUARE, atol=2 * off)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, corners + SQUARE / 2, atol=off)


class BrightFinder:
    """In place of the network: the object is what is bright; dark images have none."""

    def __init__(self, images: list[np.ndarray]) -> None:
        assert images and all(image.shape == (saliency.SIDE, saliency.SIDE, 3) for image in images)

    def blobs(self, image: np.ndarray) -> np.ndarray:
        y, x = np.nonzero(image.mean(axis=-1) > 200)
        if not len(x):
            return np.empty((0, 5))
        return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1, image.shape[0]]]) / image.shape[0]
