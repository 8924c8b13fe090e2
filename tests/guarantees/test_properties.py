"""What holds for every input, of geometry, links and memory; Hypothesis looks for one for which it does not."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from segments import segment_distance
from torch import Tensor

from pplkit.data.crops import CROPS, from_crop, resized, to_crop
from pplkit.geometry.coordinates import (
    apply_affine,
    mirror,
    pairwise_distances,
    pixel_grid,
    relative_transform,
    to_pixels,
    to_unit,
    view_transforms,
    warp,
)
from pplkit.geometry.link_map import link_map
from pplkit.models.prior.memory import HierarchicalMemory

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(2, 40)
SHARE = st.floats(-1, 1, width=32)


def points(seed: int, *shape: int) -> Tensor:
    """Points in double precision, a few of them outside of the image."""
    return torch.rand(*shape, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2.4 - 1.2


@given(SEEDS, SIDES)
def test_pixels_and_units_are_inverse(seed: int, size: int) -> None:
    given = points(seed, 5)
    torch.testing.assert_close(to_unit(to_pixels(given, size), size), given)
    corners = np.array([[0.0, 0.0], [size - 1, size - 1]])
    np.testing.assert_allclose(to_unit(corners, size), [[-1, -1], [1, 1]], atol=1e-12)
    grid = to_pixels(pixel_grid(size), size)
    torch.testing.assert_close(grid[:, 0] + size * grid[:, 1], torch.arange(size**2).float(), atol=1e-3, rtol=0)


@given(SEEDS, st.integers(1, 9), st.data())
def test_a_mirror_undoes_itself_and_keeps_distances(seed: int, count: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(count)))
    pairs = [(order[2 * i], order[2 * i + 1]) for i in range(data.draw(st.integers(0, count // 2)))]
    given = points(seed, 3, count)
    there = mirror(given, pairs)
    torch.testing.assert_close(mirror(there, pairs), given)
    torch.testing.assert_close(there.sum(-2), given.sum(-2) * torch.tensor([-1.0, 1.0]))  # whatever changed places
    partner = {i: j for a, b in pairs for i, j in ((a, b), (b, a))}
    for i in range(count):
        assert torch.equal(there[:, i, 1], given[:, partner.get(i, i), 1])
    np.testing.assert_allclose(mirror(given.numpy(), pairs), there.numpy())


@st.composite
def view(draw: st.DrawFn) -> Tensor:
    """One view of each of two images."""
    turns, shifts = [draw(st.lists(st.floats(-3, 3), min_size=n, max_size=n)) for n in (2, 4)]
    scales, flips = (
        draw(st.lists(st.floats(0.5, 2), min_size=2, max_size=2)),
        draw(st.tuples(st.booleans(), st.booleans())),
    )
    numbers = (torch.tensor(turns), torch.tensor(scales), torch.tensor(shifts).view(2, 2))
    return view_transforms(*(part.double() for part in numbers), torch.tensor(flips))


@given(SEEDS, view(), view())
def test_maps_between_views_lead_to_the_same_point_of_the_image(seed: int, first: Tensor, second: Tensor) -> None:
    given = points(seed, 2, 4)
    there = apply_affine(relative_transform(first, second)[:, None], given)
    torch.testing.assert_close(apply_affine(second[:, None], there), apply_affine(first[:, None], given))
    torch.testing.assert_close(apply_affine(relative_transform(second, first)[:, None], there), given)
    widths = pairwise_distances(given) * first[:, :, :2].det().abs().sqrt()[:, None, None]
    torch.testing.assert_close(pairwise_distances(apply_affine(first[:, None], given)), widths)  # nothing is sheared


@given(view(), st.integers(4, 12))
def test_what_is_seen_at_a_point_is_what_the_view_says(view: Tensor, size: int) -> None:
    """An image whose colours are its own coordinates shows where each pixel looks."""
    grid = pixel_grid(size).double()
    image = torch.cat((grid, torch.zeros_like(grid[:, :1])), 1).T.reshape(1, 3, size, size).expand(2, -1, -1, -1)
    actual = warp(image, view)[:, :2].flatten(2).transpose(1, 2)
    expected = apply_affine(view[:, None], grid.expand(2, -1, -1))
    inside = (expected.abs() <= 1).all(-1)
    torch.testing.assert_close(actual[inside], expected[inside], atol=1e-6, rtol=0)


@given(SEEDS, st.integers(2, 7))
def test_distances_are_a_metric(seed: int, count: int) -> None:
    result = pairwise_distances(points(seed, count))
    assert torch.equal(result, result.T) and (result.diagonal() == 0).all()
    assert (result[:, :, None] <= result[:, None] + result.T[None] + 1e-12).all()


@given(SEEDS, SIDES, st.sampled_from(sorted(CROPS)), st.integers(1, 60), st.integers(1, 60))
def test_points_come_back_from_a_crop(seed: int, size: int, crop: str, width: int, height: int) -> None:
    box = CROPS[crop](width, height)
    assert box[2] - box[0] == box[3] - box[1] > 0
    given = points(seed, 4).numpy() * 50
    np.testing.assert_allclose(from_crop(to_crop(given, box, size), box, size), given, atol=1e-9)
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    shift = (box[0] + box[2]) - width  # an odd rest lies on one side
    if shift == 0:
        turned = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        difference = resized(turned, size, box).astype(int) - resized(image, size, box)[:, ::-1]
        assert np.abs(difference).max() <= 1  # roundings


def weights(seed: int, count: int) -> Tensor:
    upper = torch.rand(count, count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).triu(1)
    return upper + upper.T


def plain(keypoints: Tensor, connectivity: Tensor, size: int, thickness: float) -> Tensor:
    """The definition, link by link."""
    grid, best = pixel_grid(size).double(), torch.zeros(len(keypoints), size**2, dtype=torch.float64)
    for i in range(keypoints.shape[1]):
        for j in range(i):
            apart = segment_distance(grid, keypoints[:, i, None], keypoints[:, j, None])
            best = torch.maximum(best, connectivity[i, j] * torch.exp(-apart / thickness))
    return best.view(-1, 1, size, size)


LINKS = (SEEDS, st.integers(2, 7), st.integers(2, 16), st.floats(1e-3, 0.3))


@given(*LINKS)
def test_the_link_map_is_its_definition(seed: int, count: int, size: int, thickness: float) -> None:
    keypoints, connectivity = points(seed, 2, count), weights(seed, count)
    result = link_map(keypoints, connectivity, size, thickness)
    torch.testing.assert_close(result, plain(keypoints, connectivity, size, thickness), atol=1e-6, rtol=1e-5)
    assert (result >= 0).all() and (result <= connectivity.max()).all()


@given(*LINKS, st.data())
def test_the_link_map_knows_no_order(seed: int, count: int, size: int, thickness: float, data: st.DataObject) -> None:
    keypoints, connectivity = points(seed, 2, count), weights(seed, count)
    order = data.draw(st.permutations(range(count)))
    result = link_map(keypoints, connectivity, size, thickness)
    shuffled = link_map(keypoints[:, order], connectivity[order][:, order], size, thickness)
    torch.testing.assert_close(shuffled, result, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(link_map(keypoints, connectivity.triu(1), size, thickness), result)  # the upper half
    flipped = link_map(mirror(keypoints), connectivity, size, thickness)
    torch.testing.assert_close(flipped, result.flip(-1), atol=1e-6, rtol=1e-5)


@given(*LINKS)
def test_a_stronger_link_takes_nothing_away(seed: int, count: int, size: int, thickness: float) -> None:
    keypoints, connectivity = points(seed, 2, count), weights(seed, count)
    stronger = connectivity.clone()
    stronger[0, 1] = stronger[1, 0] = 2.0
    before, after = (link_map(keypoints, one, size, thickness) for one in (connectivity, stronger))
    assert (after >= before - 1e-6).all() and after.max() <= 2


@given(SEEDS, st.integers(2, 4))
@settings(max_examples=5)
def test_the_gradient_of_the_link_map_is_that_of_small_steps(seed: int, count: int) -> None:
    keypoints, connectivity = points(seed, 1, count).requires_grad_(), weights(seed, count).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, w: link_map(p, w, 4, 0.2), (keypoints, connectivity), eps=1e-7, atol=1e-4)


def memory(seed: int, banks: int, vectors: int) -> HierarchicalMemory:
    torch.manual_seed(seed)
    sizes = {"encoder_layers": 1, "token_hidden": 4, "decoder_dimension": 4}
    made = HierarchicalMemory(3, banks, vectors, 4, **sizes)  # type: ignore[arg-type]
    made.counts.copy_(torch.rand(banks, vectors) * 5)
    return made


MEMORIES = (SEEDS, st.integers(1, 4), st.integers(1, 6), st.integers(1, 7))


@given(*MEMORIES)
def test_the_vector_taken_is_the_nearest_and_stays_what_it_is(seed: int, banks: int, vectors: int, batch: int) -> None:
    kept = memory(seed, banks, vectors)
    tokens = torch.randn(batch, banks, 4)
    chosen = kept.nearest(tokens)
    away = (tokens[:, :, None] - kept.codebook).norm(dim=-1)
    torch.testing.assert_close(away.gather(2, chosen[..., None])[..., 0], away.amin(-1))
    recalled = kept.look_up(chosen)
    assert torch.equal(kept.look_up(kept.nearest(recalled)), recalled)


@given(*MEMORIES)
def test_an_update_loses_and_invents_nothing(seed: int, banks: int, vectors: int, batch: int) -> None:
    kept = memory(seed, banks, vectors)
    tokens, before, sums = torch.randn(batch, banks, 4), kept.counts.sum(1), kept.sums.sum(1)
    kept.update(tokens, kept.nearest(tokens))
    torch.testing.assert_close(kept.counts.sum(1), 0.9 * before + 0.1 * batch)
    torch.testing.assert_close(kept.sums.sum(1), 0.9 * sums + 0.1 * tokens.sum(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(kept.codebook * kept.counts[..., None], kept.sums, atol=1e-4, rtol=1e-4)


@given(*MEMORIES, st.data())
def test_the_order_of_a_batch_means_nothing(
    seed: int, banks: int, vectors: int, batch: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(batch)))
    poses, result = torch.rand(batch, 3, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1, []
    for some in (poses, poses[order]):
        kept = memory(seed, banks, vectors).train()
        result.append((kept(some), kept))
    (first, one), (second, other) = result
    assert torch.equal(first.assignments[order], second.assignments)
    torch.testing.assert_close(first.keypoints[order], second.keypoints)
    for name, value in one.named_buffers():
        torch.testing.assert_close(value, dict(other.named_buffers())[name], atol=1e-4, rtol=1e-4)
