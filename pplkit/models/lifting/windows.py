"""Whole sequences through a lifting model: windows of frames, blended so that no seam shows."""

import torch
from torch import Tensor

from pplkit.data.sequence_chunks import window_frames
from pplkit.geometry.coordinates import mirror
from pplkit.models.lifting.features import Lifted
from pplkit.models.lifting.frame_mlp import FrameMLP
from pplkit.models.lifting.model import Lifter
from pplkit.models.lifting.poseformer import PoseFormer

Pairs = tuple[tuple[int, int], ...]


def flip_mean(model: PoseFormer, keypoints: Tensor, flip_pairs: Pairs) -> Tensor:
    """Mean of the poses (B, 1, J, 3) of windows (B, F, J, C) and the mirrored poses of the mirrored windows."""
    return (model(keypoints) + mirror(model(mirror(keypoints, flip_pairs)), flip_pairs)) / 2


def lift_flipped(model: Lifter | FrameMLP, keypoints: Tensor, confidence: Tensor, flip_pairs: Pairs) -> Lifted:
    """The same mean for windows (B, F, J, 2) of a `Lifter`, with confidence (B, F, J)."""
    order = torch.arange(keypoints.shape[2])
    for left, right in flip_pairs:
        order[left], order[right] = right, left
    plain, turned = model(keypoints, confidence), model(mirror(keypoints, flip_pairs), confidence[..., order])
    positions = (plain.positions + mirror(turned.positions, flip_pairs)) / 2
    return Lifted(positions, None if plain.spread is None else (plain.spread + turned.spread[..., order]) / 2)


def window_starts(length: int, frames: int, stride: int) -> Tensor:
    """First frames of windows that together cover a sequence; the last window ends with it."""
    last = max(length - frames, 0)
    return torch.arange(0, last + stride, stride).clamp_max(last).unique()


def blend_weights(frames: int, causal: bool = False) -> Tensor:
    """Weights (frames,) of a window's poses: a triangle with its top in the middle, or with `causal` at the end."""
    number = torch.arange(1, frames + 1)
    return (number if causal else torch.minimum(number, number.flip(0))).float()


@torch.no_grad()
def lift_sequence(
    model: Lifter | FrameMLP,
    keypoints: Tensor,
    confidence: Tensor | None = None,
    flip_pairs: Pairs | None = None,
    stride: int = 0,
    batch_size: int = 64,
) -> Lifted:
    """The poses of a sequence of any length, as the weighted means of overlapping windows.

    Windows have the length that the model was trained with, or that of the sequence if it is shorter.

    Args:
        model: In eval mode.
        keypoints: (T, J, 2) in screen coordinates; NaN where missing.
        confidence: (T, J) from 0, missing, to 1; by default 1.
        flip_pairs: (left, right) joints, if poses are to be means over the input and its mirror image.
        stride: Frames from one window to the next; by default a third of a window.
        batch_size: Windows that are lifted at once.

    Returns:
        Positions (T, J, 3) in meters relative to the root joint, and their spread (T, J) if the model has learned it.
    """
    frames = min(len(keypoints), model.frames)
    confidence = torch.ones_like(keypoints[..., 0]) if confidence is None else confidence
    starts = window_starts(len(keypoints), frames, stride or max(frames // 3, 1))
    weights = blend_weights(frames, model.causal).to(keypoints.device)
    sums = keypoints.new_zeros(*keypoints.shape[:2], 5)  # of positions, spreads and weights
    for part in starts.split(batch_size):
        index = (part[:, None] + torch.arange(frames)).to(keypoints.device)
        if flip_pairs is None:
            lifted = model(keypoints[index], confidence[index])
        else:
            lifted = lift_flipped(model, keypoints[index], confidence[index], flip_pairs)
        spread = lifted.positions.new_zeros(lifted.positions.shape[:3]) if lifted.spread is None else lifted.spread
        values = torch.cat((lifted.positions, spread[..., None], torch.ones_like(spread)[..., None]), dim=-1)
        sums.index_add_(0, index.flatten(), (values * weights[:, None, None]).flatten(0, 1))
    means = sums / sums[..., 4:]
    return Lifted(means[..., :3], means[..., 3] if model.uncertainty else None)


@torch.no_grad()
def lift_centers(model: PoseFormer, keypoints: Tensor, flip_pairs: Pairs | None = None, batch_size: int = 64) -> Tensor:
    """The poses (T, J, 3) of a sequence (T, J, C), each the center of a window; ends are repeated, as published."""
    index = torch.from_numpy(window_frames(len(keypoints), model.frames // 2)).to(keypoints.device)
    windows = (keypoints[part] for part in index.split(batch_size))
    poses = [model(window) if flip_pairs is None else flip_mean(model, window, flip_pairs) for window in windows]
    return torch.cat(poses)[:, 0]
