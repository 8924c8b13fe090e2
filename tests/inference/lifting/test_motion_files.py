import csv
import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.bvh import constant_bones, read_bvh
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17
from pplkit.inference.lifting.motion_files import write_motion


@pytest.fixture
def motion() -> PoseSequence:
    spread, confidence = np.full((5, 17), 0.05), np.full((5, 17), 0.5)
    return PoseSequence(
        points=motion_windows(0, 1, 5, rule="gait")[0], fps=25, skeleton=H36M17, space="world", spread=spread,
        confidence=confidence,
    )  # fmt: skip


def test_npz_keeps_everything(motion: PoseSequence, tmp_path: Path) -> None:
    read = read_sequence(write_motion(tmp_path / "a.npz", motion))
    for name in ("points", "spread", "confidence"):
        assert np.array_equal(getattr(read, name), getattr(motion, name))
    assert (read.fps, read.space, read.skeleton) == (25, "world", H36M17)


def test_bvh_holds_the_joints_within_a_thousandth_of_the_height(motion: PoseSequence, tmp_path: Path) -> None:
    read = read_bvh(write_motion(tmp_path / "a.bvh", motion), scale=0.01, up="y")
    order = [read.skeleton.joints.index(name.replace(" ", "_")) for name in H36M17.joints]
    error = np.linalg.norm(read.points[:, order] - constant_bones(motion.points, H36M17), axis=-1)
    assert error.max() < 1.7e-3 and read.fps == 25


def test_json_and_csv_hold_the_same(motion: PoseSequence, tmp_path: Path) -> None:
    content = json.loads(write_motion(tmp_path / "a.json", motion).read_text())
    assert (content["fps"], content["unit"], content["up"]) == (25, "m", "y")
    assert content["joints"] == list(H36M17.joints) and content["parents"] == list(H36M17.parents)
    joints = np.array([frame["joints"] for frame in content["frames"]])
    assert np.allclose(joints, motion.points, atol=1e-5) and content["frames"][2]["spread"] == [0.05] * 17
    rows = list(csv.DictReader(write_motion(tmp_path / "a.csv", motion).open()))
    assert len(rows) == 85 and rows[18]["joint"] == "right hip" and rows[18]["seconds"] == "0.0400"
    assert np.allclose([[float(row[axis]) for axis in "xyz"] for row in rows], joints.reshape(-1, 3), atol=1e-5)
    assert rows[0]["confidence"] == "0.50000" and rows[0]["spread"] == "0.05000"


def test_what_is_unknown_stays_open(motion: PoseSequence, tmp_path: Path) -> None:
    plain = PoseSequence(points=motion.points, fps=25, skeleton=H36M17, space="camera")
    content = json.loads(write_motion(tmp_path / "a.json", plain).read_text())
    assert content["up"] == "-y" and "spread" not in content["frames"][0]
    assert next(csv.DictReader(write_motion(tmp_path / "a.csv", plain).open()))["spread"] == ""


def test_other_endings_and_2d_are_refused(motion: PoseSequence, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="a.fbx ends in none of .npz, .bvh, .json, .csv"):
        write_motion(tmp_path / "a.fbx", motion)
    flat = PoseSequence(points=motion.points[..., :2], fps=25, skeleton=H36M17)
    with pytest.raises(PplkitError, match="a.npz cannot be written from 2D points"):
        write_motion(tmp_path / "a.npz", flat)
