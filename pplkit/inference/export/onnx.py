"""A model's estimate as an ONNX file, for programs without PyTorch.

Its input `images` is float32 (B, 3, S, S) RGB in [-1, 1], any B, its outputs `keypoints` (B, N, 2) in [-1, 1] and
`confidence` (B, N) in [0, 1] are those of `PosePriorLearner.estimate` without rounds: completed where the model has a
completer. The file's metadata hold what made it, the procedure and the strong links.
"""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import apply_affine, steady_views
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import confidence
from pplkit.training.saved_model import to_tell

INPUT, OUTPUTS = "images", ("keypoints", "confidence")


class Estimator(nn.Module):
    """Images (B, 3, S, S) in [-1, 1] to keypoints (B, N, 2) and confidence (B, N), with what is constant worked out."""

    def __init__(self, model: PosePriorLearner) -> None:
        super().__init__()
        config = model.config
        self.model = model
        self.procedure = model.procedure()
        views = steady_views(config.views, config.max_rotation, config.max_shift, config.flip)
        shape = [config.views, 3, config.image_size, config.image_size]
        self.prior: Tensor
        self.views: Tensor
        self.grid: Tensor  # (views, S, S, 2)
        self.register_buffer("prior", model.keypoint_prior().detach())
        self.register_buffer("views", views)
        self.register_buffer("grid", F.affine_grid(views, shape, align_corners=True))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `PosePriorLearner.poses`; the views of all images are looked at together, as they are small."""
        if self.procedure == "completed":
            poses = self.model.complete(images, self.prior).poses(images.shape[-1])
            return poses.keypoints, poses.confidence
        count = len(self.views)
        if count > 1:
            grid = self.grid.repeat(images.shape[0], 1, 1, 1)
            images = F.grid_sample(
                images.repeat_interleave(count, 0), grid, padding_mode="reflection", align_corners=True
            )
        _, _, attention, found = self.model.regress(images, self.prior)
        sure = confidence(attention)
        if count == 1:
            return found, sure
        keypoints = apply_affine(self.views[:, None], found.unflatten(0, (-1, count)))
        return keypoints.mean(1), sure.unflatten(0, (-1, count)).mean(1)


def export_onnx(model: PosePriorLearner, path: str | os.PathLike[str]) -> Path:
    """Write `model` as one ONNX file, complete or not at all.

    Raises PplkitError if the packages of the extra `onnx` are missing or the file cannot be written.
    """
    path = Path(path)
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise PplkitError(f"{error.name} is missing, which writes ONNX: pip install 'pplkit[onnx]'.") from None
    estimator = Estimator(model).eval()
    about = {"made_by": to_tell(model.made_by), "procedure": estimator.procedure, "links": model.prior().links()}
    proto = _traced(estimator)
    onnx.helper.set_model_props(proto, {f"pplkit.{name}": json.dumps(value) for name, value in about.items()})
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(proto.SerializeToString())
        partial.replace(path)
    except OSError as error:
        raise PplkitError(f"{path} cannot be written ({error}): name another file.") from None
    return path


def _traced(estimator: Estimator) -> Any:
    """The onnx.ModelProto of an estimator, without the notes on where in the source each node came from."""
    side = estimator.model.config.image_size
    example = torch.zeros(2, 3, side, side, device=estimator.prior.device)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names and versions inside the exporter
        program = torch.onnx.export(
            estimator,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
    return proto
