"""Patches: their shifts by hand and as a minimum, rigid motions, the operator, distances along a surface."""

import numpy as np
import pytest
import torch

from pplkit.geometry.kinematics import euler_rotation
from pplkit.models.mesh import Template
from pplkit.models.mesh.patches import (
    first_patches,
    interpolation,
    patch_operator,
    patch_shifts,
    place_patches,
    surface_distances,
)

torch.manual_seed(0)
WEIGHTS = torch.rand(40, 5, dtype=torch.float64) ** 4
WEIGHTS /= WEIGHTS.sum(1, keepdim=True)
POINTS, AREAS = torch.randn(40, 3, dtype=torch.float64), torch.rand(40, dtype=torch.float64)
AREAS /= AREAS.sum()
MATRICES = torch.randn(2, 5, 3, 3, dtype=torch.float64)


def strip(length: int) -> Template:
    """Squares of side 1, cut into triangles, in a row along x."""
    x = np.arange(length + 1.0)
    vertices = np.concatenate([np.stack([x, 0 * x + y, 0 * x], 1) for y in (0, 1)])
    a = np.arange(length)
    faces = np.concatenate(
        [np.stack([a, a + 1, a + 1 + length], 1), np.stack([a + 1, a + 2 + length, a + 1 + length], 1)]
    )
    return Template(vertices, faces)


def test_a_hinge_by_hand() -> None:
    """Two patches on a rod from -1 to 1 that share its middle: bent there, both ends keep their distance from it."""
    weights = torch.tensor([[1.0, 0], [0.5, 0.5], [0, 1]], dtype=torch.float64)
    points = torch.tensor([[-1.0, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=torch.float64)
    turn = torch.from_numpy(euler_rotation(np.array([np.pi / 2]), (2,)))
    placed = place_patches(
        weights, points, torch.full((3,), 1 / 3).double(), torch.stack([torch.eye(3).double(), turn])[None]
    )
    assert (placed[0] - placed[0, 1]).numpy() == pytest.approx(np.array([[-1, 0, 0], [0, 0, 0], [0, 1, 0]]), abs=1e-5)


def test_shifts_are_the_minimum() -> None:
    """Any other shifts disagree more, by autograd."""
    shifts = patch_shifts(WEIGHTS, POINTS, AREAS, MATRICES).requires_grad_()
    each = torch.einsum("bkij,qj->bqki", MATRICES, POINTS) + shifts[:, None]
    middle = (WEIGHTS[..., None] * each).sum(2, keepdim=True)
    cost = (AREAS[:, None] * WEIGHTS * (each - middle).square().sum(3)).sum()
    (slope,) = torch.autograd.grad(cost, shifts)
    assert slope.abs().max() < 1e-5 * cost.item()
    assert shifts.mean(1).abs().max() < 1e-12


def test_one_matrix_for_all_moves_all_alike() -> None:
    matrix = MATRICES[:1, :1].expand(1, 5, 3, 3)
    placed = place_patches(WEIGHTS, POINTS, AREAS, matrix)[0]
    wanted = POINTS @ matrix[0, 0].T
    assert (placed - placed.mean(0)).numpy() == pytest.approx((wanted - wanted.mean(0)).numpy(), abs=1e-12)


def test_a_turned_code_gives_turned_points() -> None:
    turn = torch.from_numpy(euler_rotation(np.array([0.3, -1.0, 2.0]), (0, 1, 2)))
    turned = place_patches(WEIGHTS, POINTS, AREAS, turn @ MATRICES)
    assert torch.allclose(turned, place_patches(WEIGHTS, POINTS, AREAS, MATRICES) @ turn.T)


def test_the_operator_gives_the_same_places() -> None:
    operator = patch_operator(WEIGHTS, POINTS, AREAS)
    placed = torch.einsum("qkj,bkij->bqi", operator, MATRICES)
    assert torch.allclose(placed, place_patches(WEIGHTS, POINTS, AREAS, MATRICES))


def test_distances_run_along_edges_and_reach_other_parts() -> None:
    template = strip(4)  # the longest side is 1, so that a square has a quarter
    distances = surface_distances(template, np.array([0]))
    assert distances[:5, 0] == pytest.approx(np.arange(5) / 4)
    two = Template(
        np.concatenate([template.vertices, template.vertices + 3]),
        np.concatenate([template.faces, template.faces + 10]),
    )
    assert surface_distances(two, np.array([0]))[10:].min() > 1


def test_first_patches_are_near_and_each_has_vertices() -> None:
    near, logits = first_patches(strip(20), 6, 3)
    assert near.shape == logits.shape == (42, 3)
    assert set(near[:, 0].tolist()) == set(range(6))
    assert (logits[:, 0] == 0).all() and (logits.diff(dim=1) <= 0).all()
    assert first_patches(strip(1), 100, 8)[0].shape == (4, 4)  # no more patches than vertices


def test_interpolation_finds_a_vertex_itself() -> None:
    points = np.eye(4)[:, :3]
    numbers, shares = interpolation(points, points[[2]])
    assert numbers[0, 0] == 2 and shares[0, 0] > 0.999
    assert shares.sum(1) == pytest.approx(1)
