"""The link map and its reference, which holds every link's map, against pixels computed by hand and one another."""

import math

import pytest
import torch
from torch import Tensor

from pplkit.geometry.coordinates import pixel_grid
from pplkit.geometry.link_map import link_map, link_map_reference


def random_pose(batch: int, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(count, count, generator=generator).triu(1) + 0.05
    weights = weights.triu(1)
    return torch.rand(batch, count, 2, generator=generator) * 2.4 - 1.2, weights + weights.T


@pytest.mark.parametrize(("count", "size", "thickness"), [(2, 9, 0.1), (5, 16, 1e-2), (8, 32, 1e-3), (25, 16, 5e-2)])
def test_equals_the_reference(count: int, size: int, thickness: float) -> None:
    keypoints, weights = random_pose(3, count)
    drawn = link_map(keypoints, weights, size, thickness)
    assert drawn.shape == (3, 1, size, size) and drawn.dtype == torch.float32
    torch.testing.assert_close(drawn, link_map_reference(keypoints, weights, size, thickness), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("thickness", [1e-1, 1e-2])
def test_gradients_equal_those_of_the_reference(thickness: float) -> None:
    keypoints, weights = random_pose(2, 6)
    pull = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(1))  # each pixel counts differently
    gradients = []
    for draw in (link_map, link_map_reference):
        points, strengths = keypoints.clone().requires_grad_(), weights.clone().requires_grad_()
        (draw(points, strengths, 24, thickness) * pull).sum().backward()
        assert points.grad is not None and strengths.grad is not None
        gradients.append((points.grad, strengths.grad))
    torch.testing.assert_close(gradients[0][0], gradients[1][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradients[0][1], gradients[1][1], atol=1e-5, rtol=1e-4)
    assert (gradients[0][0].abs() > 1e-3).all()  # the comparison says something about every keypoint


def test_a_pixel_by_hand() -> None:
    """Link from (-1, 0) to (1, 0), W = 2: the top middle pixel of 3 x 3 is 1 away, the corners too."""
    keypoints, weights = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]]), torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    far = 2 * math.exp(-1 / 0.5)
    expected = torch.tensor([[[[far, far, far], [2, 2, 2], [far, far, far]]]])
    for draw in (link_map, link_map_reference):
        torch.testing.assert_close(draw(keypoints, weights, 3, 0.5), expected)


def test_beyond_the_end_the_distance_is_to_the_end() -> None:
    """Link from (-1, 0) to (0, 0): pixel (1, 1) is √2 from its end, pixel (1, 0) is 1, pixel (0, 1) is 1."""
    keypoints, weights = torch.tensor([[[-1.0, 0.0], [0.0, 0.0]]]), torch.ones(2, 2)
    drawn = link_map(keypoints, weights, 3, 1.0)[0, 0]
    torch.testing.assert_close(drawn[2, 2], torch.tensor(math.exp(-2)))
    torch.testing.assert_close(drawn[1, 2], torch.tensor(math.exp(-1)))
    torch.testing.assert_close(drawn[2, 1], torch.tensor(math.exp(-1)))


def test_x_is_the_column() -> None:
    upright = torch.tensor([[[0.5, -1.0], [0.5, 1.0]]])
    drawn = link_map(upright, torch.ones(2, 2), 5, 1e-2)[0, 0]
    assert torch.equal(drawn.argmax(1), torch.full((5,), 3))


def test_the_strongest_link_wins_not_the_sum() -> None:
    """Two links over the same segment, W = 1 and 3, and a third of 2: on the segment the map is 3."""
    keypoints = torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    weights = torch.zeros(3, 3)
    weights[0, 1], weights[0, 2], weights[1, 2] = 1, 3, 2
    torch.testing.assert_close(link_map(keypoints, weights + weights.T, 3, 0.1)[0, 0, 1], torch.full((3,), 3.0))


def test_only_the_winner_gets_the_gradient_and_one_of_equals() -> None:
    keypoints = torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    weights = torch.zeros(3, 3)
    weights[0, 1], weights[0, 2], weights[1, 2] = 2, 2, 1e-3
    weights.requires_grad_()
    link_map(keypoints, weights, 3, 0.1)[0, 0, 1].sum().backward()
    expected = torch.zeros(3, 3)
    expected[0, 1] = 3  # three pixels; the equal link (0, 2) comes later and gets nothing
    torch.testing.assert_close(weights.grad, expected)


def test_a_link_without_length_is_a_dot() -> None:
    keypoints = torch.tensor([[[0.5, -0.5], [0.5, -0.5]]], requires_grad=True)
    drawn = link_map(keypoints, torch.ones(2, 2), 5, 0.25)
    grid = pixel_grid(5)
    expected = torch.exp(-(grid - torch.tensor([0.5, -0.5])).square().sum(-1) / 0.25).reshape(1, 1, 5, 5)
    torch.testing.assert_close(drawn, expected)
    drawn[0, 0, 2, 2].backward()
    # The dot moves as a whole: d/dx exp(-r²/σ) = value · 2 (p - x) / σ at p = 0.
    value = math.exp(-0.5 / 0.25)
    assert keypoints.grad is not None
    torch.testing.assert_close(keypoints.grad.sum(1), torch.tensor([[value * -1 / 0.25, value * 1 / 0.25]]))


def test_a_weight_of_zero_never_wins() -> None:
    keypoints, _ = random_pose(1, 4)
    weights = torch.zeros(4, 4)
    weights[2, 3] = weights[3, 2] = 0.5
    torch.testing.assert_close(
        link_map(keypoints, weights, 12, 0.05), link_map(keypoints[:, 2:], torch.full((2, 2), 0.5), 12, 0.05)
    )


def test_gradients_do_not_depend_on_the_order_of_threads() -> None:
    """Many pixels share few links: added up by several threads at once, their sum would change from call to call."""
    torch.manual_seed(0)
    points, weights = torch.rand(32, 16, 2) * 2 - 1, torch.rand(16, 16)
    connectivity = (weights + weights.T).requires_grad_()
    target = torch.rand(32, 1, 64, 64)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        drawn = []
        for _ in range(20):
            loss = (link_map(points, connectivity, 64, 3e-3) - target).square().sum()
            drawn.append(torch.autograd.grad(loss, connectivity)[0])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, drawn[0]) for one in drawn)


def test_links_without_weight_draw_nothing() -> None:
    keypoints, weights = random_pose(2, 4)
    keypoints.requires_grad_()
    drawn = link_map(keypoints, torch.zeros_like(weights), 16, 1e-2)
    drawn.sum().backward()
    assert torch.equal(drawn, torch.zeros(2, 1, 16, 16))
    assert keypoints.grad is not None and torch.equal(keypoints.grad, torch.zeros_like(keypoints))


def test_gradients_equal_finite_differences() -> None:
    """In double precision; each pixel counts differently."""
    keypoints, weights = (value.double().requires_grad_() for value in random_pose(2, 4))
    pull = torch.randn(1, 1, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda p, w: link_map(p, w, 7, 0.1) * pull, (keypoints, weights), eps=1e-7)


def test_what_is_kept_for_the_gradient_does_not_grow_with_the_links() -> None:
    def kept(count: int) -> int:
        keypoints, weights = (value.requires_grad_() for value in random_pose(2, count))
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes), lambda none: none):
            link_map(keypoints, weights, 64, 1e-2)
        return sum(sizes)

    few, many = kept(4), kept(32)  # 6 and 496 links
    assert many < few + 496 * 64
