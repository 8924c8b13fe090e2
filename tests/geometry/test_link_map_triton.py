"""The GPU's kernels of the link map against the one in PyTorch: on a GPU, or by Triton's interpreter on the CPU."""

import importlib
from types import ModuleType

import pytest
import torch
from torch import Tensor

links = importlib.import_module("pplkit.geometry.link_map")  # the function has the same name in pplkit.geometry
pytest.importorskip("triton", reason="Triton is not installed: it comes with PyTorch on Linux")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    return importlib.import_module("pplkit.geometry.link_map_triton")  # not before Triton is known to be there


def results(
    patch: pytest.MonkeyPatch, kernels: ModuleType | None, points: Tensor, weights: Tensor, size: int, thickness: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The map and the gradients of points and weights, where each pixel counts differently."""
    patch.setattr(links, "_kernels", lambda keypoints: kernels)
    points, weights = (value.to(DEVICE).requires_grad_() for value in (points.clone(), weights.clone()))
    heat = links.link_map(points, weights, size, thickness)
    pull = torch.randn(heat.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    (heat * pull).sum().backward()
    assert points.grad is not None and weights.grad is not None
    return heat.detach(), points.grad, weights.grad


@pytest.mark.parametrize(("count", "size", "thickness"), [(2, 9, 0.1), (5, 17, 1e-2), (9, 40, 1e-2), (8, 33, 1e-3)])
def test_kernels_agree_with_pytorch(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, count: int, size: int, thickness: float
) -> None:
    """Sizes that are no multiple of a block of pixels, and a link without length."""
    generator = torch.Generator().manual_seed(count)
    points = torch.rand(2, count, 2, generator=generator) * 2.4 - 1.2
    if count > 2:
        points[0, 0] = points[0, 1]
    weights = torch.rand(count, count, generator=generator) + 0.05
    actual = results(monkeypatch, kernels, points, weights, size, thickness)
    expected = results(monkeypatch, None, points, weights, size, thickness)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6 * float(other.abs().max()) / thickness**0.5, rtol=1e-5)
        assert other.abs().max() > 0.1


def test_of_equal_links_the_first_wins(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links (0, 1) and (0, 2) lie on each other with one weight: all the gradient goes to the first."""
    points = torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    weights = torch.tensor([[0.0, 2.0, 2.0], [0.0, 0.0, 1e-3], [0.0, 0.0, 0.0]])
    _, _, gradient = results(monkeypatch, kernels, points, weights, 5, 0.1)
    assert gradient[0, 1] != 0 and gradient[0, 2] == 0 and gradient[1, 2] == 0


def test_links_without_weight_draw_nothing(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(0))
    heat, moved, _ = results(monkeypatch, kernels, points, torch.zeros(4, 4), 9, 0.1)
    assert torch.equal(heat, torch.zeros_like(heat)) and torch.equal(moved, torch.zeros_like(moved))


def test_kernels_are_for_nvidia_gpus() -> None:
    assert (links._kernels(torch.zeros(1, 2, 2, device=DEVICE)) is not None) == (
        DEVICE == "cuda" and torch.version.cuda is not None
    )
