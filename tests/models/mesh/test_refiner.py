"""Refinement of codes: nothing at first, and a loss that rotations leave at 0."""

import numpy as np
import pytest
import torch
from solids import torus

from pplkit.geometry.kinematics import euler_rotation
from pplkit.models.mesh import Template
from pplkit.models.mesh.refiner import CodeRefiner, ShapeLoss

BODY = Template(*torus())


def test_at_first_nothing_changes() -> None:
    tokens = torch.randn(2, 5, 9, dtype=torch.float64)
    for anchors in (None, torch.randn(5, 3)):
        assert torch.equal(CodeRefiner(9, anchors)(tokens), tokens)


def test_turned_bodies_keep_their_shape_and_larger_ones_do_not() -> None:
    turn = torch.from_numpy(euler_rotation(np.array([0.3, 1.0, -2.0]), (0, 1, 2)))
    loss, none = ShapeLoss(BODY, 0.5), torch.zeros(1, 2, 3)
    assert float(loss((BODY.vertices @ turn.T + 1)[None], none, none)) == pytest.approx(0, abs=1e-8)
    larger = float(loss(1.1 * BODY.vertices[None], none, none))
    edges = (
        torch.cat([BODY.faces[:, [0, 1]], BODY.faces[:, [1, 2]], BODY.faces[:, [2, 0]]]).sort(1).values.unique(dim=0)
    )
    lengths = (BODY.vertices[edges[:, 0]] - BODY.vertices[edges[:, 1]]).norm(dim=1)
    rest = loss._rest[0]
    assert larger == pytest.approx(0.1 * float(lengths.sum() + rest.norm()))
    assert float(loss(BODY.vertices[None], none, none + 2)) == pytest.approx(0.5 * 24)


def test_the_slope_is_finite_where_nothing_is_wrong() -> None:
    vertices = BODY.vertices[None].clone().requires_grad_()
    ShapeLoss(BODY, 1.0)(vertices, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)).backward()
    assert vertices.grad is not None and vertices.grad.isfinite().all()
