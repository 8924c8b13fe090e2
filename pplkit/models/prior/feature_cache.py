"""Frozen features of views of the training images: computed once, and kept while they fit into memory."""

import time

import numpy as np
import torch
from torch import Tensor

from pplkit.data.npy_shards import Shards
from pplkit.data.streaming import SHARE, Reader, free_memory
from pplkit.geometry.coordinates import view_transforms, warp
from pplkit.models.layers.backbone import Backbone
from pplkit.models.prior.config import Config

DTYPE = torch.float16  # of the cache: standardized features need no more digits


class FeatureCache:
    """Rows of features (see `Backbone`) of `config.backbone_views` views of each image.

    All views of an image are computed when one of them is first needed, so that neither the order nor a continuation
    changes a bit. Images for which the memory has no room are computed each time.
    """

    def __init__(self, backbone: Backbone, images: np.ndarray | Shards, config: Config, copies: int = 1) -> None:
        """`images` (n, S, S, 3) uint8; `copies` of the cache share the memory (processes of one machine)."""
        self.backbone, self.reader, self.config = backbone, Reader(images), config
        self.device = backbone.shift.device
        count = config.backbone_views
        draws = np.random.default_rng((config.seed, 4)).uniform(-1, 1, (len(images), count, 6))
        numbers = torch.from_numpy(draws[..., :5]).float().flatten(0, 1)
        self.views = augmentation_transforms(numbers, config).unflatten(0, (-1, count))
        self.light = torch.exp(config.brightness * torch.from_numpy(draws[..., 5]).float())
        room = SHARE * free_memory(self.device) / copies / (count * backbone.size * DTYPE.itemsize)
        self.room = len(images) if room >= len(images) else int(room)
        self.kept = torch.empty(self.room, count, backbone.size, dtype=DTYPE, device=self.device)
        self.known = np.zeros(self.room, dtype=bool)
        self.expected = 0  # images to keep in this training, once its first step is known
        self.seconds = 0.0  # spent on images that are kept

    def others(self, index: np.ndarray, view: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """For each `view` (b,) of the images at positions `index` (b,) another, by `draws` from 0 to the views - 2.

        Without `equivariance_flip` one that is mirrored alike, if there is one: the left side of a person or a hand
        looks in the mirror as the right side does.
        """
        count = self.config.backbone_views
        other = (view + 1 + draws) % count
        if self.config.equivariance_flip:
            return other
        mirrored = np.linalg.det(self.views[index, :, :, :2].numpy()) < 0
        alike = mirrored == np.take_along_axis(mirrored, view[:, None], 1)
        alike &= np.arange(count) != view[:, None]
        number = 1 + draws % np.maximum(1, alike.sum(1))
        return np.where(alike.any(1), (alike.cumsum(1) >= number[:, None]).argmax(1), other)

    def rows(self, index: np.ndarray, view: np.ndarray) -> Tensor:
        """Features (b, D) float32 of the `view`s (b,) of the images at positions `index` (b,)."""
        for number in np.unique(index[index < self.room]):
            if not self.known[number]:
                began, views = time.perf_counter(), np.arange(self.config.backbone_views)
                self.kept[number] = self._computed(np.full(len(views), number), views)
                self.known[number] = True
                self.seconds += time.perf_counter() - began
        rows = torch.empty(len(index), self.backbone.size, device=self.device)
        if self.room:
            cached = torch.from_numpy(np.where(index < self.room, index, 0)).to(self.device)
            rows = self.kept[cached, torch.from_numpy(view).to(self.device)].float()
        uncached = np.flatnonzero(index >= self.room)
        if len(uncached):
            rows[torch.from_numpy(uncached).to(self.device)] = self._computed(index[uncached], view[uncached]).float()
        return rows

    @torch.no_grad()
    def _computed(self, index: np.ndarray, view: np.ndarray) -> Tensor:
        images = self.reader.read(index).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        images = warp(images, self.views[index, view].to(self.device))
        return self.backbone(brighten(images, self.lights(index, view))).to(DTYPE)

    def lights(self, index: np.ndarray, view: np.ndarray) -> Tensor:
        """Factors (b,) of brightness of the views (b,) of the images (b,)."""
        return self.light[index, view].to(self.device)

    def close(self) -> None:
        """Close the files."""
        self.reader.close()


def augmentation_transforms(draws: Tensor, config: Config) -> Tensor:
    """View transforms (n, 2, 3) by numbers (n, 5) in [-1, 1): rotation, scale, shift in x and y, flip."""
    turn, zoom, shift, flip = draws[:, 0], draws[:, 1], draws[:, 2:4], draws[:, 4] < 0
    scale, shift = 1 + config.max_shift * zoom, config.max_shift * shift
    return view_transforms(config.max_rotation * turn, scale, shift, flip & torch.tensor(config.flip))


def brighten(images: Tensor, light: Tensor) -> Tensor:
    """Images (b, 3, S, S) in [-1, 1] with their brightness times light (b,), clipped at white."""
    return ((images + 1) * light[:, None, None, None] - 1).clamp(-1, 1)
