"""A clip as a reference of a body, and the clip's joints on the body that followed it."""

import numpy as np
import pytest
from strides import walk

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.inference.imitation.clip import Clip, prepared
from pplkit.inference.imitation.simulated import (
    Followed,
    carried,
    follow,
    follower,
    imitation,
    simulation_of,
    substeps,
)
from pplkit.models.motion.simulation import GRAVITY

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')


@pytest.fixture(scope="module")
def clip() -> Clip:
    return prepared(walk(40))


def still(frames: int = 40, fps: float = 30.0) -> PoseSequence:
    """Somebody who stands, and whose joints have other names and another order."""
    truth = walk(2)
    order = [*range(1, 17), 0]
    names = tuple("hips" if joint == "pelvis" else joint for joint in np.array(truth.skeleton.joints)[order])
    parents = tuple(order.index(truth.skeleton.parents[joint]) if joint else -1 for joint in order)
    points = np.repeat(truth.points[:1, order], frames, axis=0)
    return PoseSequence(points=points, fps=fps, skeleton=Skeleton("own", names, parents), space="world")


def test_a_frame_is_a_control_step_at_any_rate(clip: Clip) -> None:
    assert [substeps(fps) for fps in (25, 30, 50, 120, 500)] == [10, 8, 5, 2, 1]
    simulation = simulation_of(follower(clip, 0.0).reference)
    assert simulation.fps == pytest.approx(30) and simulation.substeps == 8


def test_the_joints_of_a_body_that_follows_exactly_are_those_of_the_clip(clip: Clip) -> None:
    body = follower(clip, 0.0)
    count = len(clip.points)
    exact = Followed(body.reference.qpos, np.zeros(count, bool), np.zeros(count))
    points = carried(exact, body)
    assert points.shape == clip.points.shape
    assert np.linalg.norm(points - clip.points, axis=-1).mean() < 0.01
    bones = np.array([np.linalg.norm(points[:, a] - points[:, b], axis=-1).std() for a, b in clip.skeleton.bones])
    assert np.median(bones) < 1e-9  # within a segment; joints between two may be given to either


def test_soles_stand_on_the_ground_where_feet_do() -> None:
    body = follower(prepared(still()), 0.0)
    names = list(body.reference.body.points)
    toes = body.reference.points[:, [names.index("left toe"), names.index("right toe")], 2]
    assert np.abs(toes.min(1)).max() < 0.02


def test_joints_of_any_skeleton_are_carried() -> None:
    clip = prepared(still())
    body = follower(clip, 0.0)
    followed = follow(body.reference, 100.0)
    assert carried(followed, body).shape == clip.points.shape
    result = imitation(followed, body)
    assert result.numbers["falls"] == 0 and result.numbers["frames_without_a_fall"] == 40
    assert result.numbers["distance_from_clip_mm"] < 100  # its feet are those of a stride


def test_numbers_by_hand(clip: Clip) -> None:
    body = follower(clip, 0.0)
    weight = body.reference.body.mass * GRAVITY
    fallen = np.zeros(40, bool)
    fallen[[10, 25, 26]] = True
    force = np.r_[0.0, np.full(39, 0.25 * weight)]
    numbers = imitation(Followed(body.reference.qpos, fallen, force), body).numbers
    assert numbers["falls"] == 3 and numbers["frames_without_a_fall"] == 10
    assert numbers["force_body_weights"] == pytest.approx(0.25)


def test_after_a_fall_the_body_goes_on_from_the_reference(clip: Clip) -> None:
    reference = follower(clip, 0.0).reference
    followed = follow(reference, 0.0, lambda seen: np.full((len(seen), 34), 3.0, np.float32))
    assert followed.fallen.any() and len(followed.qpos) == len(reference)
    frame = int(followed.fallen.argmax())
    assert np.array_equal(followed.qpos[frame], reference.qpos[frame])


def test_a_body_with_a_zero_bone_is_named() -> None:
    sequence = still()
    joint = sequence.skeleton.joints.index
    points = sequence.points.copy()
    for side in ("left", "right"):
        points[:, joint(f"{side} wrist")] = points[:, joint(f"{side} elbow")]
    broken = PoseSequence(points=points, fps=30, skeleton=sequence.skeleton, space="world")
    with pytest.raises(PplkitError, match="right elbow to right wrist has a length of 0.000"):
        follower(prepared(broken), 0.0)
