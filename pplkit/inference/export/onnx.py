"""A model's estimate as an ONNX file, for programs without PyTorch.

Input `images`: float32 (B, 3, S, S) RGB in [-1, 1], any B. Outputs `keypoints` (B, N, 2) in [-1, 1] and `confidence`
(B, N) in [0, 1]: those of `PosePriorLearner.estimate` without rounds, completed where the model has a completer. The
metadata of the file hold what made the model, the procedure and the strong links.
"""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_bytes
from pplkit.geometry.coordinates import apply_affine, tta_transforms
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import confidence
from pplkit.training.saved_model import to_tell

INPUT, OUTPUTS = "images", ("keypoints", "confidence")


class ExportedModel(nn.Module):
    """Images (B, 3, S, S) in [-1, 1] to keypoints (B, N, 2) and confidence (B, N), with all constants precomputed."""

    def __init__(self, model: PosePriorLearner) -> None:
        super().__init__()
        config = model.config
        self.model = model
        self.procedure = model.procedure()
        views = tta_transforms(config.tta_views, config.max_rotation, config.max_shift, config.flip)
        shape = [config.tta_views, 3, config.image_size, config.image_size]
        self.prior: Tensor
        self.views: Tensor
        self.grid: Tensor  # (views, S, S, 2)
        self.register_buffer("prior", model.keypoint_prior().detach())
        self.register_buffer("views", views)
        self.register_buffer("grid", F.affine_grid(views, shape, align_corners=True))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `PosePriorLearner.poses`, with the views of all images in one batch."""
        if self.procedure == "completed":
            poses = self.model.complete(images, self.prior).poses(images.shape[-1])
            return poses.keypoints, poses.confidence
        count = len(self.views)
        if count > 1:
            grid = self.grid.repeat(images.shape[0], 1, 1, 1)
            images = images.repeat_interleave(count, 0)
            images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)
        _, _, attention, keypoints = self.model.regress(images, self.prior)
        if count == 1:
            return keypoints, confidence(attention)
        keypoints = apply_affine(self.views[:, None], keypoints.unflatten(0, (-1, count)))
        return keypoints.mean(1), confidence(attention).unflatten(0, (-1, count)).mean(1)


def export_onnx(model: PosePriorLearner, path: str | os.PathLike[str]) -> Path:
    """Write `model` as one ONNX file, whole or not at all.

    Raises PplkitError if the packages of the extra `onnx` are missing or the file cannot be written.
    """
    exported = ExportedModel(model).eval()
    side = model.config.image_size
    example = torch.zeros(2, 3, side, side, device=exported.prior.device)
    metadata = {"made_by": to_tell(model.made_by), "procedure": exported.procedure, "links": model.prior().links()}
    return write_onnx(exported, {INPUT: example}, OUTPUTS, metadata, Path(path))


def write_onnx(
    module: nn.Module, examples: Mapping[str, Tensor], outputs: Sequence[str], metadata: Mapping[str, Any], path: Path
) -> Path:
    """Write a module in eval mode as one ONNX file, whole or not at all, and return its path.

    Args:
        module: Takes the examples in their order.
        examples: Inputs by name, at least two in a batch, which may have any size later; the other axes are fixed.
        outputs: Their names.
        metadata: For JSON; written as `pplkit.NAME`.
        path: Of the file.

    Raises PplkitError if the packages of the extra `onnx` are missing or the file cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise PplkitError(f"{error.name} is missing, which writes ONNX: pip install 'pplkit[onnx]'.") from None
    proto = _traced(module, examples, outputs)
    onnx.helper.set_model_props(proto, {f"pplkit.{name}": json.dumps(value) for name, value in metadata.items()})
    write_bytes(path, proto.SerializeToString())
    return path


def _traced(module: nn.Module, examples: Mapping[str, Tensor], outputs: Sequence[str]) -> Any:
    """The onnx.ModelProto, without the exporter's notes on the source file of each node."""
    batch = torch.export.Dim("batch")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names and versions inside the exporter
        program = torch.onnx.export(
            module,
            tuple(examples.values()),
            dynamo=True,
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_shapes=dict.fromkeys(examples, {0: batch}),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
    return proto
