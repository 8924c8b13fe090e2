"""Coordinates by hand: which corner is which, and what a flip does to points and to pixels."""

import numpy as np
import pytest
import torch

from pplkit.geometry.coordinates import (
    apply_affine,
    following_view,
    mirror,
    pairwise_distances,
    pixel_grid,
    relative_transform,
    sides_per_unit,
    to_pixels,
    to_unit,
    view_transforms,
)


def test_the_corners_are_centers_of_pixels() -> None:
    pixels = torch.tensor([[0.0, 0.0], [127.0, 0.0], [63.5, 127.0]])
    assert torch.equal(to_unit(pixels, 128), torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]]))
    assert torch.equal(to_pixels(torch.tensor([[-1.0, 1.0], [0.0, 0.5]]), 5), torch.tensor([[0.0, 4.0], [2.0, 3.0]]))
    expected = [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    assert torch.equal(pixel_grid(3), torch.tensor(expected, dtype=torch.float32))  # row by row, x first


@pytest.mark.parametrize("size", [2, 33, 128])
def test_units_and_pixels_are_inverse(size: int) -> None:
    points = np.random.default_rng(size).uniform(-2, 2, (3, 7, 2))
    np.testing.assert_allclose(to_unit(to_pixels(points, size), size), points, atol=1e-12)
    tensor = torch.from_numpy(points)
    torch.testing.assert_close(to_pixels(to_unit(tensor, size), size), tensor)


def test_the_image_side_is_a_pixel_longer_than_from_minus_one_to_one() -> None:
    """Four pixels: -1 to 1 is from the first's center to the last's, three pixels, so 3/4 of the side."""
    assert 2 * sides_per_unit(4) == 3 / 4
    first, second = to_unit(np.array([[0.0, 0.0], [1.0, 0.0]]), 64)
    assert (second - first)[0] * sides_per_unit(64) == pytest.approx(1 / 64)


def test_distances_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    expected = torch.tensor([[0, 5, 1], [5, 0, 18**0.5], [1, 18**0.5, 0]])
    torch.testing.assert_close(pairwise_distances(points), expected)
    points = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5, -0.5]], requires_grad=True)
    pairwise_distances(points).sum().backward()
    # Each distance is in the matrix twice; the pair of equal points has no gradient.
    assert torch.equal(points.grad, torch.tensor([[0.0, 2.0], [0.0, 2.0], [0.0, -4.0]]))  # type: ignore[arg-type]


def test_mirror_by_hand() -> None:
    points = np.array([[[-0.5, 0.1], [0.25, 0.2], [0.75, 0.3]]], dtype=np.float32)
    np.testing.assert_array_equal(mirror(points), np.float32([[[0.5, 0.1], [-0.25, 0.2], [-0.75, 0.3]]]))
    swapped = mirror(points, [(0, 2)])
    np.testing.assert_array_equal(swapped, np.float32([[[-0.75, 0.3], [-0.25, 0.2], [0.5, 0.1]]]))
    assert swapped.dtype == np.float32
    image = np.zeros((6, 6))
    image[4, 1] = 1
    row, column = np.argwhere(image[:, ::-1])[0]
    np.testing.assert_allclose(to_pixels(mirror(to_unit(np.array([[1.0, 4.0]]), 6)), 6), [[column, row]], atol=1e-12)


@pytest.mark.parametrize("pairs", [[], [(0, 3), (1, 4)]])
def test_mirror_twice_changes_nothing(pairs: list[tuple[int, int]]) -> None:
    points = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    before = points.clone()
    assert torch.equal(mirror(mirror(points, pairs), pairs), points)
    assert torch.equal(points, before)  # the argument is left alone
    np.testing.assert_array_equal(mirror(points.numpy(), pairs), mirror(points, pairs).numpy())


def test_affine_maps_by_hand() -> None:
    shift = [[1.0, 0.0, 0.25], [0.0, 1.0, -0.5]]
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]  # x' = -y, y' = x
    shear = [[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]
    matrices = torch.tensor([[shift, turn], [turn, shear]])
    points = torch.tensor([[0.5, 0.5], [1.0, -2.0]])
    expected = torch.tensor([[[0.75, 0.0], [2.0, 1.0]], [[-0.5, 0.5], [2.0 - 6 + 5, 7.0 - 22 + 13]]])
    assert torch.equal(apply_affine(matrices, points), expected)


def view(turn: float = 0.0, scale: float = 1.0, x: float = 0.0, y: float = 0.0, flip: bool = False) -> torch.Tensor:
    numbers = (torch.tensor([value]) for value in (turn, scale))
    return view_transforms(*numbers, torch.tensor([[x, y]]), torch.tensor([flip]))


@pytest.mark.parametrize(
    ("matrices", "seen"),
    [
        (view(), (0.5, 0.25)),
        (view(flip=True), (-0.5, 0.25)),
        (view(x=0.1, y=-0.2), (0.6, 0.05)),
        (view(torch.pi / 2, 2.0), (-0.5, 1.0)),  # a quarter turn at twice the scale: 2 (-y, x)
        (view(torch.pi / 2, 2.0, x=0.1, flip=True), (0.4, 1.0)),
    ],
)
def test_views_by_hand(matrices: torch.Tensor, seen: tuple[float, float]) -> None:
    point = torch.tensor([[0.5, 0.25]])
    torch.testing.assert_close(apply_affine(matrices[:, None], point)[0, 0], torch.tensor(seen))


def test_a_relative_transform_leads_to_the_same_point_of_the_image() -> None:
    first, second = view(0.7, 1.3, 0.2, -0.1, flip=True), view(-2.0, 0.8, -0.3, 0.4)
    points = torch.tensor([[0.5, 0.25], [-1.0, 0.0], [0.3, 0.9]])
    moved = apply_affine(relative_transform(first, second)[:, None], points)
    torch.testing.assert_close(apply_affine(second[:, None], moved[0]), apply_affine(first[:, None], points))
    torch.testing.assert_close(apply_affine(relative_transform(first, first)[:, None], points)[0], points)
    torch.testing.assert_close(following_view(first, relative_transform(first, second)), second)


def test_a_mirrored_pose_in_space_keeps_height_and_depth() -> None:
    pose = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert mirror(pose, [(0, 2)]).tolist() == [[-7, 8, 9], [-4, 5, 6], [-1, 2, 3]]
    assert torch.equal(mirror(torch.from_numpy(pose), [(0, 2)]), torch.from_numpy(mirror(pose, [(0, 2)])))
