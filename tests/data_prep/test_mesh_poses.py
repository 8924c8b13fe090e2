"""Published layouts of mesh poses, on files made here."""

from pathlib import Path

import numpy as np
import pytest
from solids import bent, sheet

from data_prep.mesh_poses import main, prepare
from pplkit.data.mesh_sets import read_mesh_set
from pplkit.data.mesh_writers import write_obj

REST, FACES = sheet()


def anime(path: Path, poses: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.array([len(poses), poses.shape[1], len(FACES)], "<i4").tobytes()
    parts = poses[0].astype("<f4"), FACES.astype("<i4"), (poses[1:] - poses[0]).astype("<f4")
    path.write_bytes(head + b"".join(part.tobytes() for part in parts))


def test_animals_are_first_frame_and_last_frames(tmp_path: Path) -> None:
    for number, name in enumerate(("bear3EP_run", "bear3EP_attack", "fox_walk")):
        frames = np.stack([REST * (number + 1), bent(REST), REST + [0, 0, number + 1.0]])
        anime(tmp_path / "in" / name / f"{name}.anime", frames)
    data = read_mesh_set(prepare(tmp_path / "in", tmp_path / "out", identity="bear3EP", count=2))
    assert data.mesh.vertices == pytest.approx(2 * REST, abs=1e-6)  # of "attack"
    lasts = sorted(float(pose[0, 2] - REST[0, 2]) for pose in data.poses)
    assert lasts == pytest.approx([1, 2], abs=1e-6)
    more = read_mesh_set(prepare(tmp_path / "in", tmp_path / "more", identity="bear3EP", count=5))
    assert len(more.poses) == 5 and np.array_equal(more.poses[:2], data.poses)


def test_the_released_layout(tmp_path: Path) -> None:
    for name, points in (("template", REST), ("0000001", 2 * REST), ("0000000", bent(REST))):
        (tmp_path / "in" / "meshes" / name).mkdir(parents=True)
        write_obj(tmp_path / "in" / "meshes" / name / "mesh.obj", points, FACES)
    data = read_mesh_set(prepare(tmp_path / "in", tmp_path / "out"))
    assert np.array_equal(data.mesh.vertices, REST) and np.array_equal(data.poses, [bent(REST), 2 * REST])


def test_poses_of_smpl_with_its_model(tmp_path: Path) -> None:
    weights = np.stack([1 - (REST[:, 0] > 0), REST[:, 0] > 0], 1).astype(float)
    regressor = np.zeros((2, len(REST)))
    regressor[0, 0] = regressor[1, 12] = 1
    arrays = {"v_template": REST, "f": FACES, "weights": weights, "J_regressor": regressor}
    np.savez(tmp_path / "model.npz", **arrays, kintree_table=np.array([[-1, 0], [0, 1]]))
    np.savez(tmp_path / "walk.npz", poses=np.linspace(0, 1, 24).reshape(4, 6), trans=np.zeros((4, 3)))
    assert main([str(tmp_path / "walk.npz"), str(tmp_path / "out"), "--model", str(tmp_path / "model.npz")]) == 0
    data = read_mesh_set(tmp_path / "out")
    assert len(data.poses) == 4 and np.array_equal(data.mesh.vertices, REST)
    still = weights[:, 0] == 1
    assert data.poses[:, still] == pytest.approx(np.broadcast_to(REST[still], data.poses[:, still].shape))


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("empty", [], "empty has no layout that is known: give */*.anime, meshes/*/mesh.obj or an .npz file."),
        ("walk.npz", [], "walk.npz holds rotations, no meshes: give the body model as well (--model SMPL.npz)."),
        ("animals", ["--identity", "bare"], "animals has no identity 'bare': perhaps 'bear' is meant"),
        ("half", [], "half lacks meshes/template/mesh.obj or poses: give the folder that holds `meshes`."),
    ],
)
def test_other_sources_give_one_sentence(
    source: str, options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half" / "meshes").mkdir(parents=True)
    np.savez(tmp_path / "walk.npz", poses=np.zeros((2, 72)))
    for name in ("bear_a", "fox_a"):
        anime(tmp_path / "animals" / name / f"{name}.anime", np.stack([REST, REST]))
    assert main([str(tmp_path / source), str(tmp_path / "out"), *options]) == 2
    assert words in capsys.readouterr().err
