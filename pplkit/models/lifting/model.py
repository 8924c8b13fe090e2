"""The kit's own lifting network: a token for one or a few frames, the poses of all frames of a window at once."""

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers.transformer import blocks
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted, cosine_basis, frame_features, sine_positions
from pplkit.models.lifting.frame_mlp import FrameMLP
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.models.lifting.unlabelled import Critic

LOG_SPREAD = (-7.0, 3.0)  # range of the logarithm of expected errors in meters


class Lifter(nn.Module):
    """A transformer over frames: a token is linear in the keypoints of its frames and gives their poses.

    Keypoints are taken relative to the root joint and divided by the size of the pose in the window, so that place,
    distance and cropping matter only through these numbers, which are inputs as well. A missing joint is replaced by a
    learned token. Windows may have any number of frames.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.joints, self.root, self.frames = config.joints, config.root, config.frames
        self.causal, self.uncertainty = config.causal, config.uncertainty
        self.frames_per_token = group = config.frames_per_token
        features, width = group * (3 * config.joints + 3), config.width
        self.embed = nn.Linear(features, width)
        self.missing = nn.Parameter(0.02 * torch.randn(group * config.joints, width))
        self.frequency_tokens = config.frequency_tokens
        if config.frequency_tokens:
            self.embed_frequencies = nn.Linear(features, width)
            self.frequency_positions = nn.Parameter(0.02 * torch.randn(config.frequency_tokens, width))
        self.blocks = blocks(config.depth, width, config.heads, config.mlp_ratio, config.drop_path)
        if config.labels == "2d":
            self.critic = Critic(config.joints, config.root)  # has no part outside of training
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, group * (4 if config.uncertainty else 3) * self.joints)
        )

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
        count = keypoints.shape[1]
        if extra := -count % self.frames_per_token:  # the last frame fills the last token up
            keypoints, confidence = _extended(keypoints, extra), _extended(confidence, extra)
            real = None if real is None else _extended(real, extra)
        seen = confidence > 0
        features = frame_features(torch.where(seen[..., None], keypoints, 0), confidence, self.root, self.causal)
        features, missing = self._grouped(features), self._grouped((~seen).to(features))
        real = None if real is None else self._grouped(real[..., None]).any(-1)
        tokens = self.embed(features) + missing @ self.missing
        tokens = tokens + sine_positions(tokens.shape[1], tokens.shape[2], tokens.device)
        if self.frequency_tokens:
            tokens = torch.cat((self._frequencies(features, real), tokens), dim=1)
        mask = self._mask(tokens.shape[1], real, tokens.device)
        for block in self.blocks:
            tokens = block(tokens, mask)
        output = self.head(tokens[:, self.frequency_tokens :]).float()
        output = output.unflatten(-1, (self.frames_per_token, self.joints, -1)).flatten(1, 2)[:, :count]
        positions = output[..., :3] - output[..., self.root : self.root + 1, :3]
        return Lifted(positions, output[..., 3].clamp(*LOG_SPREAD).exp() if self.uncertainty else None)

    def _grouped(self, values: Tensor) -> Tensor:
        """Values (B, F, C) of frames as those of tokens, (B, F / frames per token, frames per token * C)."""
        return values.unflatten(1, (-1, self.frames_per_token)).flatten(2)

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


def _extended(values: Tensor, count: int) -> Tensor:
    """Values (B, F, ...) whose last frame is repeated `count` times."""
    return torch.cat((values, values[:, -1:].expand(-1, count, *values.shape[2:])), dim=1)


def build_model(config: LiftingConfig) -> Lifter | PoseFormer | FrameMLP:
    """The network that the settings describe, with random weights."""
    if config.network == "frames":
        return Lifter(config)
    if config.network == "mlp":
        return FrameMLP(config)
    return PoseFormer(
        config.frames, config.joints, 2, config.width, config.depth, config.heads, config.mlp_ratio, config.drop_path
    )
