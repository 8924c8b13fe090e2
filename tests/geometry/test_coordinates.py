"""Coordinates by hand: which corner is which, and what a flip does to points and to pixels."""

import numpy as np
import pytest
import torch

from pplkit.geometry.coordinates import (
    apply_affine,
    between,
    mirror,
    onto,
    pairwise_distances,
    pixel_grid,
    sides_per_unit,
    to_pixels,
    to_unit,
    views,
)


def test_the_corners_are_centres_of_pixels() -> None:
    pixels = torch.tensor([[0.0, 0.0], [127.0, 0.0], [63.5, 127.0]])
    assert torch.equal(to_unit(pixels, 128), torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]]))
    assert torch.equal(to_pixels(torch.tensor([[-1.0, 1.0], [0.0, 0.5]]), 5), torch.tensor([[0.0, 4.0], [2.0, 3.0]]))


@pytest.mark.parametrize("size", [2, 33, 128])
def test_units_and_pixels_are_inverse(size: int) -> None:
    points = np.random.default_rng(size).uniform(-2, 2, (3, 7, 2))
    np.testing.assert_allclose(to_unit(to_pixels(points, size), size), points, atol=1e-12)
    tensor = torch.from_numpy(points)
    torch.testing.assert_close(to_pixels(to_unit(tensor, size), size), tensor)


def test_the_grid_runs_row_by_row_with_x_first() -> None:
    expected = [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    assert torch.equal(pixel_grid(3), torch.tensor(expected, dtype=torch.float32))


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
    return views(*numbers, torch.tensor([[x, y]]), torch.tensor([flip]))


def test_views_by_hand() -> None:
    """A quarter turn at twice the scale looks at 2 (-y, x), then moved, then mirrored."""
    point = torch.tensor([[0.5, 0.25]])
    expected = {
        (0.5, 0.25): view(),
        (-0.5, 0.25): view(flip=True),
        (0.6, 0.05): view(x=0.1, y=-0.2),
        (-0.5, 1.0): view(torch.pi / 2, 2.0),
        (0.4, 1.0): view(torch.pi / 2, 2.0, x=0.1, flip=True),
    }
    for place, matrices in expected.items():
        torch.testing.assert_close(apply_affine(matrices[:, None], point)[0, 0], torch.tensor(place))


def test_between_two_views_the_same_point_is_meant() -> None:
    first, second = view(0.7, 1.3, 0.2, -0.1, flip=True), view(-2.0, 0.8, -0.3, 0.4)
    points = torch.tensor([[0.5, 0.25], [-1.0, 0.0], [0.3, 0.9]])
    there = apply_affine(between(first, second)[:, None], points)
    torch.testing.assert_close(apply_affine(second[:, None], there[0]), apply_affine(first[:, None], points))
    torch.testing.assert_close(apply_affine(between(first, first)[:, None], points)[0], points)
    torch.testing.assert_close(onto(first, between(first, second)), second)


def test_distances_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    expected = torch.tensor([[0, 5, 1], [5, 0, 18**0.5], [1, 18**0.5, 0]])
    torch.testing.assert_close(pairwise_distances(points), expected)


def test_coincident_points_have_a_finite_gradient() -> None:
    points = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5, -0.5]], requires_grad=True)
    pairwise_distances(points).sum().backward()
    # Each distance stands twice in the matrix; the pair of equal points pulls nowhere.
    assert torch.equal(points.grad, torch.tensor([[0.0, 2.0], [0.0, 2.0], [0.0, -4.0]]))  # type: ignore[arg-type]


def test_mirror_by_hand() -> None:
    points = np.array([[[-0.5, 0.1], [0.25, 0.2], [0.75, 0.3]]], dtype=np.float32)
    np.testing.assert_array_equal(mirror(points), np.float32([[[0.5, 0.1], [-0.25, 0.2], [-0.75, 0.3]]]))
    swapped = mirror(points, [(0, 2)])
    np.testing.assert_array_equal(swapped, np.float32([[[-0.75, 0.3], [-0.25, 0.2], [0.5, 0.1]]]))
    assert swapped.dtype == np.float32


@pytest.mark.parametrize("pairs", [[], [(0, 3), (1, 4)]])
def test_mirror_twice_changes_nothing(pairs: list[tuple[int, int]]) -> None:
    points = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    before = points.clone()
    assert torch.equal(mirror(mirror(points, pairs), pairs), points)
    assert torch.equal(points, before)  # the argument is left alone
    np.testing.assert_array_equal(mirror(points.numpy(), pairs), mirror(points, pairs).numpy())


def test_mirror_follows_the_flip_of_an_image() -> None:
    image = np.zeros((6, 6))
    image[4, 1] = 1
    row, column = np.argwhere(image[:, ::-1])[0]
    point = to_unit(np.array([[1.0, 4.0]]), 6)
    np.testing.assert_allclose(to_pixels(mirror(point), 6), [[column, row]], atol=1e-12)


def test_the_image_side_is_a_pixel_longer_than_from_minus_one_to_one() -> None:
    """Four pixels: -1 to 1 is from the first's centre to the last's, three pixels, so 3/4 of the side."""
    assert 2 * sides_per_unit(4) == 3 / 4
    apart = to_unit(np.array([[0.0, 0.0], [1.0, 0.0]]), 64)
    assert (apart[1] - apart[0])[0] * sides_per_unit(64) == pytest.approx(1 / 64)
