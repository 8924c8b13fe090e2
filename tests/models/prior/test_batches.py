"""What a step sees: every image once per epoch, flips, other frames, hidden blocks."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Split
from pplkit.data.images import to_float
from pplkit.data.occlusion import upsample_patches
from pplkit.geometry.coordinates import view_transforms, warp
from pplkit.models.prior.batches import Batch, Batches, mask_blocks
from pplkit.models.prior.config import Config

CPU = torch.device("cpu")
SIDE = 32


def numbered(count: int, videos: list[int] | None = None) -> Split:
    """Images that say who they are: red is the number, green 255 in the left half."""
    images = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None] + 1
    images[:, :, : SIDE // 2, 1] = 255
    of = None if videos is None else np.array(videos, np.int32)
    return Split("train", images, None, None, of, None, None, [""] * count)


def batches(config: Config, split: Split, **given: int) -> Batches:
    return Batches(split, config, CPU, **given)


def numbers(images: Tensor) -> list[int]:
    """Which images these are, read from the corner of each."""
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().sub(1).tolist()


def flipped(images: Tensor) -> list[bool]:
    return (images[:, 1, 0, 0] < 0).tolist()


@pytest.fixture
def masked(tiny: Config) -> Config:
    return tiny.replace(reference="masked", mask_ratio=0.0)


def test_each_image_comes_once_per_epoch(masked: Config) -> None:
    """10 images in batches of 4: five batches are two epochs, and the third batch has some of both."""
    draw = batches(masked, numbered(10))
    seen = [n for step in range(5) for n in numbers(draw(step).images)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:] and seen[:10] != sorted(seen[:10])


def test_a_step_is_the_same_each_time_and_steps_and_seeds_differ(tiny: Config, puppets: Any) -> None:
    def equal(a: Batch, b: Batch) -> bool:
        return torch.equal(a.images, b.images) and torch.equal(a.reference, b.reference)

    for config in (tiny, tiny.replace(reference="masked", mask_ratio=0.5, max_shift=0.2)):
        first, again = (batches(config, puppets["train"]) for _ in range(2))
        third = first(3)
        first(0)
        assert equal(third, again(3))  # whatever was asked for before
        assert not equal(third, again(4))
        assert not equal(third, batches(config.replace(seed=1), puppets["train"])(3))


def test_the_images_are_the_data_sets(tiny: Config, puppets: Any) -> None:
    draw = batches(tiny.replace(flip=False), puppets["train"])
    want = to_float(torch.from_numpy(np.array(puppets["train"].images)))
    batch = draw(1)
    for image in (*batch.images, *batch.reference):
        assert (want == image).flatten(1).all(1).sum() == 1
    assert torch.equal(batch.target, batch.images)


VIDEOS = [0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_the_reference_is_another_frame_of_the_same_video(tiny: Config) -> None:
    draw = batches(tiny, numbered(9, VIDEOS))
    partners: dict[int, set[int]] = {n: set() for n in range(9)}
    for step in range(150):
        batch = draw(step)
        for image, other in zip(numbers(batch.images), numbers(batch.reference), strict=True):
            partners[image].add(other)
    for image, others in partners.items():  # all the others of its video, never itself
        assert others == {n for n in range(9) if VIDEOS[n] == VIDEOS[image]} - {image}


def test_image_and_reference_are_flipped_together(tiny: Config) -> None:
    draw = batches(tiny, numbered(9, VIDEOS))
    turned = []
    for step in range(25):
        batch = draw(step)
        assert flipped(batch.images) == flipped(batch.reference)
        turned += flipped(batch.images)
    assert 30 < sum(turned) < 70  # about half of 100


def test_the_masked_reference_hides_whole_blocks_of_the_image(masked: Config) -> None:
    """8 x 8 blocks of 4 pixels; hidden ones are 0, the grey between -1 and 1."""
    draw = batches(masked.replace(mask_ratio=0.7, mask_grid=8), numbered(10))
    shares = []
    for step in range(20):
        batch = draw(step)
        shown = (batch.reference != 0).any(1)  # no pixel of these images is grey in all channels
        blocks = shown.reshape(4, 8, 4, 8, 4).permute(0, 1, 3, 2, 4).flatten(3)
        assert (blocks.all(-1) | ~blocks.any(-1)).all()
        assert torch.equal(batch.reference, batch.images * shown[:, None])
        shares.append(1 - shown.float().mean().item())
    assert np.mean(shares) == pytest.approx(0.7, abs=0.03) and len(set(shares)) > 10


def view(turn: float = 0.0, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> Tensor:
    numbers = (torch.tensor([value]) for value in (turn, scale))
    return view_transforms(*numbers, torch.tensor([[x, y]]), torch.tensor([False]))


@pytest.mark.parametrize("changes", [{"max_shift": 0.3}, {"max_rotation": 0.5}])
def test_image_and_reference_are_seen_alike(tiny: Config, changes: dict[str, float]) -> None:
    split = numbered(4, [0, 0, 0, 0])
    split.images[:] = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3))  # all frames alike
    batch, plain = batches(tiny.replace(**changes), split)(0), batches(tiny, split)(0)
    assert torch.equal(batch.images, batch.reference)
    assert (batch.images - plain.images).abs().mean() > 0.1
    assert (batch.images[0] - batch.images[1]).abs().mean() > 0.1  # each in its own view


@pytest.mark.parametrize("reference", ["frame", "masked"])
def test_the_moves_say_where_a_point_is_seen_again(tiny: Config, puppets: Any, reference: str) -> None:
    """The other view, looked at through the moves, shows the image; beyond its border nothing is compared."""
    settings = {
        "reference": reference,
        "max_rotation": 0.5,
        "max_shift": 0.1,
        "weight_equivariance": 1.0,
        "batch_size": 20,
    }
    batch = batches(tiny.replace(**settings), puppets["train"])(0)
    assert batch.second_view is not None and batch.view_transform is not None
    again = warp(batch.second_view, batch.view_transform)
    middle = (slice(None), slice(None), slice(10, 22), slice(10, 22))
    same = (again - batch.images)[middle].abs().mean()
    other = (batch.second_view - batch.images)[middle].abs().mean()
    assert same < 0.3 * other
    assert 0 < (torch.linalg.det(batch.view_transform[..., :2]) < 0).sum() < 20  # where one of the two is flipped
    straight = batches(tiny.replace(flip=False, **settings), puppets["train"])(0)
    assert straight.view_transform is not None and (torch.linalg.det(straight.view_transform[..., :2]) > 0).all()


@pytest.mark.parametrize("reference", ["frame", "masked"])
def test_the_shares_of_processes_make_up_the_batch(tiny: Config, puppets: Any, reference: str) -> None:
    config = tiny.replace(reference=reference, max_shift=0.1, weight_equivariance=1.0)
    for step in (0, 7):
        whole = batches(config, puppets["train"])(step)
        parts = [batches(config, puppets["train"], rank=rank, world=2)(step) for rank in (0, 1)]
        assert [len(part.images) for part in parts] == [2, 2]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        for name in ("reference", "second_view", "view_transform"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_half_the_resolution_keeps_the_images_and_shrinks_the_rest(tiny: Config, puppets: Any) -> None:
    batch = batches(tiny.replace(weight_equivariance=1.0), puppets["train"])(0)
    half = batch.halved()
    assert (
        half.images is batch.images
        and half.second_view is batch.second_view
        and half.view_transform is batch.view_transform
    )
    assert half.reference.shape == half.target.shape == (4, 3, 16, 16)
    torch.testing.assert_close(half.target[:, :, 2, 5], batch.target[:, :, 4:6, 10:12].mean((2, 3)))
    torch.testing.assert_close(half.reference[:, :, 2, 5], batch.reference[:, :, 4:6, 10:12].mean((2, 3)))


@pytest.mark.parametrize(
    ("changes", "split", "world", "message"),
    [
        ({"batch_size": 5}, numbered(9, VIDEOS), 2, "batch_size=5 cannot be split over 2 devices: use a multiple"),
        ({"image_size": 64}, numbered(9, VIDEOS), 1, "images of 32 pixels, but image_size=64: prepare"),
        ({}, numbered(9), 1, "needs videos, but split 'train' has none: use reference='masked'"),
        ({}, numbered(3, [0, 0, 1]), 1, "needs two frames of each video, but split 'train' has a video with one"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    tiny: Config, changes: dict[str, Any], split: Split, world: int, message: str
) -> None:
    with pytest.raises(PplkitError, match=message):
        batches(tiny.replace(**changes), split, world=world)


def test_blocks_that_are_not_kept_are_zero() -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    kept = torch.tensor([[[True, False], [False, True]], [[True, True], [False, False]]])
    result = mask_blocks(images, kept)
    assert torch.equal(result, images * upsample_patches(kept, 8)[:, None]) and result.is_contiguous(
        memory_format=torch.channels_last
    )
    assert torch.equal(result[0, :, :4, :4], images[0, :, :4, :4]) and not result[0, :, :4, 4:].any()
