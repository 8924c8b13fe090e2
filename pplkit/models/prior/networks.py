"""The networks: regressors from images or features to affine maps, the completer, and the decoder."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.geometry.coordinates import pixel_grid
from pplkit.models.layers.recompute import Concat, RecomputeSequential, forward_recomputing
from pplkit.models.layers.resampled_conv import DoubledConv, Halve, HalvedConv

INFERENCE_POWER = 2  # of part maps, after training
PLACEHOLDER = nn.Identity()  # in place of an upsampling layer of 0.1.0, for the same numbers in state dicts


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)


class ResidualDown(nn.Module):
    """Residual block at half the resolution; leaky ReLU 0.2 after the sum."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = RecomputeSequential(HalvedConv(inputs, outputs), nn.BatchNorm2d(outputs))
        self.body = RecomputeSequential(
            HalvedConv(inputs, outputs), *_activation(outputs), _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        return F.leaky_relu_(self.shortcut(x) + self.body(x), 0.2)


class AffineRegressor(nn.Module, ABC):
    """One affine 2 x 3 matrix per keypoint from features, attention maps and the keypoint prior (section 3.1).

    Subclasses say where features and attention come from. `affine_init`, the first affine maps: "random" as published;
    "identity": the prior; "place": the mean position of the attention map, whatever the prior; "moved": the prior
    shifted by that position.
    """

    def _build(self, features: int, affine_init: str) -> None:
        """Make the last layers, after all others: the order fixes the random weights."""
        self.embed = nn.Linear(2, features)
        self.predict = nn.Sequential(
            nn.Linear(3 * features, features), nn.LeakyReLU(0.01, inplace=True), nn.Linear(features, 6)
        )
        if affine_init != "random":
            self._initialize(affine_init, features)

    @torch.no_grad()
    def _initialize(self, affine_init: str, features: int) -> None:
        first, last = self.predict[0], self.predict[-1]
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]) * (affine_init != "place"))
        if affine_init == "identity":
            return
        # Four hidden units carry ±x and ±y of the attended position through the leaky ReLU, f(v) - f(-v) = 1.01 v.
        self.embed.bias.zero_()
        inverse = torch.linalg.pinv(self.embed.weight)  # (2, features): embedding back to (x, y)
        first.weight[:4] = 0
        first.bias[:4] = 0
        first.weight[:4, features : 2 * features] = torch.cat((inverse, -inverse))[[0, 2, 1, 3]]
        last.weight[:, :4] = 0
        last.weight[2, :2] = last.weight[5, 2:4] = torch.tensor([1, -1]) / 1.01

    def mean_position(self, attention: Tensor) -> Tensor:
        """The mean position (B, N, 2) in [-1, 1] of attention maps (B, N, positions)."""
        return attention @ self.positions(math.isqrt(attention.shape[-1]), attention.device)

    def positions(self, side: int, device: torch.device) -> Tensor:
        """Positions (side * side, 2) in [-1, 1] of attention maps, row by row."""
        return pixel_grid(side, device)

    def forward(self, images: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Input (B, 3, S, S) or (B, D) and prior (N, 2) to affine maps (B, N, 2, 3) and attention maps.

        Attention maps (B, N, positions) sum to 1 over the positions, row by row.
        """
        descriptors, attention = self.describe(images, prior)
        return self.affine(descriptors), attention

    def affine(self, descriptors: Tensor) -> Tensor:
        """Affine maps (B, N, 2, 3) from descriptors of keypoints (B, N, 3 F)."""
        return self.predict(descriptors).float().unflatten(-1, (2, 3))  # type: ignore[no-any-return]

    def describe(self, images: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors (B, N, 3 F) of the keypoints, and attention maps."""
        features, attention = self.attend(images)
        return self.descriptors(features, attention, prior), attention

    @abstractmethod
    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, F, h, h) and attention (B, N, h * h) of the input."""

    def descriptors(self, features: Tensor, attention: Tensor, prior: Tensor) -> Tensor:
        """Attended features (B, F, h, h), attended position and prior of each keypoint: (B, N, 3 F)."""
        attended = attention.to(features.dtype) @ features.flatten(2).transpose(1, 2)
        # The embedding is linear: attending to it is embedding the mean position.
        position = self.embed(self.mean_position(attention))
        start = self.embed(prior).expand(features.shape[0], -1, -1)  # len() would fix the number in an export
        return torch.cat((attended.float(), position.float(), start.float()), dim=-1)


class Regressor(AffineRegressor):
    """The published one: convolutions on the image, and attention maps at a quarter of its resolution.

    `channels` of the four down blocks, `features` channels at the attention maps.
    """

    def __init__(
        self,
        keypoints: int,
        channels: tuple[int, ...],
        features: int,
        affine_init: str = "random",
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        widths = (3, *channels)
        self.down = nn.Sequential(*(ResidualDown(a, b) for a, b in zip(widths, channels, strict=False)))
        middle = channels[-2]
        self.up = RecomputeSequential(*self._up(channels[-1], middle), *self._up(middle, features))
        self.attention = _conv(features, keypoints)
        self.attention.weight.data *= sharpness
        self._build(features, affine_init)

    @staticmethod
    def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
        return PLACEHOLDER, DoubledConv(inputs, outputs), *_activation(outputs)

    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) to features (B, F, S/4, S/4) and attention."""
        features = self.up(self.down(images))
        return features, self.attention(features).flatten(2).float().softmax(-1)


class PartRegressor(AffineRegressor):
    """Part maps from a backbone's feature maps: N keypoints and the background compete for each cell.

    `shapes` (C, h, w) of the maps, finest first, at which they are added up; `size` of images in pixels. A keypoint's
    attention is its map divided by its sum in training, so that all of a part gets a gradient. At inference the map is
    squared before (INFERENCE_POWER): the part's middle counts, and its rim, shared with other parts, hardly does.
    """

    def __init__(
        self, keypoints: int, shapes: Sequence[tuple[int, int, int]], features: int, affine_init: str, size: int
    ) -> None:
        super().__init__()
        self.shapes, self.size = list(shapes), size
        self.project = nn.ModuleList(nn.Conv2d(c, features, 1, bias=not n) for n, (c, _, _) in enumerate(shapes))
        self.parts = nn.Conv2d(features, keypoints + 1, 1)
        self._build(features, affine_init)

    def positions(self, side: int, device: torch.device) -> Tensor:
        """The centers of the cells; see `cell_centers`."""
        return self.cell_centers(side, self.size, device)

    @staticmethod
    def cell_centers(side: int, size: int, device: torch.device) -> Tensor:
        """The centers (side * side, 2) in [-1, 1] of side x side cells over an image of `size` pixels, row by row."""
        line = ((torch.arange(side, device=device) + 0.5) * (size / side) - 0.5) * (2 / (size - 1)) - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        return torch.stack((x, y), dim=-1).reshape(-1, 2)

    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A backbone's rows (B, D) to features (B, F, h, h) and attention."""
        features, maps = self.part_maps(images)
        return features, part_attention(maps, INFERENCE_POWER)

    def part_maps(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """A backbone's rows (B, D) to features (B, F, h, h) and probabilities (B, N + 1, h, h), the background last."""
        side = self.shapes[0][-1]
        parts = rows.split([math.prod(shape) for shape in self.shapes], dim=1)
        total: Tensor | None = None
        for part, shape, layer in zip(parts, self.shapes, self.project, strict=True):
            projected = layer(part.unflatten(1, shape))
            if shape[-1] != side:
                projected = F.interpolate(projected, size=(side, side), mode="bilinear", align_corners=False)
            total = projected if total is None else total + projected
        assert total is not None
        features = total.relu()
        return features, self.parts(features).float().softmax(1)


def part_attention(maps: Tensor, power: int = 1) -> Tensor:
    """Attention (B, N, h * h) from part maps (B, N + 1, h, h), the background last: maps^power divided by their sum."""
    weights = maps[:, :-1].flatten(2) ** power
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-18)


class Completer(nn.Module):
    """A copy of a trained regressor that learns to complete hidden poses, and two numbers more for each keypoint."""

    def __init__(self, regressor: AffineRegressor) -> None:
        super().__init__()
        self.regressor = copy.deepcopy(regressor)
        features = self.regressor.embed.out_features
        self.doubt = nn.Sequential(
            nn.Linear(3 * features, features), nn.LeakyReLU(0.01, inplace=True), nn.Linear(features, 2)
        )

    def forward(self, images: Tensor, prior: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The regressor's output, and (B, N) each the log of the expected distance and the logit of being hidden."""
        descriptors, attention = self.regressor.describe(images, prior)
        distance, hidden = self.doubt(descriptors).float().unbind(-1)
        return self.regressor.affine(descriptors), attention, distance, hidden


class Decoder(nn.Module):
    """U-Net from the reference image and the link map to an image; `channels` at each of the five resolutions."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        first, *rest = channels
        self.stem = nn.Sequential(_conv(4, first), nn.LeakyReLU(0.2, inplace=True))
        self.down = nn.ModuleList(self._down(a, b) for a, b in zip(channels, rest, strict=False))
        outputs = channels[-2::-1]
        inputs = (channels[-1], *(2 * width for width in outputs))
        self.up = nn.ModuleList(self._up(a, b) for a, b in zip(inputs, outputs, strict=False))
        self.paint = _conv(2 * first, 3)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.2)

    @staticmethod
    def _down(inputs: int, outputs: int) -> RecomputeSequential:
        convs = _conv(inputs, outputs), *_activation(outputs), _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        return RecomputeSequential(*convs, Halve(), nn.LeakyReLU(0.2, inplace=True))

    @staticmethod
    def _up(inputs: int, outputs: int) -> RecomputeSequential:
        first = PLACEHOLDER, DoubledConv(inputs, outputs), *_activation(outputs)
        return RecomputeSequential(*first, _conv(outputs, outputs), *_activation(outputs))

    def forward(self, reference: Tensor, link_map: Tensor) -> Tensor:
        """Reference (B, 3, S, S) and link map (B, 1, S, S) to a reconstruction (B, 3, S, S), not clipped."""
        x = self.stem(torch.cat((reference, link_map), dim=1))
        skips = [x]
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        *coarser, finest = self.up
        rows = [part for block in coarser for part in (block, Concat(skips.pop()))]
        return forward_recomputing([*rows, finest, partial(self._last_conv, skips.pop())], x).float()

    def _last_conv(self, skip: Tensor, x: Tensor) -> Tensor:
        """The last convolution, of both parts apart: autograd would keep a concatenation of them."""
        weight = self.paint.weight
        return F.conv2d(x, weight[:, : x.shape[1]], self.paint.bias, padding=1) + F.conv2d(
            skip, weight[:, x.shape[1] :], padding=1
        )
