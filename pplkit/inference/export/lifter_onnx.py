"""A lifter as an ONNX file, for programs without PyTorch: windows of keypoints in, poses out.

Inputs `keypoints`: float32 (B, F, J, 2) in screen coordinates, x from -1 at the left to 1 at the right border of the
image and y in the same unit, 0 in the middle; and, but for PoseFormer, `confidence` (B, F, J), 0 where a joint is
missing. F is the length of the lifter's windows, at its frame rate; shorter clips repeat their last frame with a
confidence of 0. Outputs `positions`: (B, F, J, 3) meters in the axes of the camera (x right, y down, z away), relative
to the root; of PoseFormer the center frame's alone, (B, 1, J, 3); and `spread` (B, F, J) where it was learned. The mean
over the mirror image is taken where the lifter's settings say so. The metadata `pplkit.lifter` name the joints.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from pplkit.inference.export.onnx import write_onnx
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.models.lifting.windows import flip_mean, lift_flipped
from pplkit.training.saved_lifter import LifterRun


class ExportedLifter(nn.Module):
    """A lifter as a function of tensors to tensors."""

    def __init__(self, run: LifterRun) -> None:
        super().__init__()
        self.model = run.model
        self.flip_pairs = run.skeleton.flip_pairs if run.config.flip_test else None

    def forward(self, keypoints: Tensor, confidence: Tensor | None = None) -> tuple[Tensor, ...]:
        """Positions, and spread where there is one."""
        if isinstance(self.model, PoseFormer):
            pairs = self.flip_pairs
            return (self.model(keypoints) if pairs is None else flip_mean(self.model, keypoints, pairs),)
        confidence = torch.ones_like(keypoints[..., 0]) if confidence is None else confidence
        if self.flip_pairs is None:
            lifted = self.model(keypoints, confidence)
        else:
            lifted = lift_flipped(self.model, keypoints, confidence, self.flip_pairs)
        return (lifted.positions,) if lifted.spread is None else (lifted.positions, lifted.spread)


def export_lifter(run: LifterRun, path: str | os.PathLike[str]) -> Path:
    """Write a lifter as one ONNX file, whole or not at all.

    Raises PplkitError if the packages of the extra `onnx` are missing or the file cannot be written.
    """
    exported, config = ExportedLifter(run).eval(), run.config
    examples = {"keypoints": torch.rand(2, config.frames, config.joints, 2)}
    if not isinstance(run.model, PoseFormer):
        examples["confidence"] = torch.ones(2, config.frames, config.joints)
    outputs = ("positions", "spread") if config.uncertainty else ("positions",)
    about = {
        "joints": run.skeleton.joints, "parents": run.skeleton.parents, "fps": run.fps, "frames": config.frames,
        "root": config.root, "steps": run.step, "settings": config.name,
    }  # fmt: skip
    return write_onnx(exported.cpu(), examples, outputs, {"lifter": about}, Path(path))
