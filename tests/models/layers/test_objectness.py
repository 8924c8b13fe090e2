"""Where the object is, without labels: distances to the border by hand, and blobs that are found wherever they lie."""

import pytest
import torch
from torch import Tensor

from pplkit.models.layers.objectness import SHRINKAGE, Classifier, border, border_distances, components, fit_classifier

BLOB = 5  # cells a side of the synthetic object


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scene(count: int, touching: int = 0, strength: float = 6.0, side: int = 16) -> tuple[Tensor, Tensor]:
    """Noise (count, 24, side, side) with a blob of one direction at a random place, and where it is, bool.

    The blob of the first `touching` images lies along the left border, that of the others nowhere at the border.
    """
    direction = noise(24, seed=1)
    places = torch.randint(1, side - BLOB - 1, (count, 2), generator=torch.Generator().manual_seed(2))
    places[:touching, 1] = 0
    where = torch.zeros(count, side, side, dtype=torch.bool)
    for mask, (row, column) in zip(where, places.tolist(), strict=True):
        mask[row : row + BLOB, column : column + BLOB] = True
    direction = strength * direction / direction.norm()
    return noise(count, 24, side, side) + direction[:, None, None] * where[:, None], where


def found_and_right(classifier: Classifier, features: Tensor, where: Tensor) -> tuple[float, float]:
    """Share of the object that is found, and share of what is found that is object."""
    result = classifier.logits(features) > 0
    assert result.any()
    return float(result[where].float().mean()), float(where[result].float().mean())


def test_the_border_by_hand() -> None:
    assert border(4).int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert border(5, 2).sum() == 24 and not border(5, 2)[2, 2]
    assert border(2).all()


def test_distances_to_the_border_by_hand() -> None:
    """Eight cells around have (±1, ±1), twice each: mean 0, covariance 8/7 of 1; the middle has (3, 0).

    Of all nine the mean is (1/3, 0), and the covariance ((8 + 9 - 1) / 8, 8 / 8), without a mixed term.
    """
    around = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0], [-1, 1], [-1, 1], [-1, -1], [-1, -1]])
    cells = torch.cat((around[:4], torch.tensor([[3.0, 0.0]]), around[4:]))
    result = border_distances(cells.T.view(1, 2, 3, 3))[0]
    first = (1 - SHRINKAGE) * 8 / 7 + SHRINKAGE * 2
    second = (1 - SHRINKAGE) * 8 / 7 + SHRINKAGE * 1
    assert result[1, 1].item() == pytest.approx(9 / first, rel=1e-5)
    assert result[border(3)].tolist() == pytest.approx([1 / first + 1 / second] * 8, rel=1e-5)


def test_components_whiten() -> None:
    """Three directions of seven features, of spreads 5, 2 and 0.5, around a mean; the rest of them is constant."""
    axes = torch.linalg.qr(noise(7, 7, seed=4))[0][:3]
    cells = noise(4000, 3) * torch.tensor([5.0, 2.0, 0.5]) @ axes + torch.arange(7.0)
    mean, whitening = components(cells, 32)
    torch.testing.assert_close(mean, cells.mean(0))
    assert whitening.shape == (7, 3)
    white = (cells - mean) @ whitening
    torch.testing.assert_close(torch.cov(white.T), torch.eye(3), atol=0.01, rtol=0)
    for number, spread in enumerate((5.0, 2.0, 0.5)):  # the largest first
        assert abs(float(whitening[:, number] @ axes[number])) == pytest.approx(1 / spread, rel=0.05)
    assert components(cells, 2)[1].shape == (7, 2)


def test_the_largest_part_of_each_component_is_positive() -> None:
    """So the components of mirrored features are the same, whatever sign the decomposition gave them."""
    cells = noise(500, 6) * torch.arange(1.0, 7.0)
    _, whitening = components(cells, 6)
    assert (whitening.gather(0, whitening.abs().argmax(0, keepdim=True)) > 0).all()
    torch.testing.assert_close(components(-cells, 6)[1], whitening, rtol=1e-3, atol=1e-4)


def test_a_blob_is_found_wherever_it_lies() -> None:
    features, where = scene(40)
    result, right = found_and_right(fit_classifier(features), features, where)
    assert result > 0.97 and right > 0.97


def test_what_touches_the_border_of_a_few_images_is_found_there_too() -> None:
    features, where = scene(40, touching=6)
    classifier = fit_classifier(features)
    result, right = found_and_right(classifier, features[:6], where[:6])
    assert result > 0.95 and right > 0.9
    assert (classifier.logits(features[:6])[:, :, 0] > 0).sum() > 20  # also in the cells along that border, of 30
    distances = border_distances(features[:6])  # which alone would not tell them there
    assert distances[:, :, 0][where[:6][:, :, 0]].mean() < distances[where[:6]].mean()


def test_it_is_the_same_at_every_call_and_leaves_the_random_numbers_alone() -> None:
    features, _ = scene(20)
    first = fit_classifier(features)
    before = torch.get_rng_state()
    torch.rand(3)
    with torch.no_grad():
        again = fit_classifier(features)
    torch.set_rng_state(before)
    expected = torch.rand(3)
    torch.set_rng_state(before)
    fit_classifier(features)
    assert torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    assert torch.equal(torch.rand(3), expected) and not again.weight.requires_grad


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_where_nothing_differs_nothing_is_object() -> None:
    features = torch.ones(4, 8, 6, 6)
    logits = fit_classifier(features).logits(features)
    assert logits.isfinite().all() and (logits < 0).all()
