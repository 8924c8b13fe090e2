"""The published estimator: two temporal convolution networks, one for the pose, one for the path of the hips.

Their form is that of VideoPose3D (Pavllo et al., CVPR 2019); sizes and losses are those of PoseTriplet (Gong et al.,
CVPR 2022).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import mirror
from pplkit.models.motion.skeleton import MOTION16
from pplkit.models.released_reader import load_released

KERNEL = 3  # frames of the convolutions; dilations are its powers
DROPOUT = 0.25
MAX_GRADIENT = 1.0  # norm that gradients are clipped to
LEARNING_RATE, EPOCHS = 3e-4, 50  # of Adam


class TemporalConvolution(nn.Module):
    """Points of each frame from 2D poses, by convolutions over time whose dilation grows threefold.

    Each block sees 3 times as many frames as the one before: 27 with two blocks, 81 with three.

    Args:
        outputs: 3D points for each frame: 16, or 1 for the path.
        channels: Of all hidden layers.
        blocks: Pairs of convolutions, each with a way around it.
        inputs: 2D points for each frame.
    """

    def __init__(self, outputs: int, channels: int = 1024, blocks: int = 2, inputs: int = 16) -> None:
        super().__init__()
        self.outputs, self.inputs = outputs, inputs
        self.expand_bn = nn.BatchNorm1d(channels)
        self.shrink = nn.Conv1d(channels, outputs * 3, 1)
        self.expand_conv = nn.Conv1d(2 * inputs, channels, KERNEL, bias=False)
        self.layers_conv = nn.ModuleList()
        for block in range(1, blocks + 1):
            self.layers_conv.append(nn.Conv1d(channels, channels, KERNEL, dilation=KERNEL**block, bias=False))
            self.layers_conv.append(nn.Conv1d(channels, channels, 1, bias=False))
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(2 * blocks))

    @property
    def frames(self) -> int:
        """How many frames of 2D poses one frame of the output sees."""
        return KERNEL ** (len(self.layers_conv) // 2 + 1)

    def forward(self, keypoints: Tensor, strided: bool = False) -> Tensor:
        """3D points (B, T - frames + 1, outputs, 3) in meters from 2D poses (B, T, inputs, 2) in screen units.

        `strided` computes only what the first frame of the output needs, by convolutions with steps, and gives
        (B, 1, outputs, 3). Raises PplkitError for another number of points, or too few frames.
        """
        if keypoints.ndim != 4 or keypoints.shape[2:] != (self.inputs, 2) or keypoints.shape[1] < self.frames:
            raise PplkitError(
                f"2D poses of the shape {tuple(keypoints.shape)}: this estimator takes (B, T, {self.inputs}, 2) with T "
                f"at least {self.frames}."
            )
        if strided:
            keypoints = keypoints[:, : self.frames]
        x = self._activated(self._over_time(self.expand_conv, keypoints.flatten(2).mT, strided), self.expand_bn)
        for number in range(0, len(self.layers_conv), 2):
            convolution, pointwise = self.layers_conv[number], self.layers_conv[number + 1]
            edge = KERNEL ** (number // 2 + 1)
            around = x[:, :, 1::KERNEL] if strided else x[:, :, edge:-edge]
            x = self._activated(self._over_time(convolution, x, strided), self.layers_bn[number])
            x = around + self._activated(pointwise(x), self.layers_bn[number + 1])
        return self.shrink(x).mT.unflatten(-1, (self.outputs, 3))  # type: ignore[no-any-return]

    def _over_time(self, layer: nn.Module, x: Tensor, strided: bool) -> Tensor:
        if strided:
            return functional.conv1d(x, layer.weight, stride=KERNEL)  # type: ignore[arg-type]
        return layer(x)  # type: ignore[no-any-return]

    def _activated(self, x: Tensor, norm: nn.Module) -> Tensor:
        return functional.dropout(norm(x).relu(), DROPOUT, self.training)


def load_temporal_convolution(state: Mapping[str, Tensor]) -> TemporalConvolution:
    """A network in eval mode with released weights; all sizes follow from their shapes.

    Raises PplkitError that lists missing, unknown and ill-shaped tensors.
    """
    try:
        channels, inputs, _ = state["expand_conv.weight"].shape
        outputs = len(state["shrink.bias"]) // 3
    except (KeyError, ValueError) as error:
        raise PplkitError(f"the state dict is not that of a temporal convolution network ({error}).") from None
    blocks = sum(name.startswith("layers_conv.") for name in state) // 2
    model = TemporalConvolution(outputs, channels, blocks, inputs // 2)
    load_released(model, state, "the state dict", "a temporal convolution network")
    return model.eval()


def estimate_camera_space(
    pose: TemporalConvolution,
    path: TemporalConvolution,
    keypoints: Tensor,
    flip: bool = True,
    pairs: Sequence[tuple[int, int]] = MOTION16.flip_pairs,
) -> Tensor:
    """3D joints (T, J, 3) in camera space of a sequence (T, J, 2), in meters; the first joint is the root.

    The first and the last frame are repeated at the edges. `flip` averages the pose, not the path, with that of the
    mirror image, as all published numbers do; `pairs` are the joints (left, right) of the layout.
    """
    edge = (pose.frames - 1) // 2
    padded = torch.cat([keypoints[:1].expand(edge, -1, -1), keypoints, keypoints[-1:].expand(edge, -1, -1)])[None]
    with torch.no_grad():
        joints, hips = pose(padded)[0], path(padded)[0]
        if flip:
            joints = (joints + mirror(pose(mirror(padded, pairs))[0], pairs)) / 2
    return joints - joints[:, :1] + hips


def pose_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in m² of joints (B, T, 16, 3) against the target's, taken relative to its hips."""
    return functional.mse_loss(output, target - target[:, :, :1])


def path_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean distance of hips (B, T, 1, 3) from those of joints (B, T, 16, 3), each divided by the true depth."""
    hips = target[:, :, :1]
    return ((output - hips).norm(dim=-1) / hips[..., 2]).mean()


def learning_rate_factor(epoch: int) -> float:
    """Factor of the pose's learning rate in an epoch, from 0; that of the path stays 1, its schedule is never used."""
    return 1 - epoch / (EPOCHS + 1)
