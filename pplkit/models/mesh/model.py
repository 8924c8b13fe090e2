"""Models of mesh pose: the pose of one mesh to a code, and the code to the same pose of any other mesh."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh import jacobians
from pplkit.geometry.mesh.landmarks import Landmarks, shared_points
from pplkit.geometry.mesh.warp import landmark_warp
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.npr import NPRApplier, NPRExtractor, PoseCode
from pplkit.models.mesh.patches import first_patches, interpolation, patch_operator, place_patches
from pplkit.models.mesh.template import Template

POSES_AT_ONCE = 16


class MeshModel(nn.Module, ABC):
    """What all models of mesh pose do; `template` is the mesh that they were trained on.

    Poses are (N, V, 3) in the units of the meshes' files; where a posed mesh lies as a whole does not matter.
    """

    def __init__(self, config: MeshConfig, template: Template) -> None:
        super().__init__()
        self.config, self.template = config, template
        marks = template.landmarks
        for name, value in (  # so that a checkpoint has all that a template needs
            ("template_vertices", template.restored(template.vertices.numpy())),
            ("template_faces", template.faces.numpy()),
            ("template_landmarks", np.zeros((0, 3)) if marks is None else template.restored(marks.points)),
        ):
            self.register_buffer(name, torch.from_numpy(np.array(value)))

    @torch.no_grad()
    def encode(self, posed: np.ndarray) -> Any:
        """The code of poses (N, V, 3) of the template. Raises PplkitError for another number of vertices."""
        posed = np.asarray(posed, np.float64)
        shape = tuple(self.template.vertices.shape)
        if posed.ndim != 3 or posed.shape[1:] != shape:
            raise PplkitError(
                f"the poses have the shape {posed.shape}: the mesh that was learned from needs (N, {shape[0]:,}, 3)."
            )
        return self._encoded(torch.from_numpy(self.template.normalized(posed)))

    @abstractmethod
    def _encoded(self, posed: Tensor) -> Any:
        """The code of normalized poses, float64."""

    @abstractmethod
    def jacobians(self, code: Any, target: Template) -> Tensor:
        """The Jacobians (N, F, 3, 3) that a code asks of another mesh, or of the same."""

    @abstractmethod
    def tokens(self, code: Any) -> Tensor:
        """A code as numbers (N, K, C) for each of its K parts, as networks that change or make codes see it."""

    @abstractmethod
    def code_of(self, tokens: Tensor) -> Any:
        """The inverse of `tokens`."""

    def anchors(self) -> Tensor | None:
        """Where the parts of a code lie on the template, (K, 3) in units of its box, if they do so in all poses."""
        return None

    def solved(self, code: Any, target: Template) -> Tensor:
        """Vertices (N, V, 3) of another mesh in the poses of a code, units of its box, mean 0; differentiable."""
        return target.solver.solve(self.jacobians(code, target).double())

    @torch.no_grad()
    def apply_code(
        self, code: Any, target: Template, pins: Mapping[int, Any] | None = None, stiffness: float = np.inf
    ) -> np.ndarray:
        """A mesh in the poses of a code, (N, V, 3) in the units of its file, its mean where it is at rest.

        With `pins`, vertices and where they shall be, as in `PoissonSolver.solve`. Raises PplkitError for pins that the
        mesh does not have and for landmarks that it lacks.
        """
        if pins:
            pins = {number: target.normalized(place) for number, place in pins.items()}
            field = self.jacobians(code, target).double()
            return target.restored(target.solver.solve(field, pins, stiffness).numpy())
        return target.restored((self.solved(code, target) + target.vertices.mean(0)).numpy())

    def transfer(self, posed: np.ndarray, target: Template, **options: Any) -> np.ndarray:
        """A mesh in the poses (N, V, 3) of the template; `options` as in `apply_code`. Raises as both its parts do."""
        parts = np.array_split(np.asarray(posed), max(1, -(-len(posed) // POSES_AT_ONCE)))
        return np.concatenate([self.apply_code(self.encode(part), target, **options) for part in parts])

    def predict_jacobians(
        self,
        source_rest: np.ndarray,
        source_faces: np.ndarray,
        source_posed: np.ndarray,
        target_rest: np.ndarray,
        target_faces: np.ndarray,
        source_landmarks: Landmarks | None = None,
        target_landmarks: Landmarks | None = None,
    ) -> np.ndarray:
        """As `PoseMethod` says; the source must be the mesh that was learned from, its landmarks are known."""
        target = Template(target_rest, target_faces, target_landmarks)
        parts = self.own_poses(source_rest, source_posed)
        with torch.inference_mode():
            return np.concatenate([self.jacobians(self.encode(part), target).numpy() for part in parts])

    def own_poses(self, source_rest: np.ndarray, source_posed: np.ndarray) -> list[np.ndarray]:
        """Poses (N, V, 3) of the template in its box, as `encode` takes them, a few at once.

        Raises PplkitError where `source_rest` (V, 3) is not the template.
        """
        ours = self.template
        if source_rest.shape != tuple(ours.vertices.shape) or not np.allclose(source_rest, ours.vertices, atol=1e-4):
            raise PplkitError("the source is not the mesh that the model has learned from: give poses of that mesh.")
        return np.array_split(ours.restored(source_posed), max(1, -(-len(source_posed) // POSES_AT_ONCE)))

    def warped(self, target: Template, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of another mesh at rest as points of the template at rest, both in units of the box.

        With landmarks of both, if the settings want them; else as they are. Raises PplkitError for landmarks that the
        other mesh lacks.
        """
        ours, theirs = self.template.landmarks, target.landmarks
        if not self.config.landmarks or ours is None or theirs is None:
            return points
        return landmark_warp(points, *shared_points(theirs, ours))


class PatchModel(MeshModel):
    """The kit's model: matrices of overlapping patches are the code; which point belongs to which patch is learned.

    See `models.mesh.patches`. The code is (N, K, 3, 3): for each patch the mean Jacobian around it, with weights that
    are learned too. A turned pose has a turned code, exactly.
    """

    def __init__(self, config: MeshConfig, template: Template) -> None:
        super().__init__(config, template)
        near, logits = first_patches(template, config.patches, config.neighbors)
        self.count = int(near.max()) + 1
        self.register_buffer("near", near)
        self.logits = nn.Parameter(logits)
        with torch.no_grad():
            around = self.vertex_weights()[template.faces].mean(1)
        share, face_near = around.topk(near.shape[1], dim=1)
        self.register_buffer("face_near", face_near)
        areas = template.face_areas.float()[:, None]
        self.pool_logits = nn.Parameter((share * areas).clamp_min(1e-12).log())

    def vertex_weights(self) -> Tensor:
        """How much each vertex of the template belongs to each patch, (V, K), adding up to 1."""
        dense = self.logits.new_full((len(self.logits), self.count), -torch.inf)
        return dense.scatter(1, cast(Tensor, self.near), self.logits).softmax(1)

    def forward(
        self, fields: Tensor, points: Tensor | None = None, areas: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The template in poses, and how unevenly its points belong to patches.

        Args:
            fields: Jacobians (B, F, 3, 3) of the poses.
            points: Barycentric coordinates (F, 3) of a point in each face, which are placed; else the vertices are.
            areas: (F,) around them.

        Returns places (B, F or V, 3) and the squared differences of a face's corners, their mean.
        """
        weights, rest, faces = self.vertex_weights(), self.template.vertices.to(fields), self.template.faces
        faces = faces.to(fields.device)
        corners = weights[faces]
        roughness = (corners - corners.roll(1, 1)).square().sum((1, 2)).mean()
        if points is None or areas is None:
            return place_patches(weights, rest, self.template.vertex_areas.to(fields), self.pooled(fields)), roughness
        weights, rest = (corners * points[..., None]).sum(1), (rest[faces] * points[..., None]).sum(1)
        return place_patches(weights, rest, areas, self.pooled(fields)), roughness

    def pooled(self, fields: Tensor) -> Tensor:
        """The code (B, K, 3, 3) of Jacobians (B, F, 3, 3)."""
        dense = self.pool_logits.new_full((len(self.pool_logits), self.count), -torch.inf)
        shares = dense.scatter(1, cast(Tensor, self.face_near), self.pool_logits).softmax(0)
        return torch.einsum("fk,bfij->bkij", shares, fields)

    def _encoded(self, posed: Tensor) -> Tensor:
        rest = self.template
        return self.pooled(jacobians(rest.vertices, rest.faces, posed, full=self.config.full_gradients).float())

    def tokens(self, code: Tensor) -> Tensor:
        """See `MeshModel`: nine numbers of each patch."""
        return code.flatten(2)

    def code_of(self, tokens: Tensor) -> Tensor:
        """See `MeshModel`."""
        return tokens.unflatten(2, (3, 3))

    def anchors(self) -> Tensor:
        """See `MeshModel`: the middle of each patch."""
        weights = self.vertex_weights().detach().double().cpu() * self.template.vertex_areas[:, None]
        return (weights / weights.sum(0)).T @ self.template.vertices

    def overlap(self) -> np.ndarray:
        """How much patches overlap on the template, (K, K)."""
        weights = self.vertex_weights().detach().double().cpu()
        return ((weights * self.template.vertex_areas[:, None]).T @ weights).numpy()

    def weights_at(self, target: Template, points: np.ndarray) -> Tensor:
        """How much points (N, 3) of another mesh at rest belong to each patch: (N, K), adding up to 1, float64."""
        numbers, shares = interpolation(self.template.vertices.numpy(), self.warped(target, points))
        return (self.vertex_weights().double()[numbers] * shares[..., None]).sum(1)

    def jacobians(self, code: Tensor, target: Template) -> Tensor:
        """See `MeshModel`: those of the patches put together, or the blended matrices of the patches."""
        matrices = code.double().cpu()
        if not self.config.align:
            return torch.einsum("fk,bkij->bfij", self.weights_at(target, target.face_centers.numpy()), matrices)
        return jacobians(target.vertices, target.faces, self._placed(matrices, target))

    def _placed(self, matrices: Tensor, target: Template) -> Tensor:
        """Vertices (N, V, 3), mean at the origin; what depends on the mesh alone is kept with it."""
        operator = target.kept((self, self.logits._version), lambda: self._operator(target))
        places = torch.einsum("vkj,nkij->nvi", operator, matrices)
        return places - places.mean(1, keepdim=True)

    def _operator(self, target: Template) -> Tensor:
        weights = self.weights_at(target, target.vertices.numpy()).detach()
        return patch_operator(weights, target.vertices, target.vertex_areas)

    def solved(self, code: Tensor, target: Template) -> Tensor:
        """See `MeshModel`; aligned patches need no solve."""
        return self._placed(code.double().cpu(), target) if self.config.align else super().solved(code, target)


class NPRModel(MeshModel):
    """Neural Pose Representation as published; see `models.mesh.npr`."""

    def __init__(self, config: MeshConfig, template: Template) -> None:
        super().__init__(config, template)
        self.encoder, self.decoder = NPRExtractor(), NPRApplier()

    def forward(self, centers: Tensor, fields: Tensor) -> Tensor:
        """Jacobians (B, F, 3, 3) of the template from posed face centers (B, F, 3) and Jacobians, tangential."""
        code = self.encoder(centers, fields)
        queries = self.template.face_centers.to(centers)
        return cast(Tensor, self.decoder(code, queries.expand(len(centers), -1, -1)))

    def _encoded(self, posed: Tensor) -> PoseCode:
        rest, device = self.template, cast(Tensor, self.template_vertices).device
        fields = jacobians(rest.vertices, rest.faces, posed).float()
        return cast(PoseCode, self.encoder(posed[:, rest.faces].mean(2).float().to(device), fields.to(device)))

    def tokens(self, code: PoseCode) -> Tensor:
        """See `MeshModel`: keypoints, then features."""
        return torch.cat([code.keypoints, code.features], 2)

    def code_of(self, tokens: Tensor) -> PoseCode:
        """See `MeshModel`; the summary follows from the features."""
        features = tokens[..., 3:]
        return PoseCode(tokens[..., :3], features, self.encoder.summary(features))

    def jacobians(self, code: PoseCode, target: Template) -> Tensor:
        """See `MeshModel`."""
        queries = torch.from_numpy(self.warped(target, target.face_centers.numpy())).to(code.keypoints)
        return cast(Tensor, self.decoder(code, queries.expand(len(code.keypoints), -1, -1))).cpu()


def build_model(config: MeshConfig, template: Template) -> PatchModel | NPRModel:
    """The model of the settings for a mesh, with random or first weights."""
    return PatchModel(config, template) if config.network == "patches" else NPRModel(config, template)
