"""A model of mesh pose refined for each mesh that takes its poses, from nothing but that mesh at rest."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh.model import MeshModel
from pplkit.models.mesh.refiner import CodeRefiner, ShapeLoss
from pplkit.models.mesh.template import Template

LEARNING_RATE, BATCH_SIZE = 1e-3, 8


@dataclass(frozen=True, eq=False)
class RefinedMethod:
    """A model of mesh pose whose codes are refined, a `PoseMethod`.

    For the poses at hand, a small transformer learns to change their codes so that the target keeps its shape, with
    the model left as it is (`models.mesh.refiner`). It never sees the target in another pose.

    Attributes:
        model: trained.
        steps: of learning for each target.
        seed: of everything random.
        code_weight: of changes of the code. The published 0.05 draws codes of patches to the rest pose.
    """

    model: MeshModel
    steps: int = 200
    seed: int = 0
    code_weight: float = 10.0

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
        """As `PoseMethod` says. Raises as the model does."""
        model, target = self.model, Template(target_rest, target_faces, target_landmarks)
        codes = [model.tokens(model.encode(part)) for part in model.own_poses(source_rest, source_posed)]
        refiner = self.fitted(torch.cat(codes), target)
        with torch.inference_mode():
            return np.concatenate([model.jacobians(model.code_of(refiner(part)), target).numpy() for part in codes])

    def fitted(self, codes: Tensor, target: Template) -> CodeRefiner:
        """What refines codes (N, K, C) of poses for a mesh, by Adam, as published."""
        model, generator = self.model, torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            refiner = CodeRefiner(codes.shape[2], model.anchors())
        loss, batch_size = ShapeLoss(target, self.code_weight), min(BATCH_SIZE, len(codes))
        optimizer = torch.optim.Adam(refiner.parameters(), LEARNING_RATE)
        for _ in range(self.steps):
            before = codes[torch.randint(len(codes), (batch_size,), generator=generator)]
            after = refiner(before)
            optimizer.zero_grad()
            # Gradients of the model come out as well and are left alone: only the refiner has an optimizer.
            loss(model.solved(model.code_of(after), target), before, after).backward()
            optimizer.step()
        model.zero_grad()
        return refiner.eval()
