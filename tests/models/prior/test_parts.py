"""Parts from clusters of features, and the regressor whose maps learn them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.geometry.coordinates import apply_affine, pixel_grid, to_unit
from pplkit.models.layers.backbone import Backbone, pool, resample
from pplkit.models.prior import parts
from pplkit.models.prior.networks import INFERENCE_POWER, PartRegressor, part_attention
from pplkit.models.prior.parts import TEMPERATURE, PartClusters, best_kmeans

SHAPES = [(6, 8, 8), (5, 4, 4), (4, 2, 2)]
SIZE = sum(channels * height * width for channels, height, width in SHAPES)
PRIOR = torch.tensor([[-0.5, -0.5], [0.5, -0.25], [0.0, 0.75]])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Maps (64, 16, 16) and (64, 8, 8): objects and parts are told at the second."""
    return Backbone("random", 128)


def rows_of(features: Tensor) -> Tensor:
    """Rows of the backbone above whose channels at its middle resolution are `features` (B, 128, 8, 8)."""
    finest = features[:, :64].repeat_interleave(2, 2).repeat_interleave(2, 3)  # averaged again they are as before
    return torch.cat((finest.flatten(1), features[:, 64:].flatten(1)), 1)


def two_halves(count: int) -> tuple[Tensor, Tensor]:
    """Noise with an object of 4 x 4 cells: the left half in one direction, the right in another; 0, 1, 2 = where."""
    features, where = 0.3 * noise(count, 128, 8, 8), torch.full((count, 8, 8), 2)
    common, left, right = F.normalize(noise(3, 128, seed=1), dim=1)
    places = torch.randint(1, 4, (count, 2), generator=torch.Generator().manual_seed(2)).tolist()
    for one, mask, (row, column) in zip(features, where, places, strict=True):
        for number, own in enumerate((left, right)):
            here = (slice(row, row + 4), slice(column + 2 * number, column + 2 * number + 2))
            one[:, here[0], here[1]] += 8 * (common + own)[:, None, None]
            mask[here] = number
    return features, where


def test_blobs_that_lie_apart_are_found() -> None:
    middles = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    points = (middles[:, None] + noise(4, 50, 2)).flatten(0, 1)
    result = best_kmeans(points, 4)
    means = points.unflatten(0, (4, 50)).mean(1)
    nearest = torch.cdist(means, result).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3]
    torch.testing.assert_close(result[nearest], means, atol=1e-4, rtol=0)
    assert torch.equal(best_kmeans(points, 4), result)


def test_of_several_starts_the_best_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start of four ends nearest to the points, the others in the middle."""
    points = torch.tensor([[-1.0], [1.0]])
    ends = iter([[[0.0], [0.0]], [[-1.0], [1.0]], [[0.0], [0.5]], [[9.0], [0.0]]])
    monkeypatch.setattr(parts, "RESTARTS", 4)
    monkeypatch.setattr(parts, "kmeans2", lambda *given, **options: (torch.tensor(next(ends)).numpy(), None))
    assert best_kmeans(points, 2).flatten().tolist() == [-1.0, 1.0]


def test_assignments_by_hand(backbone: Backbone) -> None:
    """Whitened by hand to two numbers, and two centres: e^(-d²/2) of each, beside the background."""
    clusters = PartClusters(2, backbone.channels)
    clusters.axes[3, 0] = clusters.axes[70, 1] = 1.0
    clusters.mean[3] = 0.5
    clusters.centres[1, 0], clusters.centres[1, 1] = 1.0, 2.0
    clusters.weight[3], clusters.bias[()] = 2.0, -1.0
    features = torch.zeros(1, 128, 8, 8)
    features[0, 3, 1, 2], features[0, 70, 1, 2] = 1.5, 1.0
    rows = rows_of(features)
    actual = clusters(backbone, rows)
    away = torch.tensor([1.0**2 + 1.0**2, 0.0**2 + 1.0**2])  # of (1.5 - 0.5, 1) from (0, 0) and (1, 2)
    own = torch.tensor(2 * 1.5 - 1.0).sigmoid()
    expected = [*((-away / TEMPERATURE).softmax(0) * own).tolist(), 1 - float(own)]
    assert actual.shape == (1, 3, 8, 8) and actual[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1e-5)
    objectness = clusters.objectness(backbone, rows)
    assert objectness[0, 1, 2].item() == pytest.approx(float(own)) and objectness[0, 0, 0].item() < 0.3


def test_object_and_halves_are_found_without_labels(backbone: Backbone) -> None:
    features, where = two_halves(40)
    clusters, again = PartClusters(2, backbone.channels), PartClusters(2, backbone.channels)
    clusters.fit(features)
    again.fit(features)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in clusters.state_dict().items())
    result = clusters(backbone, rows_of(features)).argmax(1)
    swapped = torch.where(result == 2, 2, 1 - result)  # which cluster is which half is nobody's business
    assert max(float((one == where).float().mean()) for one in (result, swapped)) > 0.98


def test_with_few_cells_on_the_object_all_are_clustered(backbone: Backbone) -> None:
    """Ten images of 16 object cells are fewer than eight for each of 24 clusters; noise has hardly any."""
    clusters = PartClusters(24, backbone.channels)
    for features in (two_halves(10)[0], noise(4, 128, 8, 8)):
        clusters.fit(features)
        assert all(value.isfinite().all() for value in clusters.state_dict().values())
        spread = features.flatten(2).std(2).mean()
        torch.testing.assert_close(clusters.mean, features.mean((0, 2, 3)), atol=0.1 * float(spread), rtol=0)
        result = clusters(backbone, rows_of(features))
        assert result.isfinite().all() and result.shape == (len(features), 25, 8, 8)


def test_maps_at_another_resolution_by_hand() -> None:
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    assert resample(maps, 4) is maps
    assert resample(maps, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    finer = resample(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), 4)
    torch.testing.assert_close(finer[0, 0], torch.tensor([0.0, 1.0, 3.0, 4.0]).expand(4, 4))


def test_pooled_features_by_hand() -> None:
    """Two parts over 4 x 4 places: one in the last cell of the 2 x 2 map, one everywhere."""
    maps = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 8.0]]).view(1, 2, 2, 2)
    attention = torch.zeros(1, 2, 4, 4)
    attention[0, 0, 3, 2] = 1.0
    attention[0, 1] = 1 / 16
    result = pool(maps, attention.flatten(2))
    torch.testing.assert_close(result, torch.tensor([[[4.0, 8.0], [2.5, 2.0]]]))


def regressor(start: str = "random", features: int = 16) -> PartRegressor:
    torch.manual_seed(0)
    return PartRegressor(3, SHAPES, features, start, 64)


def rows(count: int = 2) -> Tensor:
    return noise(count, SIZE, seed=3)


def test_attention_by_hand() -> None:
    """Two keypoints and a background; a keypoint that is nowhere attends nowhere."""
    maps = torch.tensor([[0.1, 0.3, 0.0, 0.4], [0.0, 0.0, 0.0, 0.0], [0.9, 0.7, 1.0, 0.6]]).view(1, 3, 2, 2)
    result = part_attention(maps)
    torch.testing.assert_close(result, torch.tensor([[[0.125, 0.375, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]]]))
    squared = torch.tensor([[[1 / 26, 9 / 26, 0.0, 16 / 26], [0.0, 0.0, 0.0, 0.0]]])
    torch.testing.assert_close(part_attention(maps, 2), squared)


def test_a_part_that_is_hardly_there_is_still_looked_for() -> None:
    """With a probability of 1e-5 at most, as where it is hidden; its attention sums to 1 as any other's."""
    maps = 1e-5 * torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for power in (1, INFERENCE_POWER):
        torch.testing.assert_close(part_attention(maps, power).sum(-1), torch.ones(1, 2))


def test_maps_are_joined_at_the_finest() -> None:
    network = regressor()
    given = [part.unflatten(1, shape) for part, shape in zip(rows().split([384, 80, 16], 1), SHAPES, strict=True)]
    weights = [layer.weight[:, :, 0, 0] for layer in network.project]
    total = network.project[0].bias[:, None, None]
    for one, weight in zip(given, weights, strict=True):
        projected = torch.einsum("bchw,fc->bfhw", one, weight)
        total = total + F.interpolate(projected, size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.part_maps(rows())[0], total.clamp_min(0), atol=1e-5, rtol=1e-5)
    assert network.project[1].bias is None and network.project[2].bias is None


def test_middles_of_cells_by_hand() -> None:
    """Four cells over 64 pixels: their middles lie between pixels 7 and 8, 23 and 24 and so on; x runs first."""
    result = PartRegressor.cell_centers(4, 64, torch.device("cpu"))
    line = to_unit(torch.tensor([7.5, 23.5, 39.5, 55.5]), 64)
    assert result.shape == (16, 2)
    torch.testing.assert_close(result[:4], torch.stack((line, line[:1].expand(4)), 1))
    torch.testing.assert_close(result[4::4, 1], line[1:])
    torch.testing.assert_close(PartRegressor.cell_centers(64, 64, torch.device("cpu")), pixel_grid(64))


@pytest.mark.parametrize(("start", "prior_counts"), [("place", 0.0), ("moved", 1.0)])
def test_starts_follow_the_attended_place(start: str, prior_counts: float) -> None:
    network = regressor(start, features=64)
    with torch.no_grad():
        network.parts.weight.mul_(30)  # otherwise every mean place is near (0, 0)
        affine, attention = network(rows(4), PRIOR)
        place = network.mean_position(attention)
        assert (apply_affine(affine, PRIOR) - place - prior_counts * PRIOR).abs().mean() < 0.1
    assert place.abs().mean() > 0.1


def test_alike_features_are_told_apart_by_their_places(backbone: Backbone) -> None:
    """An object of 4 x 4 cells, all alike, in the same place of each image: with places its halves are two parts."""
    features = 0.01 * noise(12, 128, 8, 8)
    features[:, :, 2:6, 2:6] += 8 * F.normalize(noise(128), dim=0)[:, None, None]
    clusters = PartClusters(2, backbone.channels, position_weight=20.0)
    clusters.fit(features)
    assert clusters.middle.abs().max() < 1e-6
    with torch.no_grad():
        wanted = clusters(backbone, rows_of(features))
    shares = wanted[:, :2, 2:6, 2:6].mean(0)
    assert (shares.amax(0) > 0.8).all() and (shares.mean((1, 2)) - 0.5).abs().max() < 0.1
    # Of images turned by a quarter, the same parts lie where they were turned to.
    turned = features.rot90(1, (2, 3))
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]).expand(12, -1, -1)
    with torch.no_grad():
        again = clusters(backbone, rows_of(turned), quarter)
    torch.testing.assert_close(again.rot90(-1, (2, 3)), wanted, atol=2e-3, rtol=0)
