"""The kit's own lifting network: one token a frame, the poses of all frames of a window at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers.transformer import blocks
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.poseformer import PoseFormer

SMALLEST_SIZE = 1e-4  # of a pose, in screen coordinates
LONGEST_PERIOD = 1000.0  # of the position embedding, in frames, over 2π
LOG_SPREAD = (-7.0, 3.0)  # range of the logarithm of expected errors in meters


class Lifted(NamedTuple):
    """Poses in meters, camera space, relative to the root joint."""

    positions: Tensor  # (B, F, J, 3)
    spread: Tensor | None  # (B, F, J), expected error in meters, of models that have learned it


class Lifter(nn.Module):
    """A transformer over frames whose tokens are linear in a frame's keypoints; each token gives its frame's pose.

    Keypoints are taken relative to the root joint and divided by the size of the pose in the window, so that place,
    distance and cropping matter only through these numbers, which are inputs as well. A missing joint is replaced by a
    learned token. Windows may have any number of frames.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.joints, self.root, self.frames = config.joints, config.root, config.frames
        self.causal, self.uncertainty = config.causal, config.uncertainty
        features, width = 3 * config.joints + 3, config.width
        self.embed = nn.Linear(features, width)
        self.missing = nn.Parameter(0.02 * torch.randn(config.joints, width))
        self.frequency_tokens = config.frequency_tokens
        if config.frequency_tokens:
            self.embed_frequencies = nn.Linear(features, width)
            self.frequency_positions = nn.Parameter(0.02 * torch.randn(config.frequency_tokens, width))
        self.blocks = blocks(config.depth, width, config.heads, config.mlp_ratio, config.drop_path)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, (4 if config.uncertainty else 3) * self.joints))

    def forward(self, keypoints: Tensor, confidence: Tensor | None = None, real: Tensor | None = None) -> Lifted:
        """Lift windows of any number of frames.

        Args:
            keypoints: (B, F, J, 2) in screen coordinates (`geometry.cameras`); NaN where missing.
            confidence: (B, F, J) from 0, missing, to 1; by default 1.
            real: (B, F) bool, False for frames that only fill a shorter sequence up; by default all are real.

        Raises PplkitError for keypoints of another shape.
        """
        if keypoints.ndim != 4 or keypoints.shape[2:] != (self.joints, 2) or not keypoints.shape[1]:
            shape = f"(B, F, {self.joints}, 2)"
            raise PplkitError(f"keypoints have the shape {tuple(keypoints.shape)}: this model takes {shape}.")
        confidence = torch.ones_like(keypoints[..., 0]) if confidence is None else confidence
        confidence = torch.where(keypoints.isfinite().all(-1), confidence, 0)
        if real is not None:
            confidence = confidence * real[..., None]
        seen = confidence > 0
        features = frame_features(torch.where(seen[..., None], keypoints, 0), confidence, self.root, self.causal)
        tokens = self.embed(features) + (~seen).to(features) @ self.missing
        tokens = tokens + sine_positions(tokens.shape[1], tokens.shape[2], tokens.device)
        if self.frequency_tokens:
            tokens = torch.cat((self._frequencies(features, real), tokens), dim=1)
        mask = self._mask(tokens.shape[1], real, tokens.device)
        for block in self.blocks:
            tokens = block(tokens, mask)
        output = self.head(tokens[:, self.frequency_tokens :]).float().unflatten(-1, (self.joints, -1))
        positions = output[..., :3] - output[..., self.root : self.root + 1, :3]
        return Lifted(positions, output[..., 3].clamp(*LOG_SPREAD).exp() if self.uncertainty else None)

    def _frequencies(self, features: Tensor, real: Tensor | None) -> Tensor:
        basis = cosine_basis(self.frequency_tokens, features.shape[1], real, features.device)
        return self.embed_frequencies(basis @ features) + self.frequency_positions  # type: ignore[no-any-return]

    def _mask(self, count: int, real: Tensor | None, device: torch.device) -> Tensor | None:
        """Which token sees which, (B or 1, 1, N, N); None where all see all."""
        mask = None
        if self.causal:
            mask = torch.ones(1, 1, count, count, dtype=torch.bool, device=device).tril()
        if real is not None:
            visible = torch.cat((real.new_ones(len(real), self.frequency_tokens), real), dim=1)[:, None, None]
            visible = visible | torch.eye(count, dtype=torch.bool, device=device)  # no token sees nothing
            mask = visible if mask is None else mask & visible
        return mask


def build_model(config: LiftingConfig) -> Lifter | PoseFormer:
    """The network that the settings describe, with random weights."""
    if config.network == "frames":
        return Lifter(config)
    return PoseFormer(
        config.frames, config.joints, 2, config.width, config.depth, config.heads, config.mlp_ratio, config.drop_path
    )


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
