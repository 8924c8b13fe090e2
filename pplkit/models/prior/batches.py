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

CHUNK = 64  # images that are made smaller at a time


@dataclass(frozen=True)
class Batch:
    """Images and the reference images beside them, both (B, 3, S, S) in [-1, 1], channels last in memory.

    With a backbone S is the side at which the decoder paints, and the regressor sees something else: `features`.
    """

    images: Tensor
    reference: Tensor
    target: Tensor  # what the reconstruction is compared with: the images, at the reference's resolution
    second_view: Tensor | None = None  # what the regressor sees of the images in another view, for the equivariance
    view_transform: Tensor | None = None  # affine (B, 2, 3) from points of `images` to the same points of `second_view`
    features: Tensor | None = None  # the backbone's rows (B, D), or images (B, 3, S', S') for it to look at
    views: Tensor | None = None  # where `images` look, affine (B, 2, 3) as of `geometry.views`; with a backbone

    @property
    def inputs(self) -> Tensor:
        """What the regressor sees."""
        return self.images if self.features is None else self.features

    @property
    def upright(self) -> Tensor | None:
        """Affine maps (B, 2, 3) from points of the images, then of their other views, to those of upright ones.

        Neither turned nor moved, but as much mirrored as the view is.
        """
        if self.views is None:
            return None
        every = (
            self.views
            if self.view_transform is None
            else torch.cat((self.views, following_view(self.views, self.view_transform)))
        )
        sign = torch.linalg.det(every[..., :2]).sign()
        return torch.cat((sign[:, None, None] * every[:, :1], every[:, 1:]), 1)

    def halved(self) -> "Batch":
        """The same batch with reference and target at half the resolution, for a coarse start."""
        return replace(self, reference=F.avg_pool2d(self.reference, 2), target=F.avg_pool2d(self.target, 2))


def check(split: Split, config: Config, world: int = 1) -> None:
    """Raises PplkitError if the images or videos of the split, or `world` processes, do not fit the config."""
    if config.batch_size % world:
        raise PplkitError(f"batch_size={config.batch_size} cannot be shared by {world} devices: use a multiple.")
    side = split.images.shape[1]
    if side != config.image_size:
        raise PplkitError(
            f"the data set has images of {side} pixels, the config wants image_size={config.image_size}: "
            "prepare the data set with that --size or change the setting."
        )
    if config.reference == "frame":
        _videos(split)


def with_rows(images: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """A copy of images (n, S, S, 3) uint8, S even, with `rows` (m, S, S, 3) at the positions `index` (m,)."""
    copy = _words(images).index_copy(0, index, _words(rows))
    return copy.view(torch.uint8).view(images.shape)


def _words(images: Tensor) -> Tensor:
    return images.flatten(1).view(torch.int32)  # four bytes count as one: copied by number they take a third the time


class Batches:
    """The training images, on the device or streamed to it, and the batch of every step.

    Each image comes once per epoch, in an order drawn from (seed, epoch); all other draws come from (seed, step).
    So a continued run sees the same batches. With several processes each takes its share of the batch.
    `stream` reads the images of each step from their files a few steps ahead; without it all of them are moved to the
    device once; None streams where they would take more than half of the free memory. The batches are the same.
    As a context it ends its threads when the `with` block does; without one they end with the object.
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
        """`backbone`: a frozen one whose features are kept and given in the place of images for the regressor."""
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
        """The batch of `step` (from 0), this process's share of it; PplkitError if its images cannot be read."""
        if self.cache is not None:
            return self._kept(step, self.cache)
        config, rng = self.config, self._rng(step)
        draws = self._draws(rng)
        if isinstance(self.images, Stream):
            found = self.images(step, self._rows)
        else:
            found = self.images.index_select(0, torch.from_numpy(self._rows(step)).to(self.device))
        taken, *others = found.split(self.mine.stop - self.mine.start)
        light, second_light = self._lights(step)
        images = self._seen(taken, draws, light)
        small = self._small(images)
        if config.reference == "frame":
            rng.random(config.batch_size)  # those of _rows
            reference = self._small(self._seen(others[0], draws, light))
        else:
            reference = self._masked(rng, small)
        apart = config.backbone != "none" or images.shape != small.shape
        views = None if config.backbone == "none" else self._view(draws)
        batch = Batch(small, reference, small, features=images if apart else None, views=views)
        if not config.weight_equivariance:
            return batch
        second = self._draws(rng)
        if not config.equivariance_flip:  # mirrored alike, see FeatureCache.others
            second[:, 4] = draws[:, 4]
        view_transform = relative_transform(self._view(draws), self._view(second))
        return replace(batch, second_view=self._seen(taken, second, second_light), view_transform=view_transform)

    def _kept(self, step: int, cache: FeatureCache) -> Batch:
        """As `__call__`, with features that are kept, of views that are."""
        config, rng, rows = self.config, self._rng(step), self._rows(step)
        index, others = np.split(rows, [self.mine.stop - self.mine.start])
        first = rng.integers(config.backbone_views, size=config.batch_size)[self.mine]
        second = rng.integers(config.backbone_views - 1, size=config.batch_size)[self.mine]
        second = cache.others(index, first, second)
        view, light = cache.views[index, first], cache.lights(index, first)

        def painted(positions: np.ndarray) -> Tensor:
            assert isinstance(self.images, Tensor)
            taken = self.images.index_select(0, torch.from_numpy(positions).to(self.device))
            return brighten(warp(to_float(taken), view.to(self.device)), light).contiguous(
                memory_format=torch.channels_last
            )

        images = painted(index)
        reference = painted(others) if len(others) else self._masked(rng, images)
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
        """Images (b, 3, S, S) at the side at which the decoder paints."""
        times = self.config.image_size // self.config.reconstruction_size
        return images if times == 1 else F.avg_pool2d(images, times)

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, 1, step))

    def _draws(self, rng: np.random.Generator) -> np.ndarray:
        """Five numbers in [-1, 1) for how each image of this process is shown, drawn for the whole batch: (b, 5)."""
        return rng.uniform(-1, 1, (self.config.batch_size, 5))[self.mine]

    def _rows(self, step: int) -> np.ndarray:
        """Positions of this process's images (b,), followed by those of their references if these are other frames."""
        index = self._index(step)[self.mine]
        if self.videos is None:
            return index
        rng = self._rng(step)
        self._draws(rng)
        return np.concatenate((index, self._another(index, rng.random(self.config.batch_size)[self.mine])))

    def _view(self, numbers: np.ndarray) -> Tensor:
        """How each image is shown: affine (b, 2, 3) on the device, see `geometry.views`."""
        return augmentation_transforms(torch.from_numpy(numbers).float(), self.config).to(self.device)

    def _index(self, step: int) -> np.ndarray:
        """Positions of the step's images: the next batch_size of the endless row of shuffled epochs."""
        size = self.config.batch_size
        places = np.arange(step * size, (step + 1) * size)
        index = np.empty(size, dtype=np.int64)
        for epoch in np.unique(places // self.count):
            now = places // self.count == epoch
            index[now] = _order(self.config.seed, int(epoch), self.count)[places[now] % self.count]
        return index

    def _another(self, index: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """For each image another frame of its video, chosen by `draws` in [0, 1)."""
        assert self.videos is not None
        start, length = (part[index] for part in self.videos)
        shift = 1 + np.floor(draws * (length - 1)).astype(np.int64)
        return start + (index - start + shift) % length

    def _lights(self, step: int) -> tuple[Tensor | None, Tensor | None]:
        """By how much (b,) this process's images and their other views are brighter; None where that is not changed."""
        if not self.config.brightness:
            return None, None
        draws = np.random.default_rng((self.config.seed, 5, step)).uniform(-1, 1, (2, self.config.batch_size))
        first, second = torch.exp(self.config.brightness * torch.from_numpy(draws[:, self.mine]).float())
        return first.to(self.device), second.to(self.device)

    def _seen(self, taken: Tensor, draws: np.ndarray, light: Tensor | None) -> Tensor:
        """Images uint8 (b, S, S, 3) as they are shown, by light (b,) brighter: float (b, 3, S, S)."""
        if self.config.max_shift or self.config.max_rotation:
            images = warp(to_float(taken), self._view(draws))
        elif self.config.flip:  # as bytes, a quarter of the work
            turned = torch.from_numpy(np.flatnonzero(draws[:, 4] < 0)).to(self.device)
            images = to_float(with_rows(taken, turned, taken.index_select(0, turned).flip(2)))
        else:
            images = to_float(taken)
        return (images if light is None else brighten(images, light)).contiguous(memory_format=torch.channels_last)


def downscale(images: np.ndarray | Shards, side: int) -> Tensor:
    """Images (n, S, S, 3) uint8 at (n, side, side, 3), `side` a divisor of S: the mean of each block of pixels."""
    reader = Reader(images)
    try:
        found = []
        for begin in range(0, len(reader), CHUNK):
            part = to_float(reader.read(np.arange(begin, min(begin + CHUNK, len(reader)))))
            part = F.avg_pool2d(part, part.shape[-1] // side) if part.shape[-1] != side else part
            found.append(part.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).contiguous())
        return torch.cat(found)
    finally:
        reader.close()


@lru_cache(maxsize=4)  # a step and those read ahead need two epochs, or many very short ones
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    order = np.random.default_rng((seed, 2, epoch)).permutation(count)
    order.flags.writeable = False
    return order


def _videos(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """First frame and length of the video of each image."""
    if split.videos is None:
        raise PplkitError(
            f"split {split.name!r} has no videos, which reference='frame' needs: use reference='masked' or prepare "
            "the data from videos."
        )
    _, first, group, count = np.unique(split.videos, return_index=True, return_inverse=True, return_counts=True)
    if count.min() < 2:
        raise PplkitError(
            f"a video of split {split.name!r} has a single frame, but reference='frame' needs two: prepare more frames."
        )
    return first[group], count[group]


def mask_blocks(images: Tensor, kept: Tensor) -> Tensor:
    """Images (B, 3, S, S), channels last in memory, with 0 in the blocks that are not kept, bool (B, n, n), n | S."""
    count, blocks = kept.shape[:2]
    rows = images.permute(0, 2, 3, 1)
    line = kept.float().repeat_interleave(rows.shape[1] // blocks * 3, 2)  # a factor for each number of a row of pixels
    cut = rows.reshape(count, blocks, -1, line.shape[2]) * line[:, :, None]
    return cut.reshape(rows.shape).permute(0, 3, 1, 2)
