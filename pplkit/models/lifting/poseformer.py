"""PoseFormer (Zheng et al., ICCV 2021): the 3D pose of the center frame of a window of 2D poses."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers.transformer import blocks
from pplkit.models.released_reader import load_released, read_state


class PoseFormer(nn.Module):
    """Attention among the joints of each frame, then among frames; a learned average of the frames gives the pose.

    Names and initial values of the parameters are those of the released code.

    Args:
        frames: F, the length of the window; odd, so that it has a center.
        joints: J.
        channels: Numbers of a joint: x and y in screen coordinates (`geometry.cameras`), or more.
        width: Channels of a joint's token; a frame's token has J times as many.
        depth: Blocks of each of the two parts.
        heads: Attention heads, a divisor of `width`.
        mlp_ratio: Hidden units of a block's MLP for each channel.
        drop_path: Rate of the last block at which paths are left out in training; published: 0.1.
    """

    def __init__(
        self,
        frames: int,
        joints: int = 17,
        channels: int = 2,
        width: int = 32,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise PplkitError(f"heads={heads} does not divide width={width}: choose a divisor.")
        frame_width = joints * width
        self.frames, self.joints, self.channels = frames, joints, channels
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, joints, width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, frame_width))
        self.Spatial_patch_to_embedding = nn.Linear(channels, width)
        self.Spatial_blocks = blocks(depth, width, heads, mlp_ratio, drop_path)
        self.blocks = blocks(depth, frame_width, heads, mlp_ratio, drop_path)
        self.Spatial_norm = nn.LayerNorm(width, eps=1e-6)
        self.Temporal_norm = nn.LayerNorm(frame_width, eps=1e-6)
        self.weighted_mean = nn.Conv1d(frames, 1, 1)
        self.head = nn.Sequential(nn.LayerNorm(frame_width), nn.Linear(frame_width, 3 * joints))

    def forward(self, keypoints: Tensor) -> Tensor:
        """Keypoints (B, F, J, C) to poses (B, 1, J, 3) of the center frames, in meters relative to the root joint.

        Raises PplkitError for windows of another shape.
        """
        if keypoints.ndim != 4 or keypoints.shape[1:] != (self.frames, self.joints, self.channels):
            shape = f"(B, {self.frames}, {self.joints}, {self.channels})"
            raise PplkitError(f"keypoints have the shape {tuple(keypoints.shape)}: this PoseFormer takes {shape}.")
        averages = self.weighted_mean(self.frame_tokens(self.joint_tokens(keypoints)))
        return self.head(averages).unflatten(-1, (self.joints, 3))  # type: ignore[no-any-return]

    def joint_tokens(self, keypoints: Tensor) -> Tensor:
        """The spatial part: keypoints (B, F, J, C) to (B, F, J * width), each frame by itself."""
        tokens = self.Spatial_patch_to_embedding(keypoints.flatten(0, 1)) + self.Spatial_pos_embed
        for block in self.Spatial_blocks:
            tokens = block(tokens)
        return self.Spatial_norm(tokens).view(*keypoints.shape[:2], -1)  # type: ignore[no-any-return]

    def frame_tokens(self, tokens: Tensor) -> Tensor:
        """The temporal part: tokens of frames (B, F, J * width) to the same shape."""
        tokens = tokens + self.Temporal_pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.Temporal_norm(tokens)  # type: ignore[no-any-return]


def load_poseformer(source: str | os.PathLike[str] | Mapping[str, Tensor], heads: int = 8) -> PoseFormer:
    """A PoseFormer in eval mode with released weights, from a state dict or a file of torch.save.

    The file may be a training checkpoint that holds a state dict; nothing in it is executed. All sizes are read from
    the shapes, apart from the number of attention heads, which no shape tells. A prefix `module.` is removed. Raises
    PplkitError that lists missing, unknown and ill-shaped tensors.
    """
    state = dict(source) if isinstance(source, Mapping) else read_state(Path(source)).state
    label = "the state dict" if isinstance(source, Mapping) else str(source)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        width, channels = state["Spatial_patch_to_embedding.weight"].shape
        depth = len({match[1] for name in state if (match := re.match(r"Spatial_blocks\.(\d+)\.", name))})
        model = PoseFormer(
            frames=state["Temporal_pos_embed"].shape[1],
            joints=state["Spatial_pos_embed"].shape[1],
            channels=channels,
            width=width,
            depth=depth,
            heads=heads,
            mlp_ratio=len(state["Spatial_blocks.0.mlp.fc1.bias"]) / width,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise PplkitError(f"{label} is not PoseFormer's ({error}): give its state dict unchanged.") from None
    load_released(model, state, label, "PoseFormer")
    return model.eval()
