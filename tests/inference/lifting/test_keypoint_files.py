from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import COCO17
from pplkit.inference.lifting.keypoint_files import keypoints_from_array, keypoints_from_sequence, read_keypoints
from pplkit.inference.tracking import Tracks, write_tracks


def test_arrays_of_all_shapes() -> None:
    points = np.arange(12.0).reshape(2, 3, 2)
    points[0, 0] = 0
    plain = keypoints_from_array(points)
    assert np.array_equal(plain.points, points)
    assert plain.confidence.tolist() == [[0, 1, 1], [1, 1, 1]]  # (0, 0) is what detectors write for nothing
    triple = keypoints_from_array(np.concatenate((points, np.full((2, 3, 1), 0.5)), axis=2))
    assert np.array_equal(triple.points, points) and (triple.confidence == 0.5).all()
    image = keypoints_from_array(points[0].tolist(), [1, np.nan, -2])
    assert image.points.shape == (1, 3, 2) and image.confidence.tolist() == [[1, 0, 0]]


def test_arrays_of_several_people_need_a_choice() -> None:
    points = np.random.default_rng(0).uniform(1, 9, (4, 2, 3, 2))
    with pytest.raises(PplkitError, match=r"the array holds 2 people: choose one with person="):
        keypoints_from_array(points)
    assert np.array_equal(keypoints_from_array(points, person=2).points, points[:, 1])


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        (np.zeros((2, 3, 4)), None, r"shape \(2, 3, 4\): give keypoints"),
        (np.zeros((0, 3, 2)), None, "give keypoints"),
        (np.zeros(3), None, "give keypoints"),
        ("text", None, "holds no numbers"),
        (np.zeros((2, 3, 2)), np.zeros((2, 4)), r"confidence has the shape \(2, 4\): give \(2, 3\)"),
    ],
)
def test_other_arrays_are_refused(values: object, confidence: object, message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        keypoints_from_array(values, confidence)


def test_numpy_files(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(1, 9, (4, 17, 2))
    np.save(tmp_path / "a.npy", points)
    assert np.array_equal(read_keypoints(tmp_path / "a.npy").points, points)
    sure = np.full((4, 17), 0.25)
    np.savez(tmp_path / "b.npz", keypoints=points, scores=sure, fps=25, size=(640, 480), names=np.array(COCO17.joints))
    found = read_keypoints(tmp_path / "b.npz")
    assert (found.fps, found.size, found.names) == (25, (640, 480), COCO17.joints)
    assert np.array_equal(found.confidence, sure)
    np.savez(tmp_path / "c.npz", x=points)
    with pytest.raises(PplkitError, match="c.npz has no array called keypoints, only x"):
        read_keypoints(tmp_path / "c.npz")
    (tmp_path / "d.npz").write_bytes(b"PK nothing")
    with pytest.raises(PplkitError, match="d.npz cannot be read"):
        read_keypoints(tmp_path / "d.npz")
    np.save(tmp_path / "e.npy", np.array({}, dtype=object))
    with pytest.raises(PplkitError, match="e.npy cannot be read"):
        read_keypoints(tmp_path / "e.npy")


def test_sequences_of_the_kit(tmp_path: Path) -> None:
    sequence = PoseSequence(points=np.ones((3, 17, 2)), fps=24, skeleton=COCO17, size=(64, 48))
    found = read_keypoints(sequence.write(tmp_path / "a.npz"))
    assert (found.fps, found.size, found.names) == (24, (64, 48), COCO17.joints) and (found.confidence == 1).all()
    with pytest.raises(PplkitError, match="is 3D already"):
        keypoints_from_sequence(PoseSequence(points=np.ones((3, 17, 3)), fps=24, skeleton=COCO17))


def test_tracks_of_the_kit(tmp_path: Path) -> None:
    """With a point missing in a long gap, and times that are not even."""
    points = np.random.default_rng(0).uniform(1, 9, (3, 2, 2))
    points[1, 0] = np.nan
    seconds, sure = np.array([0, 0.04, 0.1]), np.full((3, 2), 0.5)
    tracks = Tracks(["left hand", "head"], seconds, points, points, sure, np.zeros((3, 2), bool), 64.0)
    found = read_keypoints(write_tracks(tmp_path / "tracks.csv", tracks))
    assert found.names == ("left hand", "head") and found.seconds is not None
    assert np.allclose(found.points, points, atol=0.006, equal_nan=True) and np.allclose(found.seconds, seconds)
    assert found.fps == pytest.approx(20)


def test_tables_with_a_line_for_each_point_or_each_frame(tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    long.write_text("frame,joint,x,y,score,person\n2,nose,1,2,0.5,a\n2,tail,3,4,1,a\n4,nose,5,6,1,a\n2,nose,9,9,1,b\n")
    found = read_keypoints(long, "a")
    assert found.names == ("nose", "tail") and found.points.shape == (3, 2, 2)
    assert found.points[0].tolist() == [[1, 2], [3, 4]] and found.confidence.tolist() == [[0.5, 1], [0, 0], [1, 0]]
    with pytest.raises(PplkitError, match="long.csv holds 2 people"):
        read_keypoints(long)
    wide = tmp_path / "wide.csv"
    wide.write_text("nose_x,nose_y,nose_score,tail_x,tail_y\n1,2,0.5,3,4\n5,6,0,,\n")
    found = read_keypoints(wide)
    assert found.names == ("nose", "tail") and found.confidence[0].tolist() == [0.5, 1]
    assert found.confidence[1, 0] == 0 and np.isnan(found.points[1, 1]).all()


def test_poses_of_images_in_a_table_of_the_kit(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    head = "file,frame,keypoint,x,y,confidence\n"
    path.write_text(f"{head}b.jpg,,0,1,2,1\nb.jpg,,1,3,4,1\na.jpg,,0,5,6,1\na.jpg,,1,7,8,1\n")
    found = read_keypoints(path)
    assert found.points[:, 0].tolist() == [[1, 2], [5, 6]] and found.names is None  # numbers are no names
    path.write_text(f"{head}a.mp4,0,0,1,2,1\nb.mp4,0,0,3,4,1\n")
    with pytest.raises(PplkitError, match="poses of several videos"):
        read_keypoints(path)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "frame,keypoint,x,y\n0,nose,1\n", "frame,keypoint,x,y\n0,nose,a,2\n"]
)
def test_other_tables_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(PplkitError, match="odd.csv"):
        read_keypoints(tmp_path / "odd.csv")


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"none.json does not exist: give a .json of COCO"):
        read_keypoints(tmp_path / "none.json")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(PplkitError, match="a.txt is no file of keypoints by its ending"):
        read_keypoints(tmp_path / "a.txt")
