"""What lifting networks are given of a window of keypoints, and what they give back."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_SIZE = 1e-4  # of a pose, in screen coordinates
LONGEST_PERIOD = 1000.0  # of the position embedding, in frames, over 2π


class Lifted(NamedTuple):
    """Poses in meters, camera space, relative to the root joint."""

    positions: Tensor  # (B, F, J, 3)
    spread: Tensor | None  # (B, F, J), expected error in meters, of models that have learned it


def frame_features(keypoints: Tensor, confidence: Tensor, root: int, causal: bool = False) -> Tensor:
    """What a frame's token is made of: (B, F, 3J + 3).

    For each joint its place relative to the root, in sizes of the pose, and its confidence; then the root's place in
    screen coordinates and the logarithm of the size. The size is the root mean square distance of the seen joints from
    the root in the window, or with `causal` up to the frame. Missing joints have zeros.

    Args:
        keypoints: (B, F, J, 2) in screen coordinates; finite.
        confidence: (B, F, J); 0 where missing.
        root: Number of the root joint.
        causal: Whether a frame may depend on those before alone.
    """
    seen = confidence > 0
    path = root_path(keypoints, seen, root, causal)
    relative = torch.where(seen[..., None], keypoints - path[..., None, :], 0)
    squares, counts = relative.square().sum((-2, -1)), seen.sum(-1)
    if causal:
        squares, counts = squares.cumsum(1), counts.cumsum(1)
    else:
        squares, counts = squares.sum(1, keepdim=True), counts.sum(1, keepdim=True)
    size = (squares / counts.clamp_min(1)).sqrt().clamp_min(SMALLEST_SIZE)[..., None].expand(-1, path.shape[1], 1)
    joints = torch.cat((relative / size[..., None], confidence[..., None]), dim=-1)
    return torch.cat((joints.flatten(2), path, size.log()), dim=-1)


def root_path(keypoints: Tensor, seen: Tensor, root: int, causal: bool = False) -> Tensor:
    """Places (B, F, 2) of the root joint.

    Where it is missing they are interpolated between neighboring frames, or with `causal` held. Where no frame has it
    (with `causal`: none so far) the mean of the seen joints stands in.
    """
    frames = torch.arange(keypoints.shape[1], device=keypoints.device)
    count, known = len(frames), seen[:, None, :, root]  # (B, 1, F)
    past = known & (frames <= frames[:, None])
    before = torch.where(past, frames, -1).amax(-1)
    after = torch.where(known & (frames >= frames[:, None]), frames, count).amin(-1)
    if causal:
        after = torch.full_like(after, count)
    after_or_before = torch.where(after < count, after, before)
    before = torch.where(before >= 0, before, after_or_before).clamp_min(0)
    after = after_or_before.clamp_min(0)
    points = keypoints[:, :, root]
    first, last = (points.gather(1, index[..., None].expand(-1, -1, 2)) for index in (before, after))
    step = ((frames - before) / (after - before).clamp_min(1))[..., None]
    means = (keypoints * seen[..., None]).sum(2) / seen.sum(2).clamp_min(1)[..., None]
    reachable = past.any(-1) if causal else known.any(-1)
    return torch.where(reachable[..., None], first + step * (last - first), means)


def sine_positions(frames: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Sines and cosines (frames, width) of a frame's number, with periods from 2π to 2π * LONGEST_PERIOD frames."""
    rates = torch.exp(torch.arange(width // 2, device=device) * (-2 * math.log(LONGEST_PERIOD) / width))
    angles = torch.arange(frames, device=device)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def cosine_basis(count: int, frames: int, real: Tensor | None = None, device: torch.device | str = "cpu") -> Tensor:
    """The matrix (B or 1, count, frames) that gives the lowest coefficients of the cosine transform (DCT-II).

    2 / L cos(π k (t + 1/2) / L) for the coefficient k and the t-th of L real frames; 0 from k = L on, and for frames
    that are not real (`real` (B, frames), True first).
    """
    weights = torch.ones(1, frames, device=device) if real is None else real.float()
    length = weights.sum(1).clamp_min(1)[:, None, None]
    number = torch.arange(count, device=device)[:, None]
    waves = (math.pi * number * (torch.arange(frames, device=device) + 0.5) / length).cos()
    return 2 / length * waves * weights[:, None] * (number < length)
