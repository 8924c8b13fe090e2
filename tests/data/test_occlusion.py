"""What is hidden, by hand: patches, borders and things in front, holes to learn from, points that lie in them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.occlusion import (
    PATCHES,
    Occluders,
    cover,
    hidden_patches,
    objects,
    occlude,
    occluders_from_folder,
    points_in_mask,
    random_masks,
    upsample_patches,
)


def test_spread_by_hand() -> None:
    grid = torch.tensor([[[1, 2], [3, 4]]])
    assert upsample_patches(grid, 4)[0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert upsample_patches(grid, 3)[0].tolist() == [
        [1, 1, 2],
        [1, 1, 2],
        [3, 3, 4],
    ]  # 1 of 3 pixels starts before the half


@pytest.mark.parametrize("amount", [0, 4, 6, 8, 10, 12, 32])
def test_the_centre_hides_a_centred_square(amount: int) -> None:
    hidden = hidden_patches(2, "center", amount)
    assert hidden.shape == (2, PATCHES, PATCHES) and hidden.sum((1, 2)).tolist() == [amount**2] * 2
    assert np.array_equal(hidden, hidden[:, ::-1]) and np.array_equal(hidden, hidden[:, :, ::-1])
    if amount:
        rows = np.flatnonzero(hidden[0].any(0))
        assert rows.tolist() == list(range(16 - amount // 2, 16 + amount // 2))


@pytest.mark.parametrize(("amount", "count"), [(0.0, 0), (0.1, 102), (0.2, 205), (0.3, 307), (0.4, 410), (1.0, 1024)])
def test_random_patches_are_counted_exactly(amount: float, count: int) -> None:
    assert hidden_patches(3, "random", amount).sum((1, 2)).tolist() == [count] * 3


def test_random_patches_depend_on_seed_and_position_only() -> None:
    five = hidden_patches(5, "random", 0.3, seed=4)
    assert np.array_equal(five[:2], hidden_patches(2, "random", 0.3, seed=4))
    assert not np.array_equal(five[0], five[1])
    assert not np.array_equal(five, hidden_patches(5, "random", 0.3, seed=5))
    assert 0.2 < five[:, :16].mean() < 0.4  # spread over the whole image
    assert not np.array_equal(five[0], np.sort(five[0].ravel())[::-1].reshape(five[0].shape))


@pytest.mark.parametrize(
    ("kind", "amount", "message"),
    [
        ("centre", 4, "kind='centre' of occlusion is unknown: choose 'center', 'random' or 'border'"),
        ("center", 4.5, "amount=4.5 must be a whole number of patches from 0 to 32"),
        ("center", 33, "amount=33 must be"),
        ("random", 1.5, "amount=1.5 must be a fraction of the patches from 0 to 1"),
        ("random", -0.1, "amount=-0.1 must be a fraction"),
        ("border", 1.1, "amount=1.1 must be a fraction of the patches from 0 to 1 for kind='border'"),
    ],
)
def test_occlusions_that_do_not_exist_are_refused(kind: str, amount: float, message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        hidden_patches(1, kind, amount)


@pytest.mark.parametrize("kind", ["numpy bytes", "torch bytes", "numpy floats", "torch floats"])
def test_occluded_images_are_grey_in_the_middle_and_a_copy(kind: str) -> None:
    library, numbers_ = kind.split()
    shape, dtype = ((2, 64, 64, 3), np.uint8) if numbers_ == "bytes" else ((2, 3, 64, 64), np.float32)
    images: Any = np.full(shape, 7 if numbers_ == "bytes" else 0.7, dtype)
    images = torch.from_numpy(images) if library == "torch" else images
    actual = occlude(images, "center", 8)
    assert type(actual) is type(images) and actual.dtype == images.dtype and tuple(actual.shape) == shape
    grey = np.asarray(actual) == (128 if numbers_ == "bytes" else 0)
    grey = grey.all(-1) if numbers_ == "bytes" else grey.all(1)
    expected = np.zeros((2, 64, 64), bool)
    expected[:, 24:40, 24:40] = True  # 8 patches of 2 pixels around the centre
    assert np.array_equal(grey, expected)
    assert np.array_equal(np.asarray(actual != images), np.asarray(actual == (128 if numbers_ == "bytes" else 0)))
    assert (np.asarray(images) == np.asarray(images).flat[0]).all()  # the given images are as before


def test_occlusion_is_random_by_default_seed_and_repeatable() -> None:
    images = np.full((2, 32, 32, 3), 7, np.uint8)
    result = occlude(images, kind="random", amount=0.3)
    assert np.array_equal(result, occlude(images, kind="random", amount=0.3, seed=0))
    assert (result == 128).all(-1).sum((1, 2)).tolist() == [307, 307]


@pytest.mark.parametrize(("amount", "rows"), [(0.0, 0), (0.25, 8), (0.5, 16), (1.0, 32)])
def test_a_border_is_a_strip_along_one_side(amount: float, rows: int) -> None:
    hidden = hidden_patches(40, "border", amount, seed=3)
    assert hidden.sum((1, 2)).tolist() == [32 * rows] * 40
    strip = np.zeros((32, 32), bool)
    strip[:rows] = True
    sides = [np.rot90(strip, k).tolist() for k in range(4)]  # above, left, below, right
    results = [sides.index(one.tolist()) for one in hidden]
    assert amount in (0, 1) or set(results) == {0, 1, 2, 3}
    assert np.array_equal(hidden[:3], hidden_patches(3, "border", amount, seed=3))
    assert amount in (0, 1) or not np.array_equal(hidden, hidden_patches(40, "border", amount, seed=4))


def noise(count: int, size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


RED = np.zeros((64, 64, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
HALF = np.arange(64)[None].repeat(64, 0) < 32  # the left half
FRONT = Occluders(RED[None], HALF[None])


@pytest.mark.parametrize(("kind", "amount", "count"), [("center", 8, 64), ("random", 0.25, 256), ("border", 0.25, 256)])
def test_a_cover_is_grey_exactly_where_it_hides(kind: str, amount: float, count: int) -> None:
    images = noise(5)
    result = cover(images, kind, amount, seed=2)
    assert result.images.shape == (5, 3, 64, 64) and result.images.dtype == torch.float32
    assert result.hidden.shape == (5, 64, 64) and result.hidden.dtype == bool
    patches = result.hidden.reshape(5, 32, 2, 32, 2).transpose(0, 1, 3, 2, 4).reshape(5, 32, 32, 4)
    assert (patches.all(-1) == patches.any(-1)).all() and patches.all(-1).sum((1, 2)).tolist() == [count] * 5
    seen = result.images.numpy().transpose(0, 2, 3, 1)
    assert (seen[result.hidden] == 0).all()
    np.testing.assert_allclose(seen[~result.hidden], images[~result.hidden] / 127.5 - 1, atol=1e-6)
    again = cover(images[:3], kind, amount, seed=2)  # from seed and position alone
    assert torch.equal(again.images, result.images[:3]) and np.array_equal(again.hidden, result.hidden[:3])


def test_things_paste_the_pixels_of_an_occluder_where_its_mask_is() -> None:
    images = noise(20)
    result = cover(images, "things", 0.5, occluders=FRONT)
    seen = result.images.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(seen[result.hidden], np.broadcast_to([1.0, -1, -1], (result.hidden.sum(), 3)))
    np.testing.assert_allclose(seen[~result.hidden], images[~result.hidden] / 127.5 - 1, atol=1e-6)
    corners = set()
    for hidden in result.hidden:  # its left half: 16 of 32 columns, but for a pixel that smoothing may take or give
        rows, columns = (np.flatnonzero(hidden.any(axis)) for axis in (1, 0))
        assert len(rows) == 32 and len(columns) in (15, 16, 17)
        assert hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0 <= rows[0] <= 32 and 0 <= columns[0] <= 32  # its middle lies in the middle half
        corners.add((rows[0], columns[0]))
    assert len(corners) > 15
    again = cover(images[:3], "things", 0.5, occluders=FRONT)
    assert torch.equal(again.images, result.images[:3]) and np.array_equal(again.hidden, result.hidden[:3])
    other = cover(images[:3], "things", 0.5, seed=1, occluders=FRONT)
    assert not np.array_equal(again.hidden, other.hidden)


def test_every_occluder_has_its_turn() -> None:
    fronts = Occluders(np.stack([RED, RED[..., [1, 0, 2]]]), np.ones((2, 64, 64), bool))
    result = cover(noise(20), "things", 0.75, occluders=fronts)
    colours = {tuple(image[:, hidden].mean(1).tolist()) for image, hidden in zip(*result, strict=True)}
    assert colours == {(1.0, -1.0, -1.0), (-1.0, 1.0, -1.0)}


@pytest.mark.parametrize(
    ("kind", "amount", "fronts", "message"),
    [
        ("things", 0.5, None, "kind='things' needs occluders: give a data set with masks, or a folder of images"),
        ("things", 0.5, Occluders(RED[None][:0], HALF[None][:0]), "kind='things' needs occluders"),
        ("things", 1.5, FRONT, "amount=1.5 must be a fraction of the image side from 0 to 1 for kind='things'"),
        ("thing", 0.5, FRONT, "kind='thing' of occlusion is unknown"),
        ("center", 0.5, FRONT, "amount=0.5 must be a whole number of patches"),
    ],
)
def test_covers_that_do_not_exist_are_refused(kind: str, amount: float, fronts: Any, message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        cover(noise(1), kind, amount, occluders=fronts)


def test_objects_are_those_of_the_masks(puppets: Dataset) -> None:
    result = objects(puppets["test"], [0, 4])
    assert result is not None and np.array_equal(result.images, puppets["test"].images[[0, 4]])
    assert np.array_equal(result.masks, np.asarray(puppets["test"].masks)[[0, 4]] > 127)
    assert 0 < result.masks.mean() < 0.5


def test_pictures_of_a_folder_stand_in_front_where_they_are_opaque(tmp_path: Path) -> None:
    cut = np.dstack((RED, np.where(HALF, 255, 0).astype(np.uint8)))
    Image.fromarray(cut).save(tmp_path / "a.png")
    Image.fromarray(RED[:20]).save(tmp_path / "b.png")
    result = occluders_from_folder(str(tmp_path), 32)
    assert result.images.shape == (2, 32, 32, 3) and result.masks.dtype == bool
    assert result.masks[0, :, :15].all() and not result.masks[0, :, 17:].any() and result.masks[1].all()
    assert (result.images[1] == [255, 0, 0]).all() and (result.images[0, :, :15] == [255, 0, 0]).all()
    with pytest.raises(PplkitError, match="there is no folder .*none"):
        occluders_from_folder(tmp_path / "none", 32)


def test_holes_are_of_many_kinds_and_come_from_the_generator() -> None:
    result = random_masks(np.random.default_rng(0), 2000)
    assert result.shape == (2000, PATCHES, PATCHES) and result.dtype == bool
    assert np.array_equal(result, random_masks(np.random.default_rng(0), 2000))
    assert not np.array_equal(result, random_masks(np.random.default_rng(1), 2000))
    shares = result.mean((1, 2))
    assert (shares == 0).mean() == pytest.approx(0.2, abs=0.04)
    assert np.quantile(shares, 0.97) < 0.6 and 0.1 < shares.mean() < 0.3
    # Scattered patches change from place to place; a box, and two, have few edges.
    edges = (result[:, 1:] != result[:, :-1]).sum((1, 2)) + (result[:, :, 1:] != result[:, :, :-1]).sum((1, 2))
    smooth = (edges > 0) & (edges <= 4 * (64 + 64))
    whole = result.all(1).any(1) | result.all(2).any(1)  # a row or a column that is hidden throughout
    assert 0.05 < whole.mean() < 0.3 and (smooth & whole).sum() > 0.9 * whole.sum()
    touching = result[:, 0].any(1) | result[:, -1].any(1) | result[:, :, 0].any(1) | result[:, :, -1].any(1)
    assert (touching & smooth & ~whole).mean() > 0.1  # over the border


def test_points_in_hidden_pixels_by_hand() -> None:
    """5 pixels a side, 0.5 apart; hidden are the first one, the middle and the last."""
    hidden = np.zeros((2, 5, 5), bool)
    hidden[0, 0, 0] = hidden[0, 2, 2] = hidden[0, 4, 4] = True
    hidden[1, 1, 3] = True  # row 1, column 3: x = 0.5, y = -0.5
    points = np.array([[-1, -1], [0.2, -0.2], [1, 1], [0.5, -0.5], [-0.5, 0.5], [0.3, 0], [1.3, 1], [-1.2, -1]])
    both = np.stack((points, points))
    assert points_in_mask(hidden, both).tolist() == [
        [True, True, True, False, False, False, False, True],  # up to half a pixel (0.25) beyond -1 is the first pixel
        [False, False, False, True, False, False, False, False],
    ]
    assert not points_in_mask(
        np.ones((1, 5, 5), bool), np.array([[[np.nan, 0], [np.nan, np.nan], [9, 0], [0, -1.3]]])
    ).any()
