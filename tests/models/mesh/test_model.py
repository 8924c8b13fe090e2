"""Models of mesh pose before training: turned poses, other triangulations, pins, landmarks."""

import numpy as np
import pytest
import torch

from data_prep.synthetic.bodies3d import body_poses
from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh
from pplkit.geometry.kinematics import euler_rotation
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh import MeshConfig, PatchModel, Template, build_model

SOURCE = body_poses("humanoid", count=3, seed=5)


def template(data: PosedMesh = SOURCE) -> Template:
    return Template(data.mesh.vertices, data.mesh.faces, data.landmarks)


def patch_model(**settings: object) -> PatchModel:
    model = build_model(MeshConfig().replace(**settings), template())
    assert isinstance(model, PatchModel)
    return model


def error(placed: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance, where the mesh lies as a whole left out."""
    difference = placed - truth
    return float(np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=2).mean())


def test_the_first_weights_already_follow_the_poses() -> None:
    """Of a body 1.7 high; at rest the distance is ten times as large."""
    model = patch_model()
    assert error(model.transfer(SOURCE.poses, template()), SOURCE.poses) < 0.03
    rest = np.broadcast_to(SOURCE.mesh.vertices, SOURCE.poses.shape)
    assert error(rest, SOURCE.poses) > 0.15
    assert model.transfer(rest[:1], template()) == pytest.approx(rest[:1], abs=1e-5)


def test_other_bodies_take_the_poses_as_well() -> None:
    model = patch_model()
    for shape, triangulation in (("average", "turned"), ("tall-thin", "coarse")):
        other = body_poses("humanoid", shape, triangulation, 3, 5)
        placed = model.transfer(SOURCE.poses, template(other))
        assert placed.shape == other.poses.shape and error(placed, other.poses) < 0.04
        assert placed.mean(1) == pytest.approx(np.broadcast_to(other.mesh.vertices.mean(0), (3, 3)), abs=1e-9)


def test_without_landmarks_another_shape_is_off() -> None:
    """So that the warp is known to do something."""
    other = body_poses("humanoid", "short-fat", "coarse", 3, 5)
    with_marks, without = (
        patch_model(landmarks=value).transfer(SOURCE.poses, template(other)) for value in (True, False)
    )
    assert error(with_marks, other.poses) < 0.6 * error(without, other.poses)


def test_a_turned_and_moved_pose_is_given_turned() -> None:
    model = patch_model()
    turn = euler_rotation(np.array([0.4, 2.0, -1.0]), (0, 1, 2))
    turned = model.transfer(SOURCE.poses[:1] @ turn.T + [1, 2, 3], template())
    plain = model.transfer(SOURCE.poses[:1], template())
    assert error(turned, plain @ turn.T) < 1e-4


def test_aligned_patches_are_what_a_solve_of_their_jacobians_gives() -> None:
    model, other = patch_model(), template(body_poses("humanoid", "child", "coarse", 1))
    with torch.no_grad():
        code = model.encode(SOURCE.poses)
        solved = other.solver.solve(model.jacobians(code, other))
        placed = other.normalized(model.apply_code(code, other))
    assert error(solved.numpy(), placed) < 1e-9


def test_pins_hold() -> None:
    model, goal = patch_model(), np.array([0.1, 0.2, 0.3])
    with torch.no_grad():
        placed = model.apply_code(model.encode(SOURCE.poses[:2]), template(), {7: goal})
    assert placed[:, 7] == pytest.approx(np.stack([goal, goal]), abs=1e-9)


@pytest.mark.parametrize("settings", [{"align": False}, {"network": "npr"}])
def test_other_forms_give_finite_meshes(settings: dict[str, object]) -> None:
    model = build_model(MeshConfig().replace(**settings), template()).eval()
    placed = model.transfer(SOURCE.poses[:1], template())
    assert placed.shape == (1, *SOURCE.mesh.vertices.shape) and np.isfinite(placed).all()


def test_what_a_mesh_keeps_follows_the_weights() -> None:
    model, other = patch_model(), template()
    before = model.transfer(SOURCE.poses[:1], other)
    with torch.no_grad():
        model.logits.mul_(0.1)
    assert np.abs(model.transfer(SOURCE.poses[:1], other) - before).max() > 1e-3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(PplkitError, match=r"poses have the shape \(3, 4, 3\): the mesh .* needs \(N, "):
        patch_model().encode(np.zeros((3, 4, 3)))
    body = body_poses("humanoid", count=1)
    other = Template(body.mesh.vertices, body.mesh.faces, Landmarks(("nose",), np.zeros((1, 3))))
    with pytest.raises(PplkitError, match="share no name"):
        patch_model().transfer(SOURCE.poses, other)
    with pytest.raises(PplkitError, match="the source is not the mesh that the model has learned from"):
        patch_model().predict_jacobians(body.mesh.vertices + 1, *([body.mesh.faces] * 4))


def test_jacobians_for_scoring_are_those_of_the_poses() -> None:
    """Through the interface that baselines share: everything in unit boxes."""
    model, ours, theirs = patch_model(), template(), template(body_poses("humanoid", "child", "coarse", 1))
    posed = ours.normalized(SOURCE.poses)
    rests = [value.numpy() for mesh in (ours, theirs) for value in (mesh.vertices, mesh.faces)]
    field = model.predict_jacobians(*rests[:2], posed, *rests[2:], ours.landmarks, theirs.landmarks)
    placed = theirs.normalized(model.transfer(SOURCE.poses, theirs))
    assert error(theirs.solver.solve(field), placed) < 1e-6
