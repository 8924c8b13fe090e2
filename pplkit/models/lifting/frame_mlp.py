"""The one-frame network that temporal ones are measured against."""

import torch
from torch import Tensor, nn

from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.features import Lifted, frame_features


class FrameMLP(nn.Module):
    """Residual blocks of two layers for each frame by itself (after Martinez et al., ICCV 2017).

    The inputs are those of `Lifter` without the confidence; a missing joint lies on the root.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.joints, self.root, self.frames = config.joints, config.root, config.frames
        self.causal, self.uncertainty = False, False
        width = config.width
        self.embed = nn.Linear(2 * config.joints + 3, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(config.depth)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(width, 3 * config.joints))

    def forward(self, keypoints: Tensor, confidence: Tensor | None = None, real: Tensor | None = None) -> Lifted:
        """Keypoints (B, F, J, 2), NaN or confidence (B, F, J) of 0 where missing, to positions (B, F, J, 3)."""
        seen = keypoints.isfinite().all(-1)
        if confidence is not None:
            seen = seen & (confidence > 0)
        frames = torch.where(seen[..., None], keypoints, 0).flatten(0, 1)[:, None]
        features = frame_features(frames, seen.flatten(0, 1)[:, None].float(), self.root)[:, 0]
        joints = features[:, :-3].unflatten(1, (self.joints, 3))[..., :2].flatten(1)
        tokens = self.embed(torch.cat((joints, features[:, -3:]), dim=1))
        for block in self.blocks:
            tokens = tokens + block(tokens)
        positions = self.head(tokens).float().unflatten(1, (self.joints, 3))
        positions = positions - positions[:, self.root : self.root + 1]
        return Lifted(positions.unflatten(0, keypoints.shape[:2]), None)
