"""Refinement for a target: the target keeps its shape better, the model stays as it is."""

import numpy as np
import torch
from solids import bent, torus

from pplkit.data.mesh_sets import posed_mesh
from pplkit.geometry.mesh import PoissonSolver
from pplkit.inference.mesh_refinement import RefinedMethod
from pplkit.models.mesh import MeshConfig, PatchModel, Template, build_model

REST, FACES = torus()
BODY = Template(REST, FACES)


def model() -> PatchModel:
    made = build_model(MeshConfig(patches=12), BODY)
    assert isinstance(made, PatchModel)
    return made


def edge_change(vertices: np.ndarray) -> float:
    """Mean change of the edges' lengths, of those at rest."""
    first, second = FACES[:, 0], FACES[:, 1]
    before, after = (
        np.linalg.norm(v[..., first, :] - v[..., second, :], axis=-1) for v in (REST / BODY.scale, vertices)
    )
    return float(np.abs(after / before - 1).mean())


def test_steps_bring_the_shape_back_and_none_change_nothing() -> None:
    trained, poses = model(), posed_mesh(REST, FACES, np.stack([bent(REST), bent(REST) * [1.2, 1, 1]]), None, "torus")
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    rest, posed = BODY.vertices.numpy(), BODY.normalized(poses.poses)
    solver, changes = PoissonSolver(rest, FACES), []
    for steps in (0, 30):
        method = RefinedMethod(trained, steps, code_weight=0.1)
        field = method.predict_jacobians(rest, FACES, posed, rest, FACES)
        changes.append(edge_change(solver.solve(field)))
        if not steps:
            assert np.array_equal(field, trained.predict_jacobians(rest, FACES, posed, rest, FACES))
        else:
            assert np.array_equal(field, method.predict_jacobians(rest, FACES, posed, rest, FACES))
    assert changes[1] < 0.9 * changes[0]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
