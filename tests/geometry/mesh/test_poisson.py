"""The Poisson solve: there and back on meshes of all kinds, gradients by finite differences, pins, parts."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from solids import bent, hard_meshes, joined, sheet, torus, turn

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh import PoissonSolver, jacobians, laplacian

MESHES = hard_meshes()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", MESHES)
def test_vertices_come_back_from_their_jacobians(name: str, full: bool) -> None:
    """Up to a translation of each component, within 1e-12 of the box."""
    points, faces = MESHES[name]
    posed = bent(points)
    solver = PoissonSolver(points, faces)
    vertices = solver.solve(jacobians(points, faces, posed, full=full))
    assert vertices.mean(0) == pytest.approx(np.zeros(3), abs=1e-14)
    count, component = connected_components(laplacian(points, faces), directed=False)
    for part in range(count):
        difference = (vertices - posed)[component == part]
        assert np.abs(difference - difference.mean(0)).max() < 1e-12 * np.ptp(points, axis=0).max()
    # With a pin for each component, in its place.
    pins = {int(np.flatnonzero(component == part)[0]): posed[component == part][0] for part in range(count)}
    pinned = solver.solve(jacobians(points, faces, posed, full=full), pins=pins)
    assert np.abs(pinned - posed).max() < 1e-12 * np.ptp(points, axis=0).max()


@pytest.mark.parametrize("name", MESHES)
def test_rest_and_turned_meshes_keep_their_parts_in_place(name: str) -> None:
    points, faces = MESHES[name]
    solver, centered = PoissonSolver(points, faces), points - points.mean(0)
    assert solver.solve(jacobians(points, faces, points)) == pytest.approx(centered, abs=1e-12)
    if "component" in name:  # around a flat gap, Jacobians cannot tell how it turned
        turned = solver.solve(jacobians(points, faces, points @ turn().T + 1))
        assert turned == pytest.approx(centered @ turn().T, abs=1e-12)


def test_flat_and_coincident_parts_keep_their_gaps() -> None:
    points, faces = sheet(3)
    points, faces = joined(
        (points * [1, 1, 0], faces), (points * [1, 1, 0] + [0, 0, 0.3], faces), (points * [1, 1, 0], faces)
    )
    vertices = PoissonSolver(points, faces).solve(jacobians(points, faces, 2 * points))
    assert vertices[:9] == pytest.approx(vertices[18:], abs=1e-12)
    assert vertices[9:18] - vertices[:9] == pytest.approx(np.broadcast_to([0, 0, 0.3], (9, 3)), abs=1e-12)


def test_parts_hang_on_their_nearest_neighbors() -> None:
    """A chain of rings whose shortest links lead from ring to ring: the far one follows the middle one."""
    points, faces = joined(torus(), torus(), torus(), shift=0.9)
    third = len(points) // 3
    posed = points.copy()
    posed[third:] = (points[third:] - [0.45, 0, 0]) @ np.diag([1.0, -1, -1]) @ turn(3).T
    vertices = PoissonSolver(points, faces).solve(jacobians(points, faces, posed))
    difference = (vertices - posed)[third:]
    assert np.abs(difference - difference.mean(0)).max() < 1e-12


def test_gradients_equal_finite_differences() -> None:
    points, faces = MESHES["two components"]
    field = torch.from_numpy(np.stack([jacobians(points, faces, bent(points)), jacobians(points, faces, points)]))
    solver, weights = PoissonSolver(points, faces), torch.randn(2, len(points), 3, dtype=torch.float64)
    for pins in (None, {0: [0, 0, 0], 5: [1, 1, 1]}):

        def loss(values: torch.Tensor, pins: dict[int, list[int]] | None = pins) -> torch.Tensor:
            return (weights * solver.solve(values, pins=pins).square()).sum()

        field.grad = None
        loss(field.requires_grad_()).backward()  # type: ignore[no-untyped-call]
        assert field.grad is not None
        for index in ((0, 3, 0, 1), (1, 170, 2, 2), (1, 40, 1, 0)):
            step = torch.zeros_like(field)
            step[index] = 1e-5
            with torch.no_grad():
                difference = (loss(field + step) - loss(field - step)) / 2e-5
            assert field.grad[index].item() == pytest.approx(difference.item(), rel=1e-6, abs=1e-6)


def test_gradients_of_all_numbers_of_a_small_mesh() -> None:
    points, faces = sheet(3)
    solver = PoissonSolver(points, faces)
    field = torch.from_numpy(jacobians(points, faces, bent(points))).requires_grad_()
    assert torch.autograd.gradcheck(solver.solve, field)
    goal = torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda j, p: solver.solve(j, pins={0: p, 4: 2 * p}), (field, goal))


def test_the_solution_is_the_nearest_field_with_vertices() -> None:
    """No small change of the vertices brings their Jacobians nearer, weighted by area, to a field at random."""
    points, faces = torus()
    rng = np.random.default_rng(0)
    field = rng.normal(size=(len(faces), 3, 3))
    vertices = PoissonSolver(points, faces).solve(field)
    corners = points[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)

    def distance(values: np.ndarray) -> float:
        return float((areas[:, None, None] * (jacobians(points, faces, values) - field) ** 2).sum())

    least = distance(vertices)
    for _ in range(10):
        step = 1e-3 * rng.normal(size=points.shape)
        assert distance(vertices + step) + distance(vertices - step) > 2 * least
        assert distance(vertices + step) > least


def test_batches_types_and_the_normal_part() -> None:
    points, faces = torus()
    solver = PoissonSolver(points, faces)
    field = np.random.default_rng(0).normal(size=(3, 7, len(faces), 3, 3))
    vertices = solver.solve(field)
    assert isinstance(vertices, np.ndarray) and vertices.shape == (3, 7, len(points), 3)
    assert vertices[2, 5] == pytest.approx(solver.solve(field[2, 5]), abs=1e-13)
    single = solver.solve(torch.from_numpy(field).float())
    assert single.dtype == torch.float32
    assert single.numpy() == pytest.approx(vertices, abs=1e-5)
    rest = jacobians(points, faces, points, full=True)
    assert solver.solve(field[0, 0] @ (rest - jacobians(points, faces, points))) == pytest.approx(0 * points, abs=1e-12)


def test_pins_hold_and_soft_ones_pull() -> None:
    points, faces = sheet()
    solver, field = PoissonSolver(points, faces), jacobians(*sheet(), bent(points))
    pins = {0: [0.0, 0, 0], 24: [0.5, 0.5, 1.5], 3: [0.1, 0.2, 0.3]}
    hard = solver.solve(field, pins=pins)
    for number, position in pins.items():
        assert hard[number] == pytest.approx(position, abs=1e-12)
    soft = [np.abs(solver.solve(field, pins=pins, stiffness=k)[24] - pins[24]).max() for k in (0.01, 1.0, 1e6)]
    assert soft[0] > 2 * soft[1] > 1000 * soft[2] > 0
    # The same as weighted rows of a dense least squares problem.
    stacked = laplacian(points, faces).toarray()
    free = solver.solve(field)
    stacked[list(pins), list(pins)] += 1.0
    right = laplacian(points, faces) @ free
    right[list(pins)] += np.array(list(pins.values()))
    assert solver.solve(field, pins=pins, stiffness=1.0) == pytest.approx(np.linalg.solve(stacked, right), abs=1e-11)
    each = solver.solve(np.stack([field, field]), pins={7: np.array([[0, 0, 0], [1.0, 2, 3]])})
    assert each[1] - each[0] == pytest.approx(np.broadcast_to([1.0, 2, 3], points.shape), abs=1e-12)


def test_wrong_arguments_are_refused() -> None:
    points, faces = sheet()
    solver = PoissonSolver(points, faces)
    with pytest.raises(PplkitError, match=r"jacobians have the shape \(5, 3, 3\): this mesh needs \(..., 32, 3, 3\)"):
        solver.solve(np.zeros((5, 3, 3)))
    with pytest.raises(PplkitError, match=r"vertices \[25\]: the mesh has 0 to 24"):
        solver.solve(np.zeros((32, 3, 3)), pins={25: [0, 0, 0]})
    with pytest.raises(PplkitError, match="no face of the mesh has an area"):
        PoissonSolver(points * [1, 0, 0], faces)


def test_the_dense_solve_of_gpus_is_the_same_with_the_same_gradients() -> None:
    """On the CPU here; of a mesh of two parts, which has links."""
    points, faces = joined(torus(), torus(), shift=0.9)
    solver = PoissonSolver(points, faces)
    rng = np.random.default_rng(0)
    field = torch.from_numpy(rng.normal(size=(2, 3, len(faces), 3, 3))).requires_grad_()
    pull = torch.from_numpy(rng.normal(size=(2, 3, len(points), 3)))
    answers, gradients = [], []
    for solve in (solver.solve, solver._dense_solve, solver._dense_solve):
        vertices = solve(field)
        (gradient,) = torch.autograd.grad((vertices * pull).sum(), field)
        answers.append(vertices.detach().numpy())
        gradients.append(gradient.numpy())
    assert answers[1] == pytest.approx(answers[0], abs=1e-10) and gradients[1] == pytest.approx(gradients[0], abs=1e-10)
    assert np.array_equal(answers[1], answers[2])
