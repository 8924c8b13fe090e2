"""Features of views that are kept: the same numbers whatever came before, and batches that fit together."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.data.dataset import Split
from pplkit.data.images import to_float
from pplkit.data.npy_shards import Shards
from pplkit.geometry.coordinates import apply_affine, pixel_grid, warp
from pplkit.models.layers.backbone import Backbone
from pplkit.models.prior import feature_cache
from pplkit.models.prior.batches import Batch, Batches, downscale
from pplkit.models.prior.config import Config
from pplkit.models.prior.feature_cache import FeatureCache, augmentation_transforms, brighten
from pplkit.training.task import split_batch

CPU = torch.device("cpu")
SIDE, COUNT, VIEWS = 32, 5, 3


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    made = Backbone("random", SIDE)
    made.standardize([to_float(torch.from_numpy(pictures()))])
    return made


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    return tiny.replace(
        backbone="random", backbone_views=VIEWS, max_rotation=0.5, max_shift=0.2, brightness=0.4,
        weight_equivariance=1.0, reference="masked", mask_ratio=0.6,
    )  # fmt: skip


def pictures(count: int = COUNT, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def split(images: np.ndarray | Shards, videos: list[int] | None = None) -> Split:
    of = None if videos is None else np.array(videos, np.int32)
    return Split("train", images, None, None, of, None, None, [""] * len(images))


EVERY = tuple(np.array(part) for part in zip(*[(i, v) for i in range(COUNT) for v in range(VIEWS)], strict=True))


@pytest.fixture
def room_for(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have memory for the features of so many images, of which half of what is free may be taken."""
    size = 2 * VIEWS * backbone.size  # bytes of an image's features in half precision

    def leave(count: float) -> None:
        monkeypatch.setattr(feature_cache, "free_memory", lambda device: 2 * size * count)

    return leave


def test_rows_are_those_of_the_images_as_they_are_seen_and_lit(backbone: Backbone, config: Config) -> None:
    cache = FeatureCache(backbone, pictures(), config)
    with torch.no_grad():
        for index, view, row in zip(*EVERY, cache.rows(*EVERY), strict=True):
            image = torch.from_numpy(pictures()[index]).permute(2, 0, 1)[None] / 127.5 - 1
            looked = warp(image, cache.views[index, view][None])
            light = float(cache.lights(np.array([index]), np.array([view])))
            looked = (((looked + 1) * light) - 1).clamp(max=1)  # white is the most there is
            torch.testing.assert_close(row, backbone(looked)[0], atol=3e-3, rtol=2e-3)
    assert cache.rows(*EVERY).dtype == torch.float32


def test_the_order_of_asking_changes_no_bit(backbone: Backbone, config: Config) -> None:
    one, other = (FeatureCache(backbone, pictures(), config) for _ in range(2))
    expected = one.rows(*EVERY)
    order = np.random.default_rng(0).permutation(len(EVERY[0]))
    index, view = (part[order] for part in EVERY)
    for begin in range(0, len(order), 4):
        some = slice(begin, begin + 4)
        assert torch.equal(other.rows(index[some], view[some]), expected[order[some]])
    assert torch.equal(other.rows(*EVERY), expected)


@pytest.mark.parametrize(("room", "kept"), [(2.5, 2), (0.9, 0), (5.0, 5), (math.inf, 5)])
def test_images_without_room_are_computed_anew_with_the_same_numbers(
    room: float, kept: int, backbone: Backbone, config: Config, room_for: Callable[[float], None]
) -> None:
    expected = FeatureCache(backbone, pictures(), config).rows(*EVERY)
    room_for(room)
    cache = FeatureCache(backbone, pictures(), config)
    assert cache.room == kept and cache.kept.shape == (kept, VIEWS, backbone.size)
    asked: list[int] = []
    hook = backbone.register_forward_hook(lambda module, given, actual: asked.append(len(given[0])))
    for _ in range(2):
        assert torch.equal(cache.rows(*EVERY), expected)
    hook.remove()
    assert sum(asked) == kept * VIEWS + 2 * (COUNT - kept) * VIEWS


def test_views_and_lights_are_drawn_from_the_seed(backbone: Backbone, config: Config) -> None:
    one, again, other = (FeatureCache(backbone, pictures(40), config.replace(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(one.views, again.views) and torch.equal(one.light, again.light)
    assert not (one.views == other.views).flatten(2).all(2).any()
    assert one.views.shape == (40, VIEWS, 2, 3) and one.light.shape == (40, VIEWS)
    assert (one.light.log().abs() <= config.brightness).all() and one.light.log().std() > 0.15
    assert len(one.views.flatten(0, 1).unique(dim=0)) == 40 * VIEWS
    assert 0.3 < (torch.linalg.det(one.views[..., :2]) < 0).float().mean() < 0.7  # flipped
    index, view = np.array([3, 7]), np.array([2, 0])
    assert torch.equal(one.lights(index, view), torch.stack((one.light[3, 2], one.light[7, 0])))


def test_how_an_image_is_shown_by_hand(config: Config) -> None:
    """A quarter turn, twice as small, moved by 0.2 and -0.1, mirrored by the last number."""
    settings = config.replace(max_rotation=math.pi / 2, max_shift=0.5)
    draws = torch.tensor([[1.0, 0.0, 0.4, -0.2, 1.0], [0.0, -1.0, 0.0, 0.0, -1.0]])
    result = augmentation_transforms(draws, settings)
    torch.testing.assert_close(result[0], torch.tensor([[0.0, -1.0, 0.2], [1.0, 0.0, -0.1]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(result[1], torch.tensor([[-0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    assert augmentation_transforms(draws, settings.replace(flip=False))[1, 0, 0] == 0.5


def test_light_by_hand() -> None:
    images = torch.tensor([-1.0, -0.5, 0.5]).view(1, 1, 1, 3).expand(2, 3, -1, -1)
    result = brighten(images, torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(result[0, 0, 0], torch.tensor([-1.0, -0.75, -0.25]))
    torch.testing.assert_close(result[1, 2, 0], torch.tensor([-1.0, 0.0, 1.0]))  # 2 would be brighter than white


def test_images_made_smaller_by_hand() -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[1, :2, 2:, 0] = [[10, 20], [30, 41]]  # mean 25.25
    result = downscale(images, 2)
    assert result.dtype == torch.uint8 and result.shape == (3, 2, 2, 3)
    assert result[1, :, :, 0].tolist() == [[0, 25], [0, 0]] and result.sum() == 25
    assert torch.equal(downscale(pictures(), SIDE), torch.from_numpy(pictures()))
    assert torch.equal(downscale(Shards([pictures()[:2], pictures()[2:]]), 16), downscale(pictures(), 16))


def fields(batch: Batch) -> dict[str, Tensor]:
    return {name: value for name, value in vars(batch).items() if value is not None}


def differing(one: Batch, other: Batch) -> set[str]:
    assert fields(one).keys() == fields(other).keys()
    return {name for name, value in fields(one).items() if not torch.equal(value, fields(other)[name])}


VIDEOS = [0, 0, 1, 1, 1]


def made(config: Config, backbone: Backbone, reference: str = "masked", **given: Any) -> Batches:
    config = config.replace(reference=reference, **given.pop("changes", {}))
    return Batches(split(pictures(), VIDEOS), config, CPU, backbone=backbone, **given)


@pytest.mark.parametrize("reference", ["masked", "frame"])
def test_a_step_is_the_same_each_time_and_steps_and_seeds_differ(
    reference: str, config: Config, backbone: Backbone
) -> None:
    first, again = (made(config, backbone, reference) for _ in range(2))
    third = first(3)
    first(0)
    assert set(fields(third)) == {"images", "reference", "target", "second_view", "view_transform", "features", "views"}
    assert differing(third, again(3)) == set()  # whatever was asked for before
    assert differing(third, again(4)) == set(fields(third))
    assert differing(third, made(config, backbone, reference, changes={"seed": 1})(3)) == set(fields(third))


@pytest.mark.parametrize("reference", ["masked", "frame"])
def test_the_shares_of_processes_make_up_the_batch(reference: str, config: Config, backbone: Backbone) -> None:
    for step in (0, 7):
        whole = fields(made(config, backbone, reference)(step))
        parts = [fields(made(config, backbone, reference, rank=rank, world=2)(step)) for rank in (0, 1)]
        assert all(torch.equal(torch.cat([part[name] for part in parts]), value) for name, value in whole.items())


def test_each_image_comes_once_per_epoch_in_every_pair_of_views(config: Config, backbone: Backbone) -> None:
    draw = made(config, backbone, changes={"batch_size": COUNT})
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    rows = draw.cache.rows  # type: ignore[union-attr]
    draw.cache.rows = lambda *given: asked.append(given) or rows(*given)  # type: ignore[union-attr, method-assign]
    for step in range(60):
        draw(step)
    assert all(sorted(index.tolist()) == list(range(COUNT)) for index, _ in asked)
    met = {
        (int(a), int(b))
        for (_, one), (_, two) in zip(asked[::2], asked[1::2], strict=True)
        for a, b in zip(one, two, strict=True)
    }
    assert met == {(a, b) for a in range(VIEWS) for b in range(VIEWS) if a != b}


def test_what_is_painted_is_what_the_backbone_saw(config: Config, backbone: Backbone) -> None:
    batch = made(config, backbone)(2)
    assert batch.features is not None and batch.inputs is batch.features and batch.target is batch.images
    with torch.no_grad():
        torch.testing.assert_close(backbone(batch.images), batch.features, atol=3e-3, rtol=2e-3)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.halved().features is batch.features and batch.halved().target.shape[-1] == SIDE // 2


def test_the_reference_is_another_frame_seen_and_lit_alike(config: Config, backbone: Backbone) -> None:
    """Images that say who they are: all of one brightness."""
    images = (
        np.zeros((COUNT, SIDE, SIDE, 3), np.uint8) + 10 * np.arange(1, 1 + COUNT, dtype=np.uint8)[:, None, None, None]
    )
    draw = Batches(split(images, VIDEOS), config.replace(reference="frame"), CPU, backbone=backbone)
    met = set()
    for step in range(40):
        batch = draw(step)
        bright, other = ((one[:, 0, 0, 0] + 1) * 127.5 for one in (batch.images, batch.reference))
        index = np.concatenate([draw._rows(step)])[:4]
        light = bright / torch.from_numpy(10.0 * (1 + index))
        partner = (other / light / 10 - 1).round().int().tolist()
        met |= set(zip(index.tolist(), partner, strict=True))
        torch.testing.assert_close(other, (10 * (1 + torch.tensor(partner)) * light).float(), rtol=1e-3, atol=1e-3)
    assert met == {(i, j) for i in range(COUNT) for j in range(COUNT) if i != j and VIDEOS[i] == VIDEOS[j]}


def middles(images: Tensor) -> Tensor:
    """Where the bright spot of each image (B, 3, S, S) lies: (B, 2)."""
    weights = (images[:, 0].flatten(1) + 1).clamp_min(0)  # black is -1
    return weights @ pixel_grid(images.shape[-1]) / weights.sum(1, keepdim=True)


def test_the_moves_lead_from_a_point_to_where_it_is_seen_again(config: Config, backbone: Backbone) -> None:
    """A bright dot beside the middle, found in both views as they are painted, at half the resolution."""
    images = np.zeros((COUNT, 64, 64, 3), np.uint8)
    for number in range(COUNT):
        images[number, 24 + 2 * number : 28 + 2 * number, 40:44] = 200
    settings = config.replace(image_size=64, paint_size=32, brightness=0.0, mask_grid=8)
    draw = Batches(split(images), settings, CPU, backbone=Backbone("random", 64))
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    rows = draw.cache.rows  # type: ignore[union-attr]
    draw.cache.rows = lambda *given: asked.append(given) or rows(*given)  # type: ignore[union-attr, method-assign]
    apart = []
    for step in range(8):
        batch = draw(step)
        assert batch.images.shape == batch.reference.shape == (4, 3, 32, 32) and batch.view_transform is not None
        (index, _), (again, second) = asked[-2:]
        assert (index == again).all()
        small = to_float(downscale(images, 32)[torch.from_numpy(index)])
        result = middles(warp(small, draw.cache.views[index, second]))  # type: ignore[union-attr]
        moved = apply_affine(batch.view_transform[:, None], middles(batch.images)[:, None])[:, 0]
        torch.testing.assert_close(moved, result, atol=0.02, rtol=0)
        apart.append((middles(batch.images) - result).norm(dim=1))
    assert torch.cat(apart).mean() > 0.2


def test_a_batch_in_parts_keeps_features_with_their_images(config: Config, backbone: Backbone) -> None:
    batch = made(config, backbone)(1)
    parts = [fields(part) for part in split_batch(batch, 2)]
    assert all(torch.equal(torch.cat([part[name] for part in parts]), value) for name, value in fields(batch).items())
    assert [len(part["features"]) for part in parts] == [2, 2]


def test_the_other_view_is_mirrored_alike_where_keypoints_need_not_follow_into_the_mirror(
    config: Config, backbone: Backbone
) -> None:
    settings = config.replace(flip=True, backbone_views=6)
    cache = FeatureCache(backbone, pictures(40), settings.replace(equivariance_flip=False))
    mirrored = np.linalg.det(cache.views[..., :2].numpy()) < 0
    index, view = np.repeat(np.arange(40), 6), np.tile(np.arange(6), 40)
    for draw in range(5):
        other = cache.others(index, view, np.full(240, draw))
        assert (other != view).all()
        alone = (mirrored[index] == mirrored[index, view][:, None]).sum(1) == 1
        assert ((mirrored[index, other] == mirrored[index, view]) | alone).all()
    chosen = cache.others(np.zeros(5, int), np.zeros(5, int), np.arange(5))
    alike = np.flatnonzero(mirrored[0] == mirrored[0, 0])[1:]
    assert set(chosen) == set(alike) if len(alike) else set(chosen) == {1, 2, 3, 4, 5}
    anyone = FeatureCache(backbone, pictures(40), settings).others(np.zeros(5, int), np.full(5, 2), np.arange(5))
    assert anyone.tolist() == [3, 4, 5, 0, 1]


@pytest.mark.parametrize("trainable", [0, 1])
def test_batches_lead_to_upright_images(trainable: int, config: Config, backbone: Backbone) -> None:
    """From a point of each view to where it is in the image, but for the mirror; both views of an image are alike."""
    settings = config.replace(backbone_trainable=trainable, equivariance_flip=False, backbone_views=6)
    draw = Batches(split(pictures(8)), settings, CPU, backbone=None if trainable else backbone)
    batch = draw(0)
    assert batch.views is not None and batch.view_transform is not None and batch.upright is not None
    first, second = batch.upright.chunk(2)
    assert (torch.linalg.det(batch.upright[..., :2]) > 0).all()
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    there = apply_affine(batch.view_transform[:, None], points)
    mirrored = torch.linalg.det(batch.view_transform[:, :, :2]) < 0
    assert not mirrored.any() or not trainable  # where no other view is alike
    torch.testing.assert_close(
        apply_affine(second[:, None], there)[~mirrored], apply_affine(first[:, None], points)[~mirrored]
    )
    sign = torch.linalg.det(batch.views[..., :2]).sign()[:, None]
    x, y = apply_affine(batch.views[:, None], points).unbind(-1)
    torch.testing.assert_close(apply_affine(first[:, None], points), torch.stack((sign * x, y), -1))
