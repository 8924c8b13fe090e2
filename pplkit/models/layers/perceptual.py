"""Frozen feature networks for the perceptual loss, for images in [-1, 1]."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError, reason

# Index of each block's last layer in torchvision's `features`: relu1_2, relu2_2, relu3_3 (19: 3_4), relu4_3 (19: 4_4).
VGG_TAPS = {"vgg16": (3, 8, 15, 22), "vgg19": (3, 8, 17, 26)}
RANDOM_SEED = 20240 + 3858  # any constant: the random network has to be the same in every run


class PerceptualFeatures(nn.Module):
    """Blocks of frozen layers; the output of each block is one feature map.

    Images (B, 3, H, W) in [-1, 1] are resized to `size`, normalized with `mean` and `std` of [0, 1] values, and
    passed on from block to block.
    """

    def __init__(self, blocks: list[nn.Sequential], size: int, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.size = size
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PerceptualFeatures":
        """Stay in eval mode."""
        return super().train(False)

    def placed(self, device: torch.device, precision: str) -> "PerceptualFeatures":
        """On `device`, with weights of the type in which `precision` multiplies: autocast would round them anew."""
        self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if kind := {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision):
            self.blocks.to(kind)
        return self

    def pixels(self, images: Tensor) -> int:
        """Pixels of each image (B, 3, H, W) after resizing."""
        return self.size**2 if self.size else images.shape[-1] * images.shape[-2]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] to one feature map per block, finest first."""
        x = (images + 1) / 2
        if self.size and x.shape[-1] != self.size:
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", align_corners=False)
        x = (x - self.mean) / self.std
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


def perceptual_features(name: str, size: int) -> PerceptualFeatures | None:
    """The feature network "vgg16", "vgg19", "random" or "none" (None) for images of `size` pixels a side.

    Raises PplkitError if VGG's weights are damaged, or neither on disk nor downloadable.
    """
    if name == "none":
        return None
    if name == "random":
        return PerceptualFeatures(random_blocks(), size, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    layers = _vgg_layers(name)
    starts = (0, *(tap + 1 for tap in VGG_TAPS[name]))
    blocks = [nn.Sequential(*layers[a : b + 1]) for a, b in zip(starts, VGG_TAPS[name], strict=False)]
    return PerceptualFeatures(blocks, size, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def _vgg_layers(name: str) -> list[nn.Module]:
    from torchvision import models  # here, since torchvision is slow to import and only VGG needs it

    weights = models.get_model_weights(name).DEFAULT
    with torch.device("meta"):  # numbers come from the file alone
        network = models.get_model(name, weights=None)
    try:
        network.load_state_dict(_vgg_weights(weights.url), assign=True)
    except Exception as error:  # a damaged file can fail anywhere inside torch
        folder = os.path.join(torch.hub.get_dir(), "checkpoints")
        raise PplkitError(
            f"the weights of {name} cannot be loaded ({reason(error)}): download {weights.url} elsewhere and put the "
            f"file into {folder}, or choose perceptual='random'."
        ) from error
    return list(network.features.children())


def _vgg_weights(url: str) -> dict[str, Tensor]:
    """The weights in torch's cache, downloaded if missing; torchvision's own loader would execute the file."""
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), file.stem.rpartition("-")[2])  # checked by the hash in its name
    return torch.load(file, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]


def random_blocks() -> list[nn.Sequential]:
    """A small VGG with fixed random weights, scaled so that the signal's variance stays about 1."""
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    blocks, inputs = [], 3
    for number, width in enumerate((16, 32, 64, 64)):
        layers: list[nn.Module] = [nn.AvgPool2d(2)] if number else []
        for _ in range(2):
            conv = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            scale = (2 / (9 * inputs)) ** 0.5
            conv.weight.data = torch.randn(conv.weight.shape, generator=generator) * scale
            layers += [conv, nn.LeakyReLU(0.2)]
            inputs = width
        blocks.append(nn.Sequential(*layers))
    return blocks
