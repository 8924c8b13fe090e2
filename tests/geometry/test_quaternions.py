from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from pplkit.geometry.cameras import rotate
from pplkit.geometry.kinematics import forward_kinematics
from pplkit.geometry.quaternions import (
    between,
    from_euler,
    from_matrices,
    from_rotation_vectors,
    global_rotations,
    local_rotations,
    matrices,
    multiply,
    normalized,
    rotation_vectors,
    slerp,
)

RNG = np.random.default_rng(0)
A, B = (normalized(RNG.normal(size=(40, 4))) for _ in range(2))
PARENTS = [-1, 0, 1, 1, 3]


def scipy(quaternions: np.ndarray) -> Rotation:
    return Rotation.from_quat(quaternions[..., [1, 2, 3, 0]])


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether quaternions are the same rotations."""
    return bool(np.allclose(np.abs((first * second).sum(-1)), 1, atol=1e-9))


def test_two_quarter_turns_by_hand() -> None:
    half = np.sqrt(0.5)
    about_x, about_y = np.array([half, half, 0, 0]), np.array([half, 0, half, 0])
    assert np.allclose(multiply(about_y, about_x), [0.5, 0.5, 0.5, -0.5])
    assert np.allclose(rotate(np.array([0.0, 1.0, 0.0]), multiply(about_y, about_x)), [1, 0, 0])


def test_products_matrices_and_vectors_are_those_of_scipy() -> None:
    assert same(multiply(A, B), (scipy(A) * scipy(B)).as_quat()[:, [3, 0, 1, 2]])
    assert np.allclose(matrices(A), scipy(A).as_matrix())
    assert same(from_matrices(matrices(A)), A) and (from_matrices(matrices(A))[:, 0] >= 0).all()
    assert np.allclose(rotation_vectors(A), scipy(A).as_rotvec())
    assert same(from_rotation_vectors(rotation_vectors(A)), A)
    angles = RNG.normal(size=(20, 3))
    assert same(from_euler(angles, (2, 0, 1)), Rotation.from_euler("ZXY", angles).as_quat()[:, [3, 0, 1, 2]])


def test_half_turns_and_no_turn_have_matrices_and_vectors() -> None:
    turns = np.concatenate([np.eye(4), -np.eye(4)])
    assert same(from_matrices(matrices(turns)), turns)
    none = torch.zeros(3, requires_grad=True)
    back = rotation_vectors(from_rotation_vectors(none))
    (gradient,) = torch.autograd.grad(back.sum(), none)
    assert torch.allclose(back, torch.zeros(3)) and torch.allclose(gradient, torch.ones(3))


def test_interpolation_has_constant_speed_on_the_shorter_way() -> None:
    for a, b in zip(A[:10], B[:10], strict=True):
        wanted = Slerp([0, 1], scipy(np.stack([a, b])))([0.25])[0].as_quat()[[3, 0, 1, 2]]
        assert same(slerp(a, b, 0.25), wanted) and same(slerp(a, -b, 0.25), wanted)
    nearly = normalized(A + 1e-4 * B)
    assert np.allclose(slerp(A, nearly, np.full((40, 1), 0.5)), normalized(A + nearly))


def test_the_shortest_turn_between_directions() -> None:
    first, second = RNG.normal(size=(2, 30, 3))
    turned = rotate(first, normalized(between(first, second)))
    unit = second / np.linalg.norm(second, axis=1, keepdims=True)
    assert np.allclose(turned, unit * np.linalg.norm(first, axis=1, keepdims=True))


def test_bodies_are_those_of_matrices_and_come_back() -> None:
    local = normalized(RNG.normal(size=(7, 5, 4)))
    offsets, root = RNG.normal(size=(5, 3)), RNG.normal(size=(7, 3))
    positions, world = global_rotations(local, offsets, root, PARENTS)
    wanted, wanted_world = forward_kinematics(matrices(local), offsets, root, PARENTS)
    assert np.allclose(positions, wanted) and np.allclose(matrices(world), wanted_world)
    assert same(local_rotations(world, PARENTS), local)


@pytest.mark.parametrize("function", [multiply, slerp, between])
def test_tensors_give_what_arrays_give(function) -> None:  # type: ignore[no-untyped-def]
    size = 3 if function is between else 4
    inputs = [A[:, :size], B[:, :size], *([0.3] if function is slerp else [])]
    tensors = [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in inputs]
    assert np.allclose(function(*tensors).numpy(), function(*inputs))


def test_published_quaternions(parity: Path) -> None:
    with np.load(parity / "motion" / "hallucinator.npz") as file:
        arrays = dict(file)
    a, b, vectors = arrays["quat_a"], arrays["quat_b"], arrays["vec"]
    close = {"rtol": 1e-5, "atol": 1e-9}
    assert np.allclose(multiply(a, b), arrays["quat_mul"], **close)
    assert np.allclose(rotate(vectors, a), arrays["quat_mul_vec"], **close)
    assert np.allclose(a * [1, -1, -1, -1], arrays["quat_inv"], **close)
    assert np.allclose(between(vectors, vectors[::-1]), arrays["quat_between"], **close)
    assert np.allclose(slerp(a, b, 0.3), arrays["quat_slerp_0.3"], **close)
    for order in ("zyx", "xyz", "zxy"):
        turns = from_euler(arrays["euler"], ["xyz".index(axis) for axis in order])
        assert np.allclose(turns, arrays[f"euler_to_quat_{order}"], **close)
    parents = arrays["parents"].tolist()
    offsets, local, root = (arrays[name] for name in ("offsets", "quaternions", "root"))
    first = local[:, :5].astype(float), offsets.astype(float), root[:, :5].astype(float)
    positions, world = global_rotations(*first, parents)
    assert np.allclose(positions, arrays["fk_global_positions"], **close)
    assert np.allclose(world, arrays["fk_global_quaternions"], **close)
    assert np.allclose(local_rotations(world, parents), arrays["ik_local_quaternions"], **close)
    assert np.allclose(global_rotations(local, offsets, root, parents)[0], arrays["positions"], rtol=1e-5, atol=1e-4)
