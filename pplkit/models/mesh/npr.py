"""Neural Pose Representation (Yoo et al., NeurIPS 2024), as released: pose of a mesh to a code, and back to a mesh."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.sampling import farthest_points, nearest_points
from pplkit.models.mesh.attention import (
    Pointwise,
    SetAbstraction,
    VectorAttention,
    gather,
    in_chunks,
    two_layers,
    weighted,
)
from pplkit.models.released_reader import load_released, read_state

NARROW, WIDE = 120, 256  # channels before and after the first sampling
SAMPLES, KEYPOINTS = 500, 100
APPLIER_WIDTH, RESIDUAL_WIDTH, RESIDUAL_BLOCKS = 200, 128, 5


class PoseCode(NamedTuple):
    """The pose of B meshes."""

    keypoints: Tensor  # (B, K, 3) face centers of the posed meshes
    features: Tensor  # (B, K, C)
    summary: Tensor  # (B, C) of the whole pose, a function of the features


class _Abstraction(nn.Module):
    """For the released names alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sa = SetAbstraction(width)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.sa(*inputs)  # type: ignore[no-any-return]


class NPRExtractor(nn.Module):
    """Pose code of a posed mesh from centers and Jacobians of its faces.

    The code depends on the order of the faces, as sampling starts at face 0. In training mode, batch norms take the
    statistics of the meshes at hand, as in the released test script.

    Args:
        jacobians: Whether the network sees Jacobians. The ablation without them sees points alone, here with features
            that start at 0; no output of the released code confirms that.
    """

    def __init__(self, jacobians: bool = True) -> None:
        super().__init__()
        self.fc_middle = two_layers(WIDE, WIDE)
        self.enc_sdf = nn.Linear(9, NARROW) if jacobians else None
        self.transformer_begin = VectorAttention(NARROW)
        self.transition_downs = nn.ModuleList(_Abstraction(width) for width in (NARROW, WIDE))
        self.transformer_downs = nn.ModuleList(VectorAttention(width) for width in (NARROW, WIDE))
        self.elementwise = nn.ModuleList(Pointwise(WIDE) for _ in range(2))
        self.elementwise_extras = nn.ModuleList(Pointwise(width) for width in (NARROW, WIDE))
        self.fc1 = nn.Linear(NARROW, WIDE)
        self.final_transformers = nn.ModuleList(VectorAttention(WIDE) for _ in range(3))
        self.final_elementwise = nn.ModuleList(Pointwise(WIDE) for _ in range(3))

    def forward(self, centers: Tensor, jacobians: Tensor | None = None) -> PoseCode:
        """Codes of meshes from face centers (B, F, 3) of the posed meshes and Jacobians (B, F, 3, 3), tangential."""
        batch, faces = centers.shape[:2]
        points = centers.flatten(0, 1)
        if self.enc_sdf is None:
            x = points.new_zeros(len(points), NARROW)
        elif jacobians is None or jacobians.shape[:2] != centers.shape[:2]:
            raise PplkitError(f"the extractor needs jacobians of the shape {(batch, faces, 3, 3)} beside the centers.")
        else:
            x = self.enc_sdf(jacobians.reshape(-1, 9))
        x = self.transformer_begin(points, x, _listed(nearest_points(centers, centers, 10), faces))
        sample = farthest_points(centers, SAMPLES)
        for level, count in enumerate((SAMPLES, KEYPOINTS)):
            # Sampling an ordered sample again gives its first points.
            chosen = sample if level == 0 else torch.arange(count, device=points.device).expand(batch, -1)
            sets = points.view(batch, -1, 3)
            fewer = sets.gather(1, chosen[..., None].expand(-1, -1, 3))
            around = _listed(nearest_points(sets, fewer, 16), sets.shape[1])
            x = self.transition_downs[level](points, x, _listed(chosen, sets.shape[1]), around)
            points = fewer.flatten(0, 1)
            x = self.elementwise_extras[level](x)
            x = self.transformer_downs[level](points, x, _listed(nearest_points(fewer, fewer, 16), count))
            x = self.elementwise[level](self.fc1(x) if level == 0 else x)
        everything = torch.arange(KEYPOINTS, device=points.device).expand(batch, KEYPOINTS, -1)
        for attention, pointwise in zip(self.final_transformers, self.final_elementwise, strict=True):
            x = pointwise(attention(points, x, _listed(everything, KEYPOINTS)))
        features = x.view(batch, KEYPOINTS, -1)
        return PoseCode(points.view(batch, KEYPOINTS, 3), features, self.summary(features))

    def summary(self, features: Tensor) -> Tensor:
        """What the features (B, K, C) of a pose say together, (B, C)."""
        return self.fc_middle(features.amax(1))  # type: ignore[no-any-return]


def _listed(numbers: Tensor, count: int) -> Tensor:
    """Numbers (B, m, ...) within sets of `count` points as numbers (B m, ...) within one list of all sets."""
    starts = torch.arange(len(numbers), device=numbers.device) * count
    return (numbers + starts.view(-1, *[1] * (numbers.ndim - 1))).flatten(0, 1)


class CrossAttention(nn.Module):
    """What the whole pose and its 7 nearest keypoints say at a point."""

    NEIGHBORS = 7

    def __init__(self) -> None:
        super().__init__()
        self.fc_delta, self.fc_gamma = two_layers(3, APPLIER_WIDTH), two_layers(APPLIER_WIDTH, APPLIER_WIDTH)
        self.w_k_global, self.w_v_global, self.w_qs, self.w_ks, self.w_vs = (
            nn.Linear(WIDE, APPLIER_WIDTH, bias=False) for _ in range(5)
        )

    def forward(self, code: PoseCode, queries: Tensor) -> Tensor:
        """Features (B, Q, C) at points (B, Q, 3)."""
        batch, count = queries.shape[:2]
        keypoints = code.keypoints.flatten(0, 1)
        numbers = _listed(nearest_points(code.keypoints, queries, self.NEIGHBORS), code.keypoints.shape[1])
        keys, values = (layer(code.features.flatten(0, 1)) for layer in (self.w_ks, self.w_vs))
        query, key, value = (layer(code.summary) for layer in (self.w_qs, self.w_k_global, self.w_v_global))

        def attended(points: Tensor, item: Tensor, around: Tensor) -> Tensor:
            delta = self.fc_delta(points[:, None] - gather(keypoints, around))
            whole = (query - key)[item, None]
            scores = self.fc_gamma(torch.cat([query[item, None] - gather(keys, around) + delta, whole], 1))
            return weighted(scores, torch.cat([gather(values, around) + delta, value[item, None]], 1))

        items = torch.arange(batch, device=queries.device).repeat_interleave(count)
        return in_chunks(attended, queries.flatten(0, 1), items, numbers).view(batch, count, -1)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc_0, self.fc_1 = (nn.Linear(RESIDUAL_WIDTH, RESIDUAL_WIDTH) for _ in range(2))
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc_1(self.fc_0(x.relu()).relu())  # type: ignore[no-any-return]


class NPRApplier(nn.Module):
    """The Jacobians that a pose code asks of any mesh, from face centers of its rest pose alone.

    Args:
        outputs: Numbers at a point: 9, a Jacobian; 3 in the ablation that predicts vertices.
    """

    def __init__(self, outputs: int = 9) -> None:
        super().__init__()
        self.ct1 = CrossAttention()
        self.init_enc = nn.Linear(APPLIER_WIDTH, RESIDUAL_WIDTH)
        self.blocks = nn.ModuleList(_Residual() for _ in range(RESIDUAL_BLOCKS))
        self.fc_c = nn.ModuleList(nn.Linear(APPLIER_WIDTH, RESIDUAL_WIDTH) for _ in range(RESIDUAL_BLOCKS))
        self.fc_out = nn.Linear(RESIDUAL_WIDTH, outputs)

    def forward(self, code: PoseCode, queries: Tensor) -> Tensor:
        """Jacobians (B, Q, 3, 3) at points (B, Q, 3) of the rest pose; the ablation gives points (B, Q, 3)."""
        context = self.ct1(code, queries)
        x = self.init_enc(context)
        for layer, block in zip(self.fc_c, self.blocks, strict=True):
            x = block(x + layer(context))
        output = self.fc_out(x.relu())
        return output.unflatten(-1, (3, 3)) if output.shape[-1] == 9 else output  # type: ignore[no-any-return]


def load_npr(source: str | os.PathLike[str] | Mapping[str, Tensor]) -> tuple[NPRExtractor, NPRApplier]:
    """Extractor and applier in eval mode with released weights, from a state dict or a file of torch.save.

    Nothing in the file is executed. Names are the released ones, `encoder.…` and `decoder.…`; a prefix `module.` is
    removed. Whether the state is of the ablation on vertices follows from its names. Raises PplkitError that lists
    missing, unknown and ill-shaped tensors.
    """
    state = dict(source) if isinstance(source, Mapping) else read_state(Path(source)).state
    label = "the state dict" if isinstance(source, Mapping) else str(source)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    fields = "encoder.enc_sdf.weight" in state
    model = nn.ModuleDict({"encoder": NPRExtractor(fields), "decoder": NPRApplier(9 if fields else 3)})
    load_released(model, state, label, "NPR")
    extractor, applier = model.eval().values()
    assert isinstance(extractor, NPRExtractor) and isinstance(applier, NPRApplier)
    return extractor, applier
