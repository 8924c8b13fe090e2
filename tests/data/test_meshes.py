"""Mesh files: what is read from each format, and one sentence for each kind of broken file."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from broken_meshes import BROKEN, CORNERS
from solids import bent, joined, sheet, torus

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_writers import write_obj, write_obj_series
from pplkit.data.meshes import Mesh, read_anime, read_mesh, read_sequence


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_obj_keeps_positions_and_cuts_polygons(tmp_path: Path) -> None:
    """Two objects, texture seams, numbers from the end, a quad, a pentagon, and a vertex without a face."""
    content = f"# a comment\no first\n{CORNERS}vt 0 0\nvt 1 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/1/1 4/2/1\no second\n"
    mesh = read_mesh(text(tmp_path / "a.obj", content + "usemtl x\nf -6//1 -5//1 -4//1 -2//1 -3//1\n"))
    assert mesh.vertices.tolist()[4:] == [[0.5, 2, 0], [9, 9, 9]] and len(mesh.vertices) == 6
    # The triangle 0 1 2 comes twice.
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 4], [0, 4, 3]]
    assert mesh.repairs == (f"{tmp_path}/a.obj: 1 face given twice left out; the pose does not depend on them.",)
    assert mesh.height == 9


@pytest.mark.parametrize("ending", ["obj", "ply", "off", "glb"])
def test_all_formats_give_the_same_mesh(ending: str, tmp_path: Path) -> None:
    points, faces = joined(torus(), sheet(), shift=0.9)
    points = points.astype(np.float32).astype(float)
    trimesh.Trimesh(points, faces, process=False).export(tmp_path / f"a.{ending}")
    mesh = read_mesh(tmp_path / f"a.{ending}")
    assert mesh.vertices == pytest.approx(points, abs=1e-6)
    assert mesh.faces.tolist() == faces.tolist()


def test_a_scene_is_one_mesh_and_quads_of_ply_are_cut(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    for number in range(2):
        scene.add_geometry(
            trimesh.Trimesh(*sheet(), process=False),
            transform=trimesh.transformations.translation_matrix([number, 0, 0]),
        )
    scene.export(tmp_path / "a.glb")
    mesh = read_mesh(tmp_path / "a.glb")
    assert mesh.vertices == pytest.approx(joined(sheet(), sheet(), shift=1.0)[0], abs=1e-6)
    head = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    quad = read_mesh(text(tmp_path / "a.ply", head + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"))
    assert len(quad.faces) == 2 and len(quad.vertices) == 4


def anime(path: Path, poses: np.ndarray, faces: np.ndarray) -> Path:
    head = np.array([len(poses), poses.shape[1], len(faces)], "<i4").tobytes()
    parts = poses[0].astype("<f4"), faces.astype("<i4"), (poses[1:] - poses[0]).astype("<f4")
    path.write_bytes(head + b"".join(part.tobytes() for part in parts))
    return path


def test_anime_offsets_are_against_the_first_frame(tmp_path: Path) -> None:
    points, faces = sheet()
    poses = np.stack([points, bent(points), 2 * points])
    sequence = read_anime(anime(tmp_path / "a.anime", poses, faces))
    assert sequence.poses == pytest.approx(poses, abs=1e-6)
    assert sequence.mesh.faces.tolist() == faces.tolist()
    assert read_mesh(tmp_path / "a.anime").vertices == pytest.approx(points, abs=1e-6)
    assert read_sequence(tmp_path / "a.anime").poses.shape == poses.shape


def test_a_folder_of_files_is_a_sequence(tmp_path: Path) -> None:
    points, faces = sheet()
    poses = np.stack([points, bent(points), 2 * points])
    files = write_obj_series(tmp_path / "posed", poses, faces)
    assert [file.name for file in files] == ["00000.obj", "00001.obj", "00002.obj"]
    for source in (tmp_path / "posed", files, [str(file) for file in files]):
        assert np.array_equal(read_sequence(source).poses, poses)  # to the last bit
    assert len(read_sequence(files[1]).poses) == 1
    write_obj(tmp_path / "posed" / "99999.obj", points[:-1], faces[:3])
    with pytest.raises(PplkitError, match=r"99999.obj has 24 vertices and .*00000.obj 25: give poses of one mesh"):
        read_sequence(tmp_path / "posed")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PplkitError, match="empty holds no mesh files"):
        read_sequence(tmp_path / "empty")


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_give_one_sentence(kind: str, tmp_path: Path) -> None:
    name, content, message = BROKEN[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PplkitError, match=message) as error:
        read_mesh(tmp_path / name)
    sentence = str(error.value)
    assert str(tmp_path / name) in sentence and sentence.endswith(".") and "\n" not in sentence
    assert ": " in sentence.replace(str(tmp_path), "")  # the remedy


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"none.obj does not exist: give a mesh file"):
        read_mesh(tmp_path / "none.obj")
    (tmp_path / "folder.obj").mkdir()
    with pytest.raises(PplkitError, match=r"folder.obj is not a file"):
        read_mesh(tmp_path / "folder.obj")


def test_faces_without_area_are_left_out_and_said(tmp_path: Path) -> None:
    content = f"{CORNERS}f 1 2 3\nf 1 2 2\nf 3 3 3\n"
    mesh = read_mesh(text(tmp_path / "a.obj", content))
    assert isinstance(mesh, Mesh) and mesh.faces.tolist() == [[0, 1, 2]]
    assert "2 faces without area left out" in mesh.repairs[0]
