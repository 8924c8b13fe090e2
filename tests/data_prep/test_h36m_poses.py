from pathlib import Path

import numpy as np
import pytest

from data_prep.h36m_cameras import INTRINSICS, camera, image_size
from data_prep.h36m_poses import KEPT, main, prepare, read_joints, read_keypoints
from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import read_sequence
from pplkit.data.skeletons import COCO17, H36M17
from pplkit.geometry.cameras import camera_to_world, image_from_screen, normalize_screen, project, world_to_camera

H36M_SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
COCO_SIDES = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
FRAMES = 12


def world_motion(seed: int) -> np.ndarray:
    """(T, 17, 3) meters, z up, as Human3.6M has it."""
    return motion_windows(seed, 1, FRAMES, 50.0, rule="gait")[0][..., [2, 0, 1]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the published layout: subjects S1 and S9, one action twice."""
    folder = tmp_path_factory.mktemp("h36m")
    joints: dict[str, dict[str, np.ndarray]] = {}
    keypoints: dict[str, dict[str, list[np.ndarray]]] = {"S2": {"Walking": [np.zeros((1, 17, 2), np.float32)] * 4}}
    for number, subject in enumerate(("S1", "S9")):
        joints[subject], keypoints[subject] = {}, {}
        for take, action in enumerate(("Walking", "Walking 1")):
            points = world_motion(2 * number + take)
            everything = np.full((FRAMES, 32, 3), 99, np.float32)
            everything[:, KEPT] = points
            joints[subject][action] = everything
            keypoints[subject][action] = []
            for name in INTRINSICS:
                view = camera(subject, name)
                inside = world_to_camera(points, view.orientation, view.translation)
                pixels = image_from_screen(project(inside, view.intrinsic), *image_size(name))
                longer = np.concatenate([pixels, pixels[-1:]]).astype(np.float32)  # detectors saw a frame more
                keypoints[subject][action].append(longer)
    del keypoints["S2"]
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=joints)
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": H36M_SIDES}
    np.savez_compressed(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=keypoints, metadata=metadata)
    return folder


def test_files_of_the_published_layout_become_sequences(source: Path, tmp_path: Path) -> None:
    out = prepare(source, tmp_path / "out")
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*.npz"))
    assert len(files) == 2 * 2 * 4 * 2 and files[0] == "test/S9_Walking_1_54138969_2d.npz"
    detected = read_sequence(out / "train/S1_Walking_54138969_2d.npz")
    positions = read_sequence(out / "train/S1_Walking_54138969_3d.npz")
    assert (len(detected), detected.size, detected.fps, detected.skeleton) == (FRAMES, (1000, 1002), 50, H36M17)
    assert positions.space == "camera" and positions.source == "S1 Walking 54138969"
    view = positions.camera
    assert view is not None
    assert np.allclose(
        camera_to_world(positions.points, view.orientation, view.translation), world_motion(0), atol=1e-4
    )
    screen = project(positions.points, view.intrinsic)
    assert np.allclose(normalize_screen(detected.points, 1000, 1002), screen, atol=1e-4)
    assert positions.points[..., 2].min() > 1 and np.abs(screen).max() < 1  # in front of the camera, in the image
    head, pelvis = H36M17.joints.index("head"), H36M17.root
    assert (positions.points[:, head, 1] < positions.points[:, pelvis, 1]).all()  # y is down


def test_true_keypoints_are_projected_where_there_is_no_file_of_them(source: Path, tmp_path: Path) -> None:
    assert main([str(source), str(tmp_path / "gt"), "--detector", "gt", "--subjects", "S9"]) == 0
    prepare(source, tmp_path / "cpn", subjects=["S9"])
    name = "test/S9_Walking_1_60457274_2d.npz"
    made, read = (read_sequence(tmp_path / folder / name) for folder in ("gt", "cpn"))
    assert np.allclose(made.points, read.points, atol=1e-2) and not list((tmp_path / "gt/train").iterdir())


def test_constants_are_those_of_the_public_code(parity: Path) -> None:
    with np.load(parity / "lift/lift_cameras.npz") as values:
        for number, name in enumerate(INTRINSICS):
            view = camera("S9", name)
            inside = world_to_camera(values["world"], view.orientation, view.translation)
            assert np.allclose(view.intrinsic, values[f"cam{number}/intrinsic"], atol=1e-5)
            assert np.allclose(inside, values[f"cam{number}/in_camera"], atol=1e-5)


def test_keypoints_of_ones_own_videos_are_read(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 500, (3, 17, 2)).astype(np.float32)
    content = {
        "positions_2d": {"clip.mp4": {"custom": [points]}},
        "metadata": {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": COCO_SIDES,
                     "video_metadata": {"clip.mp4": {"w": 640, "h": 480}}},
    }  # fmt: skip
    np.savez_compressed(tmp_path / "data_2d_custom_mine.npz", **content)
    (sequence,) = read_keypoints(tmp_path / "data_2d_custom_mine.npz", fps=25)["clip.mp4"]["custom"]
    assert (sequence.skeleton, sequence.size, sequence.fps) == (COCO17, (640, 480), 25)
    assert np.array_equal(sequence.points, points)


@pytest.mark.parametrize(
    "positions, metadata, words",
    [
        (3, {}, "no dictionaries positions_2d"),
        ({}, {"num_joints": 17}, "keypoints_symmetry"),
        ({}, {"num_joints": 17, "keypoints_symmetry": [[1], [2]]}, "none of coco17"),
        ({"S1": []}, {"num_joints": 17, "keypoints_symmetry": H36M_SIDES}, "no dictionary of actions for S1"),
        (
            {"S1": {"A": [np.zeros((3, 16, 2))]}},
            {"num_joints": 17, "keypoints_symmetry": H36M_SIDES},
            "holds .* for S1 A",
        ),
        ({"S1": {"A": ["x"]}}, {"num_joints": 17, "keypoints_symmetry": H36M_SIDES}, "holds str for S1 A"),
    ],
)
def test_other_layouts_are_refused(positions: object, metadata: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "data_2d_x.npz"
    np.savez(path, positions_2d=positions, metadata=metadata)
    with pytest.raises(PplkitError, match=f"data_2d_x.npz.*{words}"):
        read_keypoints(path)


def test_missing_and_short_keypoints_are_told(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="data_2d_h36m_sh_ft_h36m.npz does not exist"):
        prepare(source, tmp_path, "sh_ft_h36m")
    with pytest.raises(PplkitError, match="no dictionary positions_3d"):
        read_joints(source / "data_2d_h36m_cpn_ft_h36m_dbb.npz")
    joints = {"S1": {"Posing": np.zeros((FRAMES, 32, 3), np.float32)}}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=joints)
    (tmp_path / "data_2d_h36m_x.npz").write_bytes((source / "data_2d_h36m_cpn_ft_h36m_dbb.npz").read_bytes())
    with pytest.raises(PplkitError, match="fewer than 12 frames of S1 Posing 54138969"):
        prepare(tmp_path, tmp_path / "out", "x")
