"""Frozen features of views of the training images: computed once, and kept while they fit."""

import numpy as np
import torch
from torch import Tensor

from pplkit.data.npy_shards import Shards
from pplkit.data.streaming import SHARE, Reader, free_memory
from pplkit.geometry.coordinates import view_transforms, warp
from pplkit.models.layers.backbone import Backbone
from pplkit.models.prior.config import Config

KIND = torch.float16  # of what is kept: standardised features need no more digits


class FeatureCache:
    """Rows of features (see `Backbone`) of `config.backbone_views` views of each image.

    All views of an image are computed when one of them is first asked for, so that neither the order nor a
    continuation changes a bit. Images for which the memory has no room are computed anew each time.
    """

    def __init__(self, backbone: Backbone, images: np.ndarray | Shards, config: Config, copies: int = 1) -> None:
        """`images` (n, S, S, 3) uint8; `copies` of the cache share the memory (processes of one machine)."""
        self.backbone, self.reader, self.config = backbone, Reader(images), config
        self.device = backbone.shift.device
        count = config.backbone_views
        draws = np.random.default_rng((config.seed, 4)).uniform(-1, 1, (len(images), count, 6))
        self.views = augmentation_transforms(torch.from_numpy(draws[..., :5]).float().flatten(0, 1), config).unflatten(
            0, (-1, count)
        )
        self.light = torch.exp(config.brightness * torch.from_numpy(draws[..., 5]).float())
        size = count * backbone.size * KIND.itemsize
        room = SHARE * free_memory(self.device) / copies / size
        self.room = len(images) if room >= len(images) else int(room)
        self.kept = torch.empty(self.room, count, backbone.size, dtype=KIND, device=self.device)
        self.known = np.zeros(self.room, dtype=bool)

    def others(self, index: np.ndarray, view: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """For each `view` (b,) of the images at positions `index` (b,) another, by `draws` from 0 to the views - 2.

        Without `equivariance_flip` one that is mirrored alike, if there is one: what is left in an image of a person or
        a hand looks as what is right in its mirror does.
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
                every = np.arange(self.config.backbone_views)
                self.kept[number] = self._computed(np.full(len(every), number), every)
                self.known[number] = True
        here = torch.from_numpy(np.where(index < self.room, index, 0)).to(self.device)
        rows = torch.empty(len(index), self.backbone.size, device=self.device)
        if self.room:
            rows = self.kept[here, torch.from_numpy(view).to(self.device)].float()
        away = np.flatnonzero(index >= self.room)
        if len(away):
            rows[torch.from_numpy(away).to(self.device)] = self._computed(index[away], view[away]).float()
        return rows

    @torch.no_grad()
    def _computed(self, index: np.ndarray, view: np.ndarray) -> Tensor:
        images = self.reader.read(index).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.backbone(
            brighten(warp(images, self.views[index, view].to(self.device)), self.lights(index, view))
        ).to(KIND)

    def lights(self, index: np.ndarray, view: np.ndarray) -> Tensor:
        """By how much the views (b,) of the images (b,) are brighter than these: (b,)."""
        return self.light[index, view].to(self.device)

    def close(self) -> None:
        """Close the files."""
        self.reader.close()


def augmentation_transforms(draws: Tensor, config: Config) -> Tensor:
    """Views (n, 2, 3), see `view_transforms`, by numbers (n, 5) in [-1, 1) and the config's turn, warp and flip."""
    flips = (draws[:, 4] < 0) & torch.tensor(config.flip)
    return view_transforms(
        config.max_rotation * draws[:, 0], 1 + config.max_shift * draws[:, 1], config.max_shift * draws[:, 2:4], flips
    )


def brighten(images: Tensor, light: Tensor) -> Tensor:
    """Images (b, 3, S, S) in [-1, 1] with their brightness times light (b,), cut off at white."""
    return ((images + 1) * light[:, None, None, None] - 1).clamp(-1, 1)
