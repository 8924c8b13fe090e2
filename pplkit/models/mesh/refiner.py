"""Refinement of pose codes for one mesh that takes them: what changes a code, and what the result should keep.

Neural Pose Representation describes this step, its code was not released, and no sizes are given.
"""

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.geometry.mesh import laplacian
from pplkit.models.mesh.template import Template

LAPLACIAN, EDGES = 1.0, 1.0  # weights of the losses, as published


class CodeRefiner(nn.Module):
    """A small transformer over the parts of a code, which adds something to each; at first nothing.

    Args:
        channels: C, numbers of a part.
        anchors: (K, 3) where parts lie, if that is the same in all poses.
        width: of the transformer.
        layers: of it.
    """

    anchors: Tensor

    def __init__(self, channels: int, anchors: Tensor | None = None, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.zeros(1, 0) if anchors is None else anchors.float())
        self.start = nn.Linear(channels + self.anchors.shape[1], width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.end = nn.Linear(width, channels)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Parts (N, K, C) of codes, refined."""
        places = self.anchors.expand(*tokens.shape[:2], -1)
        change = self.end(self.layers(self.start(torch.cat([tokens.float(), places], 2))))
        return tokens + change.to(tokens)


class ShapeLoss:
    """How far poses of a mesh are from its shape at rest: its Laplacian vectors and its edges keep their lengths.

    The Laplacian as it was published compares vectors, which punishes rotations as well; here lengths are compared.

    Args:
        target: The mesh.
        code_weight: Of squared changes of the code. Published: 0.05 (of features of NPR).
    """

    def __init__(self, target: Template, code_weight: float) -> None:
        self._code_weight = code_weight
        matrix = laplacian(target.vertices, target.faces).tocoo()
        numbers, values = torch.from_numpy(np.stack(matrix.coords)), torch.from_numpy(matrix.data)
        self._laplacian = torch.sparse_coo_tensor(numbers, values, matrix.shape, check_invariants=False).coalesce()
        corners = target.faces[:, [[0, 1], [1, 2], [2, 0]]].flatten(0, 1)
        self._edges = torch.unique(corners.sort(1).values, dim=0)
        self._rest = self._lengths(target.vertices[None])

    def _lengths(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths of the Laplacian vectors (N, V) and of edges (N, E) of poses (N, V, 3)."""
        count = len(vertices)
        columns = vertices.movedim(0, 1).flatten(1)
        vectors = torch.sparse.mm(self._laplacian, columns).unflatten(1, (count, 3)).movedim(1, 0)
        first, second = vertices[:, self._edges].unbind(2)
        # The root has no slope at 0.
        return (vectors.square().sum(2) + 1e-20).sqrt(), ((first - second).square().sum(2) + 1e-20).sqrt()

    def __call__(self, vertices: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """The loss of poses (N, V, 3), float64, and of what refinement changed in their codes (N, K, C)."""
        (vectors, edges), (vectors_at_rest, edges_at_rest) = self._lengths(vertices), self._rest
        bent = (vectors - vectors_at_rest).square().sum(1).add(1e-20).sqrt()
        stretched = (edges - edges_at_rest).abs().sum(1)
        changed = (after - before).square().sum((1, 2))
        return (LAPLACIAN * bent + EDGES * stretched + self._code_weight * changed).mean()
