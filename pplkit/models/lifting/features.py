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
    the root in the window, or with `causal` up to the frame. A missing joint lies where it is interpolated, with a
    confidence of 0; at the root, if no frame shows it.

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
    relative, reachable = interpolated(relative, seen, causal)
    relative = torch.where(reachable[..., None], relative, 0)
    joints = torch.cat((relative / size[..., None], confidence[..., None]), dim=-1)
    return torch.cat((joints.flatten(2), path, size.log()), dim=-1)


def root_path(keypoints: Tensor, seen: Tensor, root: int, causal: bool = False) -> Tensor:
    """Places (B, F, 2) of the root joint, `interpolated`; the mean of the seen joints where that is impossible."""
    path, reachable = interpolated(keypoints[:, :, root, None], seen[:, :, root, None], causal)
    means = (keypoints * seen[..., None]).sum(2) / seen.sum(2).clamp_min(1)[..., None]
    return torch.where(reachable, path[:, :, 0], means)


def interpolated(points: Tensor, seen: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
    """Points (B, F, J, 2) that are interpolated in time where they are not `seen` (B, F, J), and where that works.

    Before the first and after the last frame that shows a point it is held; with `causal`, always from the past. It
    does not work where no frame (with `causal`: none so far) shows the point.
    """
    count = points.shape[1]
    frames = torch.arange(count, device=points.device, dtype=torch.int32)
    known = seen.movedim(2, 1)[:, :, None]  # (B, J, 1, F)
    past = known & (frames <= frames[:, None])
    before = torch.where(past, frames, -1).amax(-1)  # (B, J, F)
    after = torch.where(known & (frames >= frames[:, None]), frames, count).amin(-1)
    if causal:
        after = torch.full_like(after, count)
    after_or_before = torch.where(after < count, after, before)
    before = torch.where(before >= 0, before, after_or_before).clamp_min(0)
    after = after_or_before.clamp_min(0)
    step = ((frames - before) / (after - before).clamp_min(1)).movedim(1, 2)[..., None]
    indices = (index.long().movedim(1, 2)[..., None].expand(-1, -1, -1, 2) for index in (before, after))
    first, last = (points.gather(1, index) for index in indices)
    reachable = past.any(-1) if causal else known.any(-1).expand(-1, -1, count)
    return first + step * (last - first), reachable.movedim(1, 2)


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
