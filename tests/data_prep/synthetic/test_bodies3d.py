"""Bodies with surfaces: closed, on the puppets' skeletons, and exact in every pose."""

import numpy as np
import pytest

from data_prep.synthetic.bodies import BODIES
from data_prep.synthetic.bodies3d import (
    SHAPES,
    TRIANGULATIONS,
    Body3D,
    body3d,
    body_landmarks,
    body_poses,
    random_rotations,
)
from pplkit.core.errors import PplkitError
from pplkit.geometry.kinematics import axis_rotation
from pplkit.geometry.mesh import PoissonSolver, jacobians

KINDS = [(kind, shape) for kind in SHAPES for shape in SHAPES[kind]]


def at_rest(body: Body3D) -> np.ndarray:
    return np.broadcast_to(np.eye(3), (len(body.joints), 3, 3))


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_surfaces_are_closed_and_face_outwards(kind: str, shape: str) -> None:
    for triangulation in ("coarse", "irregular"):
        body = body3d(kind, shape, triangulation)
        directed = np.concatenate([body.faces[:, [i, (i + 1) % 3]] for i in range(3)])
        pairs = {tuple(edge) for edge in directed.tolist()}
        assert len(pairs) == len(directed) and {(b, a) for a, b in pairs} == pairs  # each edge once in each direction
        corners = body.vertices[body.faces]
        assert (np.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum() > 0  # six times the volume
        assert 1000 < len(body.faces) < 4000
        assert body.weights.sum(1) == pytest.approx(1)


def test_triangulations_differ_and_follow_the_same_bones() -> None:
    bodies = [body3d("humanoid", "average", name) for name in TRIANGULATIONS]
    assert len({len(body.vertices) for body in bodies}) == len(bodies)
    lengths = []
    for body in (bodies[0], bodies[2]):
        corners = body.vertices[body.faces]
        lengths.append(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1))
        assert np.array_equal(body.offsets, bodies[0].offsets)
    spreads = [np.std(length) / np.mean(length) for length in lengths]
    assert spreads[1] > 1.2 * spreads[0]


@pytest.mark.parametrize(("kind", "axes", "signs"), [("humanoid", (0, 1), (1, -1)), ("quadruped", (2, 1), (1, -1))])
def test_bones_and_keypoints_are_the_puppets(kind: str, axes: tuple[int, int], signs: tuple[int, int]) -> None:
    """Lengths for all bones; seen as the puppets are, from the front or the side, y down, the trunk lies the same."""
    body, puppet = body3d(kind), BODIES[kind]
    _, joints = body.posed(at_rest(body))
    place = dict(zip(body.joints, joints, strict=True))
    for bone in puppet.bones:
        if not bone.name.endswith(("front_top", "hind_top")):
            assert np.linalg.norm(place[bone.name] - place[bone.parent]) == pytest.approx(bone.length)
    assert [body.joints[number] for number in body.keypoints] == puppet.keypoints
    first, end = ("pelvis", "neck") if kind == "humanoid" else ("rump", "withers")
    angle = np.deg2rad(next(bone.direction for bone in puppet.bones if bone.name == end))
    length = next(bone.length for bone in puppet.bones if bone.name == end)
    seen = (place[end] - place[first])[list(axes)] * signs
    assert seen == pytest.approx(length * np.array([np.sin(angle), np.cos(angle)]), abs=1e-12)


def test_a_bent_elbow_by_hand() -> None:
    """Half a turn about z at the left elbow: the forearm lies over the upper arm, all else stays."""
    body = body3d("humanoid")
    rotations = at_rest(body).copy()
    elbow, wrist = body.joints.index("left_elbow"), body.joints.index("left_wrist")
    rotations[elbow] = axis_rotation(np.array(np.pi), 2)
    vertices, joints = body.posed(rotations)
    rest = body.posed(at_rest(body))[1]
    assert joints[wrist] == pytest.approx(2 * rest[elbow] - rest[wrist])
    assert np.delete(joints, [wrist, wrist + 2], axis=0)[:9] == pytest.approx(
        np.delete(rest, [wrist, wrist + 2], axis=0)[:9]
    )
    share = body.weights[:, [elbow, wrist]].sum(1, keepdims=True)
    assert share.max() > 0.95 and (share < 1e-6).mean() > 0.5
    turned = (body.vertices - rest[elbow]) * [-1, -1, 1] + rest[elbow]
    assert vertices == pytest.approx((1 - share) * body.vertices + share * turned, abs=1e-12)


@pytest.mark.parametrize("kind", SHAPES)
def test_poses_follow_from_the_seed_and_fit_every_shape(kind: str) -> None:
    rotations = random_rotations(kind, 3, seed=1)
    assert np.array_equal(random_rotations(kind, 2, seed=1), rotations[:2])
    assert not np.allclose(rotations, random_rotations(kind, 3, seed=2))
    assert np.linalg.det(rotations) == pytest.approx(1)
    for shape in SHAPES[kind]:
        body = body3d(kind, shape)
        vertices, joints = body.posed(rotations)
        assert vertices.shape == (3, *body.vertices.shape)
        parents = np.array(body.parents[1:])
        lengths = np.linalg.norm(joints[:, 1:] - joints[:, parents], axis=-1)
        assert lengths == pytest.approx(np.broadcast_to(np.linalg.norm(body.offsets[1:], axis=-1), lengths.shape))
        assert body.posed(at_rest(body))[0] == pytest.approx(body.vertices, abs=1e-12)


def test_left_and_right_have_mirrored_ranges() -> None:
    """The mean of many poses is as good as symmetric."""
    for kind, left, right in (
        ("humanoid", "left_elbow", "right_elbow"),
        ("quadruped", "far_front_knee", "near_front_knee"),
    ):
        body, rotations = body3d(kind), random_rotations(kind, 400)
        _, joints = body.posed(rotations)
        a, b = joints[:, body.joints.index(left)], joints[:, body.joints.index(right)] * [-1, 1, 1]
        assert a.mean(0) == pytest.approx(b.mean(0), abs=0.05) and np.abs(a).mean() > 0.1


def test_poses_come_back_from_their_jacobians() -> None:
    body = body3d("quadruped", "low-long")
    posed = body.posed(random_rotations("quadruped", 4))[0]
    posed -= posed.mean(1, keepdims=True)
    solved = PoissonSolver(body.vertices, body.faces).solve(jacobians(body.vertices, body.faces, posed))
    assert np.abs(solved - posed).max() < 1e-12


@pytest.mark.parametrize("kind", SHAPES)
def test_landmarks_are_joints_in_a_tree(kind: str) -> None:
    body = body3d(kind)
    landmarks, other = body_landmarks(body), body_landmarks(body3d(kind, list(SHAPES[kind])[1]))
    assert landmarks.names == other.names and landmarks.bones == other.bones
    ends = [b for _, b in landmarks.bones]
    assert sorted(ends) == list(range(1, len(landmarks.names)))  # all but the root end one bone
    starts, stops = (landmarks.points[list(side)] for side in zip(*landmarks.bones, strict=True))
    assert np.linalg.norm(stops - starts, axis=1).min() > 0.02
    named = {BODIES[kind].keypoints[number] for number in range(len(BODIES[kind].keypoints))}
    assert named - {"left_eye", "right_eye", "face"} <= set(landmarks.names)


def test_poses_of_bodies_are_each_others_ground_truth() -> None:
    first, second = body_poses("humanoid", count=2, seed=7), body_poses("humanoid", "child", "turned", 3, 7)
    rotations = random_rotations("humanoid", 2, 7)
    assert np.array_equal(first.poses, body3d("humanoid").posed(rotations)[0])
    assert np.array_equal(second.poses[:2], body3d("humanoid", "child", "turned").posed(rotations)[0])
    assert len(first.mesh.faces) == len(body3d("humanoid").faces) and second.landmarks is not None


def test_unknown_bodies_are_refused() -> None:
    with pytest.raises(
        PplkitError, match="there is no body 'humanoids': perhaps 'humanoid' is meant; else choose one of"
    ):
        body3d("humanoids")
    with pytest.raises(PplkitError, match="there is no body 'fat': choose one of average"):
        body3d("quadruped", "fat")
