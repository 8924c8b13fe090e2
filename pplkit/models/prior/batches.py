"""Mini-batches on the device: sampling, flips, reference images; each step's batch follows from the seed."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Split
from pplkit.data.images import to_float
from pplkit.data.npy_shards import Shards
from pplkit.data.streaming import Reader, Stream, fits, load
from pplkit.geometry.coordinates import following_view, relative_transform, warp
from pplkit.models.layers.backbone import Backbone
from pplkit.models.prior.config import Config
from pplkit.models.prior.feature_cache import FeatureCache, augmentation_transforms, brighten

CHUNK = 64  # images that are downscaled at a time


@dataclass(frozen=True)
class Batch:
    """Images and the reference images beside them, both (B, 3, S, S) in [-1, 1], channels last in memory.

    With a backbone S is the side of reconstructions, and the regressor gets `features` instead.
    """

    images: Tensor
    reference: Tensor
    target: Tensor  # of the reconstruction: the images, at the reference's resolution
    second_view: Tensor | None = None  # the regressor's input in another view, for the equivariance
    view_transform: Tensor | None = None  # (B, 2, 3) from points of `images` to the same points of `second_view`
    features: Tensor | None = None  # the backbone's rows (B, D), or images (B, 3, S', S') for it
    views: Tensor | None = None  # view transforms (B, 2, 3) of `images`; with a backbone

    @property
    def inputs(self) -> Tensor:
        """The regressor's input."""
        return self.images if self.features is None else self.features

    @property
    def upright(self) -> Tensor | None:
        """Affine maps (B, 2, 3) from points of the images, then of their second views, to those of upright images.

        Upright images are neither rotated nor shifted, but mirrored as the view is.
        """
        if self.views is None:
            return None
        views = self.views
        if self.view_transform is not None:
            views = torch.cat((views, following_view(views, self.view_transform)))
        sign = torch.linalg.det(views[..., :2]).sign()
        return torch.cat((sign[:, None, None] * views[:, :1], views[:, 1:]), 1)

    def halved(self) -> "Batch":
        """The same batch with reference and target at half the resolution, for a coarse start."""
        return replace(self, reference=F.avg_pool2d(self.reference, 2), target=F.avg_pool2d(self.target, 2))


def check(split: Split, config: Config, world: int = 1) -> None:
    """Raise PplkitError if the images or videos of the split, or `world` processes, do not fit the config."""
    if config.batch_size % world:
        raise PplkitError(f"batch_size={config.batch_size} cannot be split over {world} devices: use a multiple.")
    side = split.images.shape[1]
    if side != config.image_size:
        raise PplkitError(
            f"the data set has images of {side} pixels, but image_size={config.image_size}: prepare the data set with "
            "that size (--size) or change the setting."
        )
    if config.reference == "frame":
        _videos(split)


def with_rows(images: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """A copy of images (n, S, S, 3) uint8, S even, with `rows` (m, S, S, 3) at the positions `index` (m,)."""
    copy = _words(images).index_copy(0, index, _words(rows))
    return copy.view(torch.uint8).view(images.shape)


def _words(images: Tensor) -> Tensor:
    return images.flatten(1).view(torch.int32)  # four bytes as one number: a third of the time


class Batches:
    """The training images, on the device or streamed to it, and the batch of every step.

    Each image comes once per epoch, in an order drawn from (seed, epoch); all other draws follow from (seed, step), so
    a continued run sees the same batches. With several processes each takes its part of the batch. `stream` reads the
    images of each step from their files a few steps ahead; without it all are moved to the device once; None streams
    where they would take more than half of the free memory. Threads end with the `with` block or the object.
    """

    def __init__(
        self,
        split: Split,
        config: Config,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        *,
        stream: bool | None = None,
        backbone: Backbone | None = None,
    ) -> None:
        """`backbone`: a frozen one whose features are cached and take the place of images for the regressor."""
        check(split, config, world)
        self.config = config
        self.count = len(split)
        self.device = device
        self.mine = slice(rank * config.batch_size // world, (rank + 1) * config.batch_size // world)
        self.videos = _videos(split) if config.reference == "frame" else None
        self.cache: FeatureCache | None = None
        if backbone is not None:
            copies = 1 if device.type == "cuda" else world
            self.cache = FeatureCache(backbone, split.images, config, copies)
            self.images: Stream | Tensor = downscale(split.images, config.reconstruction_size).to(device)
            return
        if stream is None:
            stream = not fits(split.images, device, copies=1 if device.type == "cuda" else world)
        self.images = Stream(split.images, device) if stream else load(split.images, device)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if isinstance(self.images, Stream):
            self.images.close()
        if self.cache is not None:
            self.cache.close()

    def __call__(self, step: int) -> Batch:
        """This process's part of the batch of `step` (from 0); PplkitError if its images cannot be read."""
        if self.cache is not None:
            return self._cached(step, self.cache)
        config, rng = self.config, self._rng(step)
        draws = self._draws(rng)
        if isinstance(self.images, Stream):
            rows = self.images(step, self._rows)
        else:
            rows = self.images.index_select(0, torch.from_numpy(self._rows(step)).to(self.device))
        own, *others = rows.split(self.mine.stop - self.mine.start)
        light, second_light = self._lights(step)
        images = self._augment(own, draws, light)
        small = self._small(images)
        if config.reference == "frame":
            rng.random(config.batch_size)  # already drawn in _rows
            reference = self._small(self._augment(others[0], draws, light))
        else:
            reference = self._masked(rng, small)
        features = images if config.backbone != "none" or images.shape != small.shape else None
        views = None if config.backbone == "none" else self._view(draws)
        batch = Batch(small, reference, small, features=features, views=views)
        if not config.weight_equivariance:
            return batch
        second = self._draws(rng)
        if not config.equivariance_flip:  # mirrored alike, see FeatureCache.others
            second[:, 4] = draws[:, 4]
        view_transform = relative_transform(self._view(draws), self._view(second))
        return replace(batch, second_view=self._augment(own, second, second_light), view_transform=view_transform)

    def _cached(self, step: int, cache: FeatureCache) -> Batch:
        """As `__call__`, with cached features of the cached views."""
        config, rng, rows = self.config, self._rng(step), self._rows(step)
        index, others = np.split(rows, [self.mine.stop - self.mine.start])
        cache.expected = cache.expected or min(cache.room, (config.steps - step) * len(index))
        first = rng.integers(config.backbone_views, size=config.batch_size)[self.mine]
        second = rng.integers(config.backbone_views - 1, size=config.batch_size)[self.mine]
        second = cache.others(index, first, second)
        view, light = cache.views[index, first], cache.lights(index, first)

        def in_view(positions: np.ndarray) -> Tensor:
            assert isinstance(self.images, Tensor)
            images = self.images.index_select(0, torch.from_numpy(positions).to(self.device))
            return brighten(warp(to_float(images), view.to(self.device)), light).contiguous(
                memory_format=torch.channels_last
            )

        images = in_view(index)
        reference = in_view(others) if len(others) else self._masked(rng, images)
        batch = Batch(images, reference, images, features=cache.rows(index, first), views=view.to(self.device))
        if not config.weight_equivariance:
            return batch
        view_transform = relative_transform(view, cache.views[index, second]).to(self.device)
        return replace(batch, second_view=cache.rows(index, second), view_transform=view_transform)

    def _masked(self, rng: np.random.Generator, images: Tensor) -> Tensor:
        config = self.config
        kept = rng.random((config.batch_size, config.mask_grid, config.mask_grid))[self.mine] >= config.mask_ratio
        return mask_blocks(images, torch.from_numpy(kept).to(self.device))

    def _small(self, images: Tensor) -> Tensor:
        """Images (b, 3, S, S) at the side of reconstructions."""
        times = self.config.image_size // self.config.reconstruction_size
        return images if times == 1 else F.avg_pool2d(images, times)

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, 1, step))

    def _draws(self, rng: np.random.Generator) -> np.ndarray:
        """Numbers (b, 5) in [-1, 1) for the views of this process's images, drawn for the whole batch."""
        return rng.uniform(-1, 1, (self.config.batch_size, 5))[self.mine]

    def _rows(self, step: int) -> np.ndarray:
        """Positions (b,) of this process's images, followed by those of their references if these are other frames."""
        index = self._index(step)[self.mine]
        if self.videos is None:
            return index
        rng = self._rng(step)
        self._draws(rng)
        return np.concatenate((index, self._another(index, rng.random(self.config.batch_size)[self.mine])))

    def _view(self, numbers: np.ndarray) -> Tensor:
        """View transforms (b, 2, 3) on the device."""
        return augmentation_transforms(torch.from_numpy(numbers).float(), self.config).to(self.device)

    def _index(self, step: int) -> np.ndarray:
        """Positions of the step's images: the next batch_size of the endless sequence of shuffled epochs."""
        size = self.config.batch_size
        numbers = np.arange(step * size, (step + 1) * size)
        index = np.empty(size, dtype=np.int64)
        for epoch in np.unique(numbers // self.count):
            now = numbers // self.count == epoch
            index[now] = _order(self.config.seed, int(epoch), self.count)[numbers[now] % self.count]
        return index

    def _another(self, index: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Another frame of the video of each image, chosen by `draws` in [0, 1)."""
        assert self.videos is not None
        start, length = (part[index] for part in self.videos)
        shift = 1 + np.floor(draws * (length - 1)).astype(np.int64)
        return start + (index - start + shift) % length

    def _lights(self, step: int) -> tuple[Tensor | None, Tensor | None]:
        """Factors (b,) of brightness of this process's images and of their second views; None where all are 1."""
        if not self.config.brightness:
            return None, None
        draws = np.random.default_rng((self.config.seed, 5, step)).uniform(-1, 1, (2, self.config.batch_size))
        first, second = torch.exp(self.config.brightness * torch.from_numpy(draws[:, self.mine]).float())
        return first.to(self.device), second.to(self.device)

    def _augment(self, rows: Tensor, draws: np.ndarray, light: Tensor | None) -> Tensor:
        """Images uint8 (b, S, S, 3) in the views of `draws`, their brightness times light (b,): float (b, 3, S, S)."""
        if self.config.max_shift or self.config.max_rotation:
            images = warp(to_float(rows), self._view(draws))
        elif self.config.flip:  # as bytes, a quarter of the work
            flipped = torch.from_numpy(np.flatnonzero(draws[:, 4] < 0)).to(self.device)
            images = to_float(with_rows(rows, flipped, rows.index_select(0, flipped).flip(2)))
        else:
            images = to_float(rows)
        return (images if light is None else brighten(images, light)).contiguous(memory_format=torch.channels_last)


def downscale(images: np.ndarray | Shards, side: int) -> Tensor:
    """Images (n, S, S, 3) uint8 at (n, side, side, 3), `side` a divisor of S: the mean of each block of pixels."""
    reader = Reader(images)
    try:
        parts = []
        for begin in range(0, len(reader), CHUNK):
            part = to_float(reader.read(np.arange(begin, min(begin + CHUNK, len(reader)))))
            part = F.avg_pool2d(part, part.shape[-1] // side) if part.shape[-1] != side else part
            parts.append(part.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).contiguous())
        return torch.cat(parts)
    finally:
        reader.close()


@lru_cache(maxsize=4)  # a step and the steps read ahead span two epochs, or many very short ones
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    order = np.random.default_rng((seed, 2, epoch)).permutation(count)
    order.flags.writeable = False
    return order


def _videos(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """First frame and length of the video of each image."""
    if split.videos is None:
        raise PplkitError(
            f"reference='frame' needs videos, but split {split.name!r} has none: use reference='masked' or prepare the "
            "data set from videos."
        )
    _, first, group, count = np.unique(split.videos, return_index=True, return_inverse=True, return_counts=True)
    if count.min() < 2:
        raise PplkitError(
            f"reference='frame' needs two frames of each video, but split {split.name!r} has a video with one: prepare "
            "more frames."
        )
    return first[group], count[group]


def mask_blocks(images: Tensor, kept: Tensor) -> Tensor:
    """Images (B, 3, S, S), channels last in memory, with 0 in the blocks where `kept` (B, n, n) is False; n | S."""
    count, blocks = kept.shape[:2]
    rows = images.permute(0, 2, 3, 1)
    line = kept.float().repeat_interleave(rows.shape[1] // blocks * 3, 2)  # a factor for each number of a row of pixels
    masked = rows.reshape(count, blocks, -1, line.shape[2]) * line[:, :, None]
    return masked.reshape(rows.shape).permute(0, 3, 1, 2)
