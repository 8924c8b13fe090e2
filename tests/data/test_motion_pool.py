"""Windows of whole motions: their bodies, speeds and seeds."""

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.motion_pool import MotionPool
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.geometry.plausibility import bone_lengths
from pplkit.models.motion.random_walks import random_walks


def motions(count: int = 3, frames: int = 40, fps: float = 30.0, space: str = "world") -> list[PoseSequence]:
    walks = random_walks(0, count, frames, fps)
    return [PoseSequence(points=points, fps=fps, skeleton=H36M17, space=space) for points in walks]


def test_pairs_follow_from_the_seed_and_project_onto_their_keypoints() -> None:
    pool = MotionPool(motions(), noise=0.0)
    batch = pool(5, 4, 27)
    assert batch.positions.shape == (4, 27, 17, 3)
    np.testing.assert_array_equal(batch.keypoints, pool(5, 4, 27).keypoints)
    assert np.abs(batch.keypoints - pool(6, 4, 27).keypoints).max() > 0.01
    flat = batch.focal_length[:, None, None, None] * batch.positions[..., :2] / batch.positions[..., 2:]
    np.testing.assert_allclose(batch.keypoints, flat, atol=1e-5)


def test_bodies_differ_by_one_factor_a_bone_and_are_symmetric() -> None:
    pool = MotionPool(motions())
    plain = pool.windows(0, 6, 27, 30.0)
    other = pool.other_bodies(np.random.default_rng(0), plain)
    for before, after in zip(plain, other, strict=True):
        ratio = bone_lengths(after.astype(float), H36M17.bones) / bone_lengths(before.astype(float), H36M17.bones)
        assert ratio.std(0).max() < 1e-4 and ratio.mean(0).std() > 0.01
        joints = [child for _, child in H36M17.bones]
        for left, right in H36M17.flip_pairs:
            one, two = ratio.mean(0)[joints.index(left)], ratio.mean(0)[joints.index(right)]
            assert one == pytest.approx(two, rel=1e-4)
    none = MotionPool(motions(), body=0, bone=0)
    np.testing.assert_allclose(none.other_bodies(np.random.default_rng(0), plain), plain, atol=1e-5)


def test_twice_the_frame_rate_halves_the_steps() -> None:
    pool = MotionPool(motions(1, 60))
    speeds = [np.linalg.norm(np.diff(pool.windows(1, 16, 20, fps), axis=1), axis=-1).mean() for fps in (30.0, 60.0)]
    assert speeds[1] == pytest.approx(speeds[0] / 2, rel=0.1)


def test_short_motions_are_extended_by_their_last_frame() -> None:
    window = MotionPool(motions(1, 5)).windows(0, 1, 20, 30.0)[0]
    np.testing.assert_array_equal(window[5:], np.broadcast_to(window[-1], window[5:].shape))


def test_what_cannot_be_learned_from_gives_one_sentence() -> None:
    with pytest.raises(PplkitError, match="no motion to learn from"):
        MotionPool([])
    with pytest.raises(PplkitError, match="frames a second"):
        MotionPool([*motions(), *motions(fps=25.0)])
    with pytest.raises(PplkitError, match="world space"):
        MotionPool(motions(space="camera"))
    broken = motions(1)[0]
    broken.points[3, 4] = np.nan
    with pytest.raises(PplkitError, match="complete it first"):
        MotionPool([broken])
