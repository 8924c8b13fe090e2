"""Drawn poses: the tree of patches, codes and numbers, limbs that keep their length, files."""

from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.geometry.kinematics import euler_rotation
from pplkit.models.mesh.generator import PoseGenerator, _matrices, _numbers, patch_tree

CHAIN = np.eye(5) + np.diag([0.1] * 4, 1) + np.diag([0.1] * 4, -1)  # each patch overlaps the next
RNG = np.random.default_rng(0)


def bent(count: int) -> np.ndarray:
    """Codes (count, 5, 3, 3) of chains that turn at each patch by up to half a radian, stretched by a tenth."""
    turns = euler_rotation(RNG.uniform(-0.5, 0.5, (count, 5, 3)), (0, 1, 2))
    for patch in (1, 2, 3, 4):
        turns[:, patch] = turns[:, patch - 1] @ turns[:, patch]
    return turns @ np.diag([1.1, 1, 1])


def test_the_tree_of_a_chain_starts_in_the_middle() -> None:
    order, parents = patch_tree(CHAIN)
    assert order[0] == 2 and sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert parents.tolist() == [1, 2, 2, 2, 3]


def test_patches_without_overlap_hang_on_the_first() -> None:
    apart = CHAIN.copy()
    apart[4, 3] = apart[3, 4] = 0
    order, parents = patch_tree(apart)
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4] and parents[4] == order[0]


def test_codes_come_back_from_their_numbers() -> None:
    codes, tree = bent(7), patch_tree(CHAIN)
    numbers = _numbers(codes, *tree)
    assert numbers.shape == (7, 5, 9)
    assert _matrices(numbers, *tree) == pytest.approx(codes, abs=1e-12)
    assert numbers[..., 3] == pytest.approx(np.log(1.1))  # the stretch along the first axis


def test_draws_keep_lengths_spread_as_the_codes_and_are_none_of_them() -> None:
    codes = bent(300)
    drawn = PoseGenerator.fitted(codes, CHAIN).draw(300, seed=1)
    lengths = np.linalg.norm(drawn, axis=2)
    assert lengths == pytest.approx(np.broadcast_to([1.1, 1, 1], lengths.shape), abs=0.02)
    assert drawn.std(0) == pytest.approx(codes.std(0), abs=0.12)
    apart = np.abs(drawn[:, None] - codes).mean((2, 3, 4)).min()
    assert apart > 0.01


def test_the_same_seed_gives_the_same_draws_whatever_their_number() -> None:
    generator = PoseGenerator.fitted(bent(20), CHAIN)
    drawn = generator.draw(4, seed=3)
    assert np.array_equal(generator.draw(2, seed=3, first=2), drawn[2:])
    assert not np.array_equal(generator.draw(4, seed=4), drawn)


def test_files_come_back_and_others_are_refused(tmp_path: Path) -> None:
    generator, path = PoseGenerator.fitted(bent(5), CHAIN, crossings=3), tmp_path / "generator.npz"
    generator.write(path)
    back = PoseGenerator.read(path)
    assert np.array_equal(back.draw(2), generator.draw(2)) and back.crossings == 3
    path.write_bytes(b"no archive")
    with pytest.raises(PplkitError, match="holds no distribution of poses: train to the end"):
        PoseGenerator.read(path)
    with pytest.raises(PplkitError, match="train to the end"):
        PoseGenerator.read(tmp_path / "absent.npz")
    with pytest.raises(PplkitError, match="1 poses are no distribution"):
        PoseGenerator.fitted(bent(1), CHAIN)
