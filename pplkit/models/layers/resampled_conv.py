"""Convolutions followed by downsampling or after upsampling by 2, with the same results for less work."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_SIDE = 16  # pixels: below, the borders would be too large a part of the work


class Halve(nn.Module):
    """Bilinear x 0.5, which is the mean over 2 x 2 pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), H and W even, to (B, C, H/2, W/2)."""
        return _Halved.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _Halved(torch.autograd.Function):
    """Without saved tensors: autograd would keep the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return F.interpolate(gradient / 4, scale_factor=2, mode="nearest")


class HalvedConv(nn.Conv2d):
    """A 3 x 3 convolution followed by bilinear x 0.5, done as one 4 x 4 convolution of stride 2.

    The mean over 2 x 2 outputs is linear, so it moves into the weights: 16 products a pixel instead of 36, and nothing
    is written at the full resolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        return F.conv2d(x, self.kernel(), self.bias, stride=2, padding=1)

    def kernel(self) -> Tensor:
        """The weights (outputs, inputs, 4, 4) of the one convolution."""
        moved = [F.pad(self.weight, (left, 1 - left, top, 1 - top)) for left in (0, 1) for top in (0, 1)]
        return torch.stack(moved).mean(0)


class DoubledConv(nn.Conv2d):
    """Bilinear x 2 followed by a 3 x 3 convolution.

    Bilinear x 2 puts zeros between the pixels and blurs. Here the blur comes last, on the output channels, and products
    with zeros are left out: a quarter of the work, and nothing is kept at twice the size before. The order matters only
    at the border, where the blurred image ends and the convolution pads with zeros: what the convolution would see
    beyond the four sides is subtracted.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.blur: Tensor
        self.register_buffer("blur", torch.outer(taps, taps).repeat(outputs, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2 H, 2 W)."""
        # An exported graph cannot hold a function of autograd, and runtimes are fast with the plain layers.
        if min(x.shape[2:]) < MIN_SIDE or torch.compiler.is_exporting():
            doubled = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            return F.conv2d(doubled, self.weight, self.bias, padding=1)
        assert self.bias is not None
        device, parts = x.device.type, [x, self.weight, self.bias, self.blur]
        if torch.is_autocast_enabled(device):
            parts = [part.to(torch.get_autocast_dtype(device)) for part in parts]
        with torch.autocast(device, enabled=False):  # which would pad and resize in float32
            return _Doubled.apply(*parts)  # type: ignore[no-any-return, no-untyped-call]


class _Doubled(torch.autograd.Function):
    """Written out: autograd would keep the image before the blur, and lose its memory format at the sides."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, blur: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, blur)
        spread = F.conv_transpose2d(_rim(x), _transposed(weight), stride=2, padding=1)
        out = F.conv2d(spread, blur, bias, groups=len(blur))
        rows, columns = _sides(x)
        for line, outside in zip(_sides(out), _beyond(rows, columns, weight), strict=True):
            line -= outside
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, blur = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):  # backward may be called inside of it
            return _gradients(x, weight, blur, gradient)


def _gradients(x: Tensor, weight: Tensor, blur: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    """Gradients of x, weight and bias, from that of the output."""
    blurred = F.conv2d(gradient, blur, padding=3, groups=len(blur))  # the blur is symmetric
    of_rim, of_weight, _ = torch.ops.aten.convolution_backward(
        blurred, _rim(x), _transposed(weight), None, [2, 2], [1, 1], [1, 1], True, [0, 0], 1, [True, True, False]
    )
    of_rim[:, :, 1] += of_rim[:, :, 0]
    of_rim[:, :, -2] += of_rim[:, :, -1]
    of_x = of_rim[:, :, 1:-1, 1:-1]
    of_x[..., 0] += of_rim[:, :, 1:-1, 0]
    of_x[..., -1] += of_rim[:, :, 1:-1, -1]
    with torch.enable_grad():
        inputs = [part.detach().requires_grad_() for part in (*_sides(x), weight)]
        rows, columns, more = torch.autograd.grad(_beyond(*inputs), inputs, [-part for part in _sides(gradient)])
    for line, part in zip(_sides(of_x), (rows, columns), strict=True):
        line += part
    return of_x, _transposed(of_weight) + more, gradient.sum((0, 2, 3)), None


def _transposed(weight: Tensor) -> Tensor:
    """The weight of a convolution as that of its transpose, and back."""
    return weight.flip(2, 3).transpose(0, 1)


def _rim(x: Tensor) -> Tensor:
    """Images (B, C, H, W) padded by one pixel on each side with the border."""
    return F.pad(x, (1, 1, 1, 1), "replicate")


def _sides(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last row (B, C, 2, W), and column (B, C, H, 2), of images (B, C, H, W), as views."""
    height, width = x.shape[2:]
    return x[:, :, :: height - 1], x[..., :: width - 1]


def _beyond(rows: Tensor, columns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The convolution's part from beyond the `_sides`; corners belong to the rows."""
    down = _line(columns.mT, weight[..., ::2].mT, "constant")
    return _line(rows, weight[:, :, ::2], "replicate"), down.mT


def _line(lines: Tensor, weight: Tensor, ends: str) -> Tensor:
    """Two lines (B, C, 2, L), doubled, each with its own weight (O, C, 2, 3), to (B, O, 2, 2 L); `ends`: padding."""
    doubled = F.interpolate(lines, scale_factor=(1.0, 2.0), mode="bilinear", align_corners=False)
    padded = F.pad(doubled, (1, 1, 0, 0), ends).transpose(1, 2).flatten(1, 2)[:, :, None]
    lines = F.conv2d(padded, weight.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None], groups=2)
    return lines.unflatten(1, (2, -1))[:, :, :, 0].transpose(1, 2)
