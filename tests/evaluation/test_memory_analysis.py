"""The memory analyzed: assignments, codebook usage, what a bank controls, typical poses."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pplkit.evaluation import memory_analysis
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=["all", "used"])
def model(request: pytest.FixtureRequest) -> PosePriorLearner:
    torch.manual_seed(0)
    model = PosePriorLearner(Config().smoke().replace(prior_from=request.param))
    model.memory.counts.copy_(torch.rand_like(model.memory.counts))
    return model.eval()


def root_mean_square(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().sum(-1).mean().sqrt())


def test_usage_by_hand() -> None:
    index = np.array([[0, 2], [0, 1], [1, 1], [0, 1]])
    assert memory_analysis.codebook_usage(index, 3).tolist() == [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25]]


def test_dead_codes_by_hand(model: PosePriorLearner) -> None:
    """Four assignments that agree in all of four banks but one, which they share 3 to 1: 5 of 32 vectors are used."""
    index = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 3], [0, 1, 2, 3]])
    dead = memory_analysis.dead_codes(model, index)
    codebook, decode = model.memory.codebook, model.memory.decode
    last = ((codebook[3, 3] + codebook[3, 4]) / 2, 0.75 * codebook[3, 3] + 0.25 * codebook[3, 4])
    used = torch.stack((codebook[0, 0], codebook[1, 1], codebook[2, 2]))
    without, weighted = (decode(torch.cat((used, vector[None]))[None]) for vector in last)
    shift, usage_shift = root_mean_square(decode(codebook.mean(1)[None]), without), root_mean_square(weighted, without)
    assert dead == (27 / 32, pytest.approx(shift, rel=1e-4), pytest.approx(usage_shift, rel=1e-4))
    assert min(shift, usage_shift) > 1e-3
    even = np.arange(8)[:, None].repeat(4, axis=1)
    assert memory_analysis.dead_codes(model, even) == pytest.approx((0, 0, 0), abs=1e-5)


def test_the_offset_of_the_prior_from_the_mean_pose(model: PosePriorLearner) -> None:
    """T as the model distils it, moved by (3, 4): 5 from it, whatever the spread of the poses."""
    prior, rule = model.prior().keypoints, model.config.prior_from
    spread = np.random.default_rng(0).normal(size=(6, *prior.shape)).astype(np.float32)
    offsets = memory_analysis.prior_offsets(model, prior + np.float32([3, 4]) + spread - spread.mean(0))
    assert offsets.pop(rule) == pytest.approx(5, rel=1e-4)
    assert offsets == {"used" if rule == "all" else "all": pytest.approx(5, abs=4)}
    assert list(offsets.values())[0] != pytest.approx(5, rel=1e-4)


def test_the_part_of_the_prior_by_hand() -> None:
    """Two images, one keypoint at (2, 0): A T moves by 2 * 0.3 along x, b by 0.8 along y, both halved by the mean."""
    prior = np.array([[2.0, 0.0]])
    affine = np.zeros((2, 1, 2, 3))
    affine[1, 0, 0, 0], affine[1, 0, 1, 2] = 0.3, 0.8
    fraction = memory_analysis.deformation_fraction
    assert fraction(affine, prior) == pytest.approx(0.6 / np.hypot(0.6, 0.8))
    assert fraction(affine, 0 * prior) == fraction(affine[:1], prior) == 0
    affine[..., 2] = 7  # the same in all images
    assert fraction(affine, prior) == 1


def test_the_part_of_the_prior_is_that_of_the_models_maps(model: PosePriorLearner) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    _, affine, _, keypoints = model.regress(model.prepare(images))
    parts = keypoints - affine[..., 2], affine[..., 2]  # A T and b
    changes = [float((part - part.mean(0)).square().mean()) for part in parts]
    fraction = memory_analysis.prior_fraction(model, images, batch_size=2)
    assert 0 < fraction < 1 and fraction == pytest.approx((changes[0] / sum(changes)) ** 0.5, rel=1e-2)


def test_assignments_and_reconstructions_are_the_memorys(model: PosePriorLearner) -> None:
    poses = np.random.default_rng(0).normal(size=(5, 16, 2)).astype(np.float32)
    expected = model.memory(torch.from_numpy(poses))
    assert memory_analysis.assign(model, poses).tolist() == expected.assignments.tolist()
    assert memory_analysis.assign(model, poses[:0]).shape == (0, 4)
    np.testing.assert_allclose(memory_analysis.reconstruct(model, poses), expected.keypoints, atol=1e-5)


def test_a_bank_whose_vectors_are_all_its_mean_gives_the_prior(
    model: PosePriorLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    codebook = model.memory.codebook.clone()
    usage = model.memory.usage() if model.config.prior_from == "used" else torch.full((4, 8), 1 / 8)
    codebook[2] = (usage[2, :, None] * codebook[2]).sum(0)
    monkeypatch.setitem(model.memory._buffers, "codebook", codebook)
    poses = memory_analysis.bank_poses(model, 2)
    assert poses.shape == (8, 16, 2) and np.allclose(poses, model.prior().keypoints, atol=1e-4)
    assert not np.allclose(memory_analysis.bank_poses(model, 1), model.prior().keypoints, atol=1e-2)


def test_the_reach_of_a_bank_by_hand() -> None:
    """Two vectors of equal usage move one of two keypoints by 0.4: 0.2 from the middle, mean over two points."""
    poses = np.zeros((3, 2, 2))
    poses[1, 0, 0], poses[2] = 0.4, 100  # the last is not used
    assert memory_analysis.bank_reach(poses, np.array([0.5, 0.5, 0.0])) == pytest.approx(np.sqrt(0.2**2 / 2))


def test_prototypes_are_poses_that_the_memory_gives(model: PosePriorLearner) -> None:
    index = np.random.default_rng(0).integers(0, 8, (40, 4))
    typical = memory_analysis.prototypes(model, index, 5)
    assert len(typical.keypoints) == len(typical.fractions) == len(typical.images) <= 5
    assert typical.fractions.sum() == pytest.approx(1) and (np.diff(typical.fractions) <= 0).all()
    tokens = model.memory.look_up(torch.from_numpy(index[typical.images]))
    np.testing.assert_allclose(typical.keypoints, model.memory.decode(tokens), atol=1e-6)


def test_two_kinds_of_image_have_two_prototypes_with_their_fractions(model: PosePriorLearner) -> None:
    typical = memory_analysis.prototypes(model, np.array([[0, 0, 0, 0]] * 3 + [[5, 5, 5, 5]]), 8)
    assert (typical.fractions.tolist(), typical.images.tolist()) == ([0.75, 0.25], [0, 3])


def test_initial_centers_by_hand() -> None:
    """The mean is 3.86: 5.0 is nearest. Farthest from it is 0.0, then 9.0."""
    flat = np.array([[0.0], [0.1], [5.0], [5.2], [9.0]])
    assert memory_analysis._initial_centers(flat, np.ones(5), 3).ravel().tolist() == [5.0, 0.0, 9.0]


@pytest.mark.parametrize(
    ("places", "index", "distance", "expected"),
    [
        ([0.3, 0.3, 0.3], [0, 1, 2, 2], 0.05, (3, 1)),  # other vectors, the same pose
        ([0.3], [0, 0], 0.05, (1, 1)),
        ([-0.6, 0.0, 0.6, 0.3], [0, 1, 2, 3, 3], 0.05, (4, 4)),
        ([0.0, 0.12, 0.24, 0.5], [0, 1, 2], 0.05, (3, 1)),  # 0.12 is 0.048 sides from both its neighbours
        ([0.0, 0.13, 0.26, 0.5], [0, 1, 2], 0.05, (3, 3)),  # and 0.13 is 0.052
        ([0.0, 0.13, 0.26, 0.5], [0, 1, 2], 0.06, (3, 1)),
    ],
)
def test_distinct_poses_by_hand(
    places: list[float], index: list[int], distance: float, expected: tuple[int, int]
) -> None:
    """Vector k of one bank: two keypoints at (places[k], 0), in images of 5 pixels, with 0.4 image sides to a unit."""
    poses = torch.zeros(len(places), 2, 2)
    poses[..., 0] = torch.tensor(places)[:, None]
    memory = SimpleNamespace(look_up=lambda index: index, decode=lambda tokens: poses[tokens[:, 0]])
    stub: Any = SimpleNamespace(memory=memory, alpha=torch.ones(()), config=SimpleNamespace(image_size=5))
    assert memory_analysis.count_distinct_poses(stub, np.array(index)[:, None], distance) == expected


def test_the_nearest_prototype_by_hand() -> None:
    typical = Prototypes(np.array([[[0.0, 0], [1, 0]], [[0, 0], [0, 1]]]), np.array([0.6, 0.4]), np.arange(2))
    poses = np.array([[[0.0, 0], [0.1, 0.9]], [[0.0, 0], [0.6, 0.5]], [[0, 5.0], [0, 1]]])
    assert memory_analysis.nearest_prototypes(typical, poses).tolist() == [1, 0, 1]
