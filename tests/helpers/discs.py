"""Films of a soft bright disc before clutter, and models that place keypoints as told: faults built by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pplkit.data.dataset import Split
from pplkit.models.prior.config import Config

SIZE = 64
AROUND = torch.tensor([[-0.1, 0.0], [0.1, 0.0], [0.0, -0.1], [0.0, 0.1], [0.05, 0.05], [-0.05, -0.05]])
"""Six keypoints on the disc, from its middle"""

Place = Callable[[Tensor, Tensor], Tensor]
"""From the disc's middles (n, 2) and the numbers of frames (n,) to keypoints (n, N, 2), all in [-1, 1]"""


def film(seed: int, frames: int = 16, radius: float = 6.0, pan: float = 0.0, way: float = 18.0) -> np.ndarray:
    """Frames (T, SIZE, SIZE, 3) uint8 of a disc that goes around the middle, `way` pixels from it.

    The camera moves by `pan` pixels between frames. The number of a frame is the blue of its first pixel.
    """
    rng = np.random.default_rng(seed)
    wide = SIZE + int(abs(pan) * frames) + 2
    clutter = ndimage.gaussian_filter(rng.random((SIZE, wide, 3)), (2, 2, 0))
    clutter = 20 + 120 * (clutter - clutter.min()) / np.ptp(clutter)
    y, x = np.mgrid[:SIZE, :SIZE]
    made = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    for t in range(frames):
        angle = 2 * np.pi * t / frames
        off = np.hypot(x - SIZE / 2 - way * np.cos(angle), y - SIZE / 2 - way * np.sin(angle))
        share = 1 / (1 + np.exp(off - radius))[..., None]
        behind = clutter[:, round(pan * t) : round(pan * t) + SIZE]
        noise = rng.normal(0, 1, behind.shape)
        made[t] = np.clip(behind + noise + share * (255 - behind), 0, 255).round()
        made[t, 0, 0, 2] = t
    return made


def split(images: np.ndarray, length: int | None = 16, masks: np.ndarray | None = None) -> Split:
    """These images as videos of `length` frames, or as single ones."""
    videos = None if length is None else (np.arange(len(images)) // length).astype(np.int32)
    return Split("train", images, None, None, videos, masks, None, [""] * len(images))


class Placing:
    """Stands in for a model: sees the disc, and places keypoints as `place` says."""

    def __init__(self, place: Place, **settings: Any) -> None:
        self.place = place
        self.config = Config(image_size=SIZE, **settings)
        self.backbone = None

    def prepare(self, images: np.ndarray | Tensor) -> Tensor:
        if isinstance(images, Tensor):
            return images
        return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1

    def regress(self, images: Tensor) -> tuple[None, None, None, Tensor]:
        line = torch.linspace(-1, 1, images.shape[-1])
        weights = ((images.amin(1) - 0.8).clamp_min(0) + 1e-6).square()
        weights = weights / weights.sum((1, 2), keepdim=True)
        middle = torch.stack(((weights.sum(1) * line).sum(1), (weights.sum(2) * line).sum(1)), 1)
        number = ((images[:, 2, 0, 0] + 1) * 127.5).round()
        return None, None, None, self.place(middle, number)

    def estimate(self, images: np.ndarray | Tensor) -> Any:
        return type("Poses", (), {"keypoints": self.regress(self.prepare(images))[3]})


def on_disc(middle: Tensor, number: Tensor) -> Tensor:
    """All on the object."""
    return middle[:, None] + AROUND


def near_middle(middle: Tensor, number: Tensor) -> Tensor:
    """All in nearly the same place."""
    return middle[:, None] + AROUND / 10


def in_corners(middle: Tensor, number: Tensor) -> Tensor:
    """All on the background, and not even the same one."""
    return (0.8 * AROUND.sign() + 0 * middle[:, None]) + 0.05 * AROUND


def one_stands(middle: Tensor, number: Tensor) -> Tensor:
    """The third of six stays where it is."""
    made = on_disc(middle, number)
    made[:, 2] = torch.tensor([0.1, -0.2])
    return made


def swapping(middle: Tensor, number: Tensor) -> Tensor:
    """In every second frame two pairs, far from one another, change their names."""
    made = middle[:, None] + 2 * AROUND
    odd = number % 2 == 1
    made[odd] = made[odd][:, [1, 0, 3, 2, 5, 4]]
    return made


def upper_first(middle: Tensor, number: Tensor) -> Tensor:
    """Names go by the place in the image, however it is turned."""
    made = middle[:, None] + torch.tensor([[0.0, -0.3], [0.0, 0.3]])
    return made
