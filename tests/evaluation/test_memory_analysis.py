"""The memory read out: look-ups, usage, what a bank controls, typical poses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pplkit.evaluation import memory_analysis as prototypes
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner


@pytest.fixture(scope="module", params=["all", "used"])
def model(request: pytest.FixtureRequest) -> PosePriorLearner:
    torch.manual_seed(0)
    model = PosePriorLearner(Config().smoke().replace(prior_from=request.param))
    model.memory.counts.copy_(torch.rand_like(model.memory.counts))
    return model.eval()


def test_usage_by_hand() -> None:
    index = np.array([[0, 2], [0, 1], [1, 1], [0, 1]])
    assert prototypes.usage(index, 3).tolist() == [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25]]


def test_unused_vectors_by_hand(model: PosePriorLearner) -> None:
    """Four look-ups that agree in all of four banks but one, which they share 3 to 1: 5 of 32 vectors are taken."""
    index = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 3], [0, 1, 2, 3]])
    found = prototypes.unused(model, index)
    assert found.share == 27 / 32
    codebook = model.memory.codebook
    three, four = codebook[3, 3], codebook[3, 4]
    decoded = []
    for last in ((three + four) / 2, 0.75 * three + 0.25 * four):
        with torch.no_grad():
            means = torch.stack((codebook[0, 0], codebook[1, 1], codebook[2, 2], last))
            decoded.append(model.memory.decode(means[None])[0].numpy())
    with torch.no_grad():
        everything = model.memory.decode(codebook.mean(1)[None])[0].numpy()
    for value, other in ((found.shift, everything), (found.uneven, decoded[1])):
        expected = np.sqrt(np.square(decoded[0] - other).sum(1).mean())
        assert expected > 1e-3 and value == pytest.approx(expected, rel=1e-4)


def test_vectors_that_are_all_taken_alike_move_nothing(model: PosePriorLearner) -> None:
    index = np.arange(8)[:, None].repeat(4, axis=1)
    assert prototypes.unused(model, index) == pytest.approx((0, 0, 0), abs=1e-5)


def test_the_offset_of_the_prior_from_the_mean_pose(model: PosePriorLearner) -> None:
    """T as the model distils it, moved by (3, 4): 5 from it, whatever the spread of the poses."""
    prior = model.prior().keypoints
    spread = np.random.default_rng(0).normal(size=(6, *prior.shape)).astype(np.float32)
    found = prototypes.prior_offsets(model, prior + np.float32([3, 4]) + spread - spread.mean(0))
    assert set(found) == {"all", "used"} and found[model.config.prior_from] == pytest.approx(5, rel=1e-4)
    other = "used" if model.config.prior_from == "all" else "all"
    assert found[other] != pytest.approx(5, rel=1e-4)


def test_the_part_of_the_prior_by_hand() -> None:
    """Two images, one keypoint at (2, 0): A T moves by 2 * 0.3 along x, b by 0.8 along y, both halved by the mean."""
    prior = np.array([[2.0, 0.0]])
    affine = np.zeros((2, 1, 2, 3))
    affine[1, 0, 0, 0], affine[1, 0, 1, 2] = 0.3, 0.8
    assert prototypes.bent_share(affine, prior) == pytest.approx(0.6 / np.hypot(0.6, 0.8))
    assert prototypes.bent_share(affine, 0 * prior) == 0
    affine[..., 2] = 7  # the same in all images
    assert prototypes.bent_share(affine, prior) == 1
    assert prototypes.bent_share(affine[:1], prior) == 0


def test_the_part_of_the_prior_is_that_of_the_models_maps(model: PosePriorLearner) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        prior, affine, _, keypoints = model.regress(model.prepare(images))
    share = prototypes.prior_share(model, images, batch_size=2)
    assert 0 < share < 1 and share == pytest.approx(prototypes.bent_share(affine.numpy(), prior.numpy()), rel=1e-2)
    moved = keypoints - affine[..., 2]  # A T
    changes = [float((part - part.mean(0)).square().mean()) for part in (moved, affine[..., 2])]
    assert share == pytest.approx((changes[0] / sum(changes)) ** 0.5, rel=1e-2)


def test_what_is_taken_is_what_the_memory_takes(model: PosePriorLearner) -> None:
    poses = np.random.default_rng(0).normal(size=(5, 16, 2)).astype(np.float32)
    with torch.no_grad():
        expected = model.memory(torch.from_numpy(poses)).assignments
    assert prototypes.taken(model, poses).tolist() == expected.tolist()
    assert prototypes.taken(model, poses[:0]).shape == (0, 4)


def test_a_bank_whose_vectors_are_all_its_mean_gives_the_prior(model: PosePriorLearner) -> None:
    before = model.memory.codebook.clone()
    try:
        usage = model.memory.usage() if model.config.prior_from == "used" else torch.full((4, 8), 1 / 8)
        mean = (usage[..., None] * before).sum(1)
        model.memory.codebook[2] = mean[2]
        poses = prototypes.bank_poses(model, 2)
        assert poses.shape == (8, 16, 2)
        assert np.allclose(poses, model.prior().keypoints, atol=1e-4)
        assert not np.allclose(prototypes.bank_poses(model, 1), model.prior().keypoints, atol=1e-2)
    finally:
        model.memory.codebook.copy_(before)


def test_the_reach_of_a_bank_by_hand() -> None:
    # Two vectors of equal share move one of two keypoints by 0.4 along x: 0.2 from the middle, mean over two points.
    poses = np.zeros((3, 2, 2))
    poses[1, 0, 0] = 0.4
    poses[2] = 100  # unused
    assert prototypes.bank_reach(poses, np.array([0.5, 0.5, 0.0])) == pytest.approx(np.sqrt(0.2**2 / 2))


def test_prototypes_are_poses_that_the_memory_gives(model: PosePriorLearner) -> None:
    index = np.random.default_rng(0).integers(0, 8, (40, 4))
    found = prototypes.prototypes(model, index, 5)
    assert len(found.keypoints) == len(found.shares) == len(found.images) <= 5
    assert found.shares.sum() == pytest.approx(1)
    assert (np.diff(found.shares) <= 0).all()
    with torch.no_grad():
        rows = model.memory.look_up(torch.from_numpy(index[found.images]))
        assert np.allclose(found.keypoints, model.memory.decode(rows).numpy(), atol=1e-6)


def test_two_kinds_of_image_have_two_prototypes_with_their_shares(model: PosePriorLearner) -> None:
    index = np.array([[0, 0, 0, 0]] * 3 + [[5, 5, 5, 5]])
    found = prototypes.prototypes(model, index, 8)
    assert found.shares.tolist() == [0.75, 0.25]
    assert found.images.tolist() == [0, 3]


def test_groups_are_told_apart() -> None:
    flat = np.array([[0.0], [0.1], [5.0], [5.2], [9.0]])
    centres = prototypes._spread_out(flat, np.ones(5), 3)
    # The mean is 3.86: 5.0 is nearest. Farthest from it is 0.0, then 9.0.
    assert centres.ravel().tolist() == [5.0, 0.0, 9.0]


class Lying:
    """Stands in for a memory of one bank: vector k decodes to row k of `poses`."""

    def __init__(self, poses: np.ndarray) -> None:
        self.poses = torch.from_numpy(poses.astype(np.float32))

    def look_up(self, index: torch.Tensor) -> torch.Tensor:
        return index

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.poses[tokens[:, 0]]


def counted(places: list[float], index: list[int], apart: float = 0.05) -> tuple[int, int]:
    """Poses of two keypoints that lie at (x, 0), in images of 5 pixels: one [-1, 1] unit is 0.4 image sides."""
    poses = np.zeros((len(places), 2, 2))
    poses[..., 0] = np.array(places)[:, None]
    stub = SimpleNamespace(memory=Lying(poses), alpha=torch.ones(()), config=SimpleNamespace(image_size=5))
    return prototypes.distinct(stub, np.array(index)[:, None], apart)  # type: ignore[arg-type]


def test_distinct_poses_by_hand() -> None:
    assert counted([0.3, 0.3, 0.3], [0, 1, 2, 2]) == (3, 1)  # other vectors, the same pose
    assert counted([0.3], [0, 0]) == (1, 1)
    assert counted([-0.6, 0.0, 0.6, 0.3], [0, 1, 2, 3, 3]) == (4, 4)
    assert counted([0.0, 0.12, 0.24, 0.5], [0, 1, 2]) == (3, 1)  # 0.12 is 0.048 sides from both its neighbours
    assert counted([0.0, 0.13, 0.26, 0.5], [0, 1, 2]) == (3, 3)  # and 0.13 is 0.052
    assert counted([0.0, 0.13, 0.26, 0.5], [0, 1, 2], apart=0.06) == (3, 1)


def test_the_nearest_prototype_by_hand() -> None:
    kept = prototypes.Prototypes(np.array([[[0.0, 0], [1, 0]], [[0, 0], [0, 1]]]), np.array([0.6, 0.4]), np.arange(2))
    poses = np.array([[[0.0, 0], [0.1, 0.9]], [[0.0, 0], [0.6, 0.5]], [[0, 5.0], [0, 1]]])
    assert prototypes.nearest_to(kept, poses).tolist() == [1, 0, 1]


def test_what_is_recalled_is_what_the_memory_recalls(model: PosePriorLearner) -> None:
    poses = np.random.default_rng(0).normal(size=(5, 16, 2)).astype(np.float32)
    with torch.no_grad():
        expected = model.memory(torch.from_numpy(poses)).keypoints
    np.testing.assert_allclose(prototypes.recalled(model, poses), expected.numpy(), atol=1e-5)
