"""Poses given to other meshes: exact where the target is the source in other axes, units and vertices."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from solids import bent, joined, sheet, torus

from data_prep.synthetic.bodies3d import body_poses
from pplkit.core.errors import PplkitError
from pplkit.data.gltf_frames import read_morph_frames
from pplkit.data.mesh_writers import write_obj
from pplkit.data.meshes import Mesh, read_mesh
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.inference.mesh_transfer import transfer_pose
from pplkit.models.mesh import MeshConfig
from pplkit.training import train_mesh

REST, FACES = torus()
RING = Mesh(REST, FACES, "rest.obj")
UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
POSES = np.stack([bent(REST) + [0.3, 0, 0], REST + [0, 1, 0]])


def test_the_source_in_other_axes_and_units_takes_the_same_poses() -> None:
    body = body_poses("quadruped", count=3)
    target = Mesh(100 * body.mesh.vertices @ UP + [1, 2, 3], body.mesh.faces[::-1], "target.obj")
    posed = transfer_pose("nearest-face", body.mesh, body.poses, target)
    assert posed.poses == pytest.approx(100 * body.poses @ UP + [1, 2, 3], abs=1e-8)
    assert posed.mesh is target and any("x, -z, y" in note for note in posed.notes)


def test_another_body_takes_the_poses_better_with_landmarks() -> None:
    bodies = (("average", "coarse"), ("child", "turned"))
    source, target = (body_poses("humanoid", shape, grid, count=3) for shape, grid in bodies)
    marks = source.landmarks, target.landmarks
    errors = []
    for landmarks in (None, marks):
        posed = transfer_pose("nearest-face", source.mesh, source.poses, target.mesh, landmarks).poses  # type: ignore[arg-type]
        difference = posed - target.poses
        errors.append(np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=2).mean())
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.01 * target.mesh.height


def test_two_components_and_split_vertices_stay_together() -> None:
    points, faces = joined(torus(), torus(), shift=0.9)
    split = Mesh(np.concatenate([points, points]), np.concatenate([faces[::2], faces[1::2] + len(points)]), "split.obj")
    posed = transfer_pose("nearest-face", Mesh(points, faces), 2 * points @ UP / 2, split, turn="x,y,z")
    assert posed.poses[0, : len(points)] == pytest.approx(posed.poses[0, len(points) :])
    difference = posed.poses[0] - split.vertices @ UP
    assert difference == pytest.approx(np.broadcast_to(difference.mean(0), difference.shape), abs=1e-9)
    assert any("vertices lie where others do and move with them" in note for note in posed.notes)


def test_pins_hold_in_the_axes_and_unit_of_the_target() -> None:
    target = Mesh(100 * REST @ UP, FACES, "target.obj")
    free = transfer_pose("nearest-face", RING, POSES, target, turn="x,-z,y").poses
    goals = {5: free[:, 5] + [0, 0, 4], 40: free[:, 40]}  # one is drawn away by 5 % of the height, one stays
    misses = []
    for stiffness in (1.0, 10.0, np.inf):
        held = transfer_pose("nearest-face", RING, POSES, target, turn="x,-z,y", pins=goals, stiffness=stiffness).poses
        misses.append(max(np.linalg.norm(held[:, vertex] - goal, axis=1).max() for vertex, goal in goals.items()))
    assert 2 > misses[0] > 2 * misses[1] > 0.01 and misses[2] < 1e-9
    alone = transfer_pose("nearest-face", RING, POSES, target, turn="x,-z,y", pins={5: [1, 2, 3]}).poses
    assert alone[:, 5] == pytest.approx(np.array([[1, 2, 3]] * 2)) and alone - alone[:, :1] == pytest.approx(
        free - free[:, :1]
    )
    wrong = {84: [0, 0, 0]}, {1: [0, 0]}, {1: [np.nan] * 3}
    for pins, words in zip(wrong, ("vertex 84 of target.obj: it has 0 to 83", "shape", "finite"), strict=True):
        with pytest.raises(PplkitError, match=words):
            transfer_pose("nearest-face", RING, POSES, target, pins=pins)


def test_what_stands_on_the_ground_stays_there() -> None:
    """A sheet on edge whose lower edge stands while the rest leans; the target is half as high."""
    points, faces = sheet()
    rest = points[:, [0, 1, 2]] * [1, 1, 0]
    lean = rest + np.stack([(rest[:, 1] + 0.5) * shift for shift in (0.1, 0.3)])[..., None] * [0, 0, 1]
    short = Mesh(rest * [1, 0.5, 1] + [0, 2, 0], faces, "short.obj")
    free, held = (
        transfer_pose("nearest-face", Mesh(rest, faces), lean, short, turn="x,y,z", ground=g) for g in ("", "y")
    )
    low = short.vertices[:, 1] < short.vertices[:, 1].min() + 1e-6
    slid, kept = (np.abs(posed.poses[1, low] - posed.poses[0, low]).max() for posed in (free, held))
    assert kept < 0.25 * slid and np.abs(held.poses[:, low, 1] - short.vertices[low, 1]).max() < 0.01
    flying = transfer_pose("nearest-face", Mesh(rest, faces), lean + [0, 1, 0], short, turn="x,y,z", ground="y")
    assert "Nothing of the mesh is as low as" in flying.notes[-1]
    with pytest.raises(PplkitError, match="ground is 'up': name the source's upward axis"):
        transfer_pose("nearest-face", RING, POSES, RING, ground="up")


def test_files_keep_their_polygons_and_sequences_can_be_one_file(tmp_path: Path) -> None:
    text = "mtllib a.mtl\nv 0 0 0 0.5 0.5 0.5\nv 1 0 0\nv 1 1 0\nv 0 1 0.5\nvt 0 0\nvn 0 0 1\nusemtl skin\n"
    (tmp_path / "quad.obj").write_text(f"{text}f 1/1/1 2/1/1 3//1 4\n")
    mesh = read_mesh(tmp_path / "quad.obj")
    posed = transfer_pose("nearest-face", mesh, [2 * mesh.vertices][0], tmp_path / "quad.obj", turn="x,y,z")
    (file,) = posed.save(tmp_path / "posed", ["a"])
    lines = file.read_text().splitlines()
    assert file.name == "a.obj" and lines[-1] == "f 1/1 2/1 3 4" and lines[-2] == "usemtl skin"
    assert lines[1].endswith(" 0.5 0.5 0.5") and read_mesh(file).vertices == pytest.approx(posed.poses[0], abs=1e-12)
    for path, folder in ((tmp_path, "holds the target itself"), (tmp_path / "x.glb", "")):
        if folder:
            with pytest.raises(PplkitError, match=folder):
                posed.save(path, ["quad"])
        else:
            assert len(trimesh.load_scene(posed.save(path)[0]).geometry) == 1
    arrays = transfer_pose("nearest-face", RING, POSES, Mesh(REST, FACES))
    files = arrays.save(tmp_path / "rings")
    assert [file.name for file in files] == ["00000.obj", "00001.obj"]
    assert read_mesh(files[1]).faces.tolist() == FACES.tolist()


def test_a_trained_model_gives_its_source_s_poses_to_other_bodies(tmp_path: Path) -> None:
    source, target = body_poses("humanoid", count=6), body_poses("humanoid", "child", "turned", count=6)
    settings = MeshConfig.preset("mesh-small").replace(patches=40, batch_size=2, steps=4)
    train_mesh(settings, source, tmp_path / "run", device="cpu", bar=False, threads=1)
    goal = Mesh(100 * target.mesh.vertices @ UP, target.mesh.faces, "target.obj")
    marks = target.landmarks
    assert marks is not None and source.landmarks is not None
    there = Landmarks(marks.names, 100 * marks.points @ UP, marks.bones)
    for landmarks, largest in (((source.landmarks, there), 0.04), (None, 0.1)):
        posed = transfer_pose(tmp_path / "run", source.mesh, source.poses, goal, landmarks, turn="x,-z,y").poses
        difference = posed - 100 * target.poses @ UP
        distances = np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=2)
        assert distances.mean() < largest * goal.height
    with pytest.raises(PplkitError, match="the source is not the mesh that the model has learned from"):
        transfer_pose(tmp_path / "run", RING, POSES, RING, turn="x,y,z")


def test_unknown_runs_are_answered_with_what_there_is(tmp_path: Path) -> None:
    write_obj(tmp_path / "a.obj", REST, FACES)
    with pytest.raises(PplkitError, match=r"there is no run 'nearest_face': perhaps 'nearest-face' is meant"):
        transfer_pose("nearest_face", RING, POSES, RING)


def test_gltf_is_y_up_and_in_meters(tmp_path: Path) -> None:
    """From a target with z up, in centimeters; one that came from glTF stays as it is."""
    body = body_poses("humanoid", count=2)
    target = Mesh(100 * body.mesh.vertices @ UP, body.mesh.faces, "target.obj")
    posed = transfer_pose("nearest-face", body.mesh, body.poses, target)
    assert posed.poses == pytest.approx(100 * body.poses @ UP, abs=1e-8)
    for answer in (posed, transfer_pose("nearest-face", body.mesh, body.poses, target, ground="y", up="z")):
        (rest, poses), frames = answer.upright(), read_morph_frames(answer.save(tmp_path / "posed.glb")[0])
        assert rest == pytest.approx(body.mesh.vertices) and poses == pytest.approx(body.poses)
        assert frames is not None and frames[2] == pytest.approx(body.poses, abs=1e-5)
    grounded = transfer_pose("nearest-face", body.mesh, body.poses, target, ground="y", turn="x,-z,y")
    assert grounded.up == "z"
    same = transfer_pose("nearest-face", body.mesh, body.poses, Mesh(target.vertices, target.faces, "target.glb"))
    assert np.array_equal(same.upright()[1], same.poses)
    with pytest.raises(PplkitError, match="up is 'down': name the target's upward axis, x, -x, y, -y, z, -z"):
        transfer_pose("nearest-face", body.mesh, body.poses, target, up="down")


def test_only_a_trained_model_can_be_refined() -> None:
    for steps in (5, -1):
        with pytest.raises(PplkitError, match=f"refine={steps}: give a number of steps, and the run folder"):
            transfer_pose("nearest-face", RING, POSES, RING, refine=steps)


def test_what_came_out_is_said_in_two_lines() -> None:
    posed = transfer_pose("nearest-face", RING, POSES, RING)
    first, second = repr(posed).splitlines()
    assert first == "Mesh rest.obj: 84 vertices, 168 triangles in 2 poses" and second.startswith("  .poses (2, 84, 3)")
