from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.bvh import constant_bones, read_bvh, write_bvh
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import COCO17, H36M17, Skeleton, to_h36m17

FOLDER = "motion/animated_drawings"


def joints_by_recursion(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """A second reader, which shares nothing with the kit's: joints (T, 3) by name, and the frame time."""
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    start = next(n for n, words in enumerate(lines) if words[0] == "MOTION")
    rows = np.array([[float(word) for word in words] for words in lines[start + 3 :]])
    joints: dict[str, np.ndarray] = {}
    cursor, column = 1, 0

    def descend(place: np.ndarray, turn: Rotation) -> None:
        nonlocal cursor, column
        name = lines[cursor][1]
        cursor += 2
        offset = np.array([float(word) for word in lines[cursor][1:]])
        cursor += 1
        here = place + turn.apply(np.tile(offset, (len(place), 1)))
        if lines[cursor][0] == "CHANNELS":
            for channel in lines[cursor][2:]:
                values = rows[:, column]
                column += 1
                if channel.endswith("position"):
                    here[:, "XYZ".index(channel[0])] += values
                else:
                    turn = turn * Rotation.from_euler(channel[0], values[:, None], degrees=True)
            cursor += 1
        if name != "Site":
            joints[name] = here
        while lines[cursor][0] != "}":
            descend(here, turn)
        cursor += 1

    descend(np.zeros((len(rows), 3)), Rotation.identity(len(rows)))
    return joints, float(lines[start + 2][-1])


def sequence(points: np.ndarray, skeleton: Skeleton = H36M17) -> PoseSequence:
    return PoseSequence(points=points, fps=30, skeleton=skeleton, space="world")


@pytest.mark.parametrize("rule", ["planted", "gait", "jump", "lying", "tumbling"])
def test_what_is_written_is_read_by_a_second_reader(rule: str, tmp_path: Path) -> None:
    points = motion_windows(0, 1, 60, rule=rule)[0]
    path = write_bvh(tmp_path / "a.bvh", sequence(points))
    joints, interval = joints_by_recursion(path)
    expected = constant_bones(points, H36M17)
    for number, name in enumerate(H36M17.joints):
        error = np.linalg.norm(joints[name.replace(" ", "_")] / 100 - expected[:, number], axis=1)
        assert error.max() < 1e-3 * 1.7 * 0.1, name  # a tenth of what is promised
    assert interval == pytest.approx(1 / 30, abs=1e-7) and np.abs(expected - points).max() < 0.05


def test_a_written_file_is_read_as_the_same_person(tmp_path: Path) -> None:
    points = motion_windows(1, 1, 30, rule="gait")[0]
    read = read_bvh(write_bvh(tmp_path / "a.bvh", sequence(points)))
    mapped, _ = to_h36m17(read.points, read.skeleton)
    assert read.fps == 30 and np.abs(mapped - constant_bones(points, H36M17)).max() < 1e-3


def test_what_is_written_is_read_by_pybvh(tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh", reason="pybvh reads what was written: pip install pybvh")
    points = motion_windows(0, 1, 60, rule="gait")[0]
    read = pybvh.read_bvh_file(str(write_bvh(tmp_path / "a.bvh", sequence(points))))
    order = [read.joint_names.index(name.replace(" ", "_")) for name in H36M17.joints]
    error = np.linalg.norm(read.joint_positions()[:, order] / 100 - constant_bones(points, H36M17), axis=-1)
    assert error.max() < 1e-3 * 1.7 * 0.1 and read.frame_time == pytest.approx(1 / 30, abs=1e-7)


def test_bones_of_both_sides_are_alike_where_that_is_asked_for() -> None:
    points = motion_windows(0, 1, 20, rule="gait")[0].astype(float)
    points[:, 3] = points[:, 2] + 1.2 * (points[:, 3] - points[:, 2])  # the right shin
    alike = constant_bones(points, H36M17, symmetric=True)
    right, left = (np.linalg.norm(alike[:, a] - alike[:, b], axis=1) for a, b in ((2, 3), (5, 6)))
    assert np.allclose(right, left) and np.ptp(right) < 1e-9
    before = [np.linalg.norm(points[0, a] - points[0, b]) for a, b in ((2, 3), (5, 6))]
    assert right[0] == pytest.approx(np.mean(before), rel=1e-3)


CONVENTIONS = {
    "centimeters, y up, Z X Y": (0.01, "xyz", "ZXY"),
    "meters, z up, X Y Z": (1.0, "zxy", "XYZ"),
    "inches, y up, Z Y X": (0.0254, "xyz", "ZYX"),
    "millimeters, y down, Y X Z": (0.001, "x-y-z", "YXZ"),
    "a unit of its own, x up, X Z Y": (0.0423, "yzx", "XZY"),
}
"""Meters for a unit, which of our axes each axis of the file is, and the order of rotations."""
PERSON = {
    "Hips": ("", (0, 0.95, 0)), "LeftUpLeg": ("Hips", (0.1, 0, 0)), "LeftLeg": ("LeftUpLeg", (0, -0.43, 0)),
    "LeftFoot": ("LeftLeg", (0, -0.4, 0)), "RightUpLeg": ("Hips", (-0.1, 0, 0)), "Neck": ("Hips", (0, 0.5, 0.02)),
    "RightLeg": ("RightUpLeg", (0, -0.43, 0)), "RightFoot": ("RightLeg", (0, -0.4, 0)), "Head": ("Neck", (0, 0.2, 0)),
    "LeftArm": ("Neck", (0.18, 0, 0)), "LeftForeArm": ("LeftArm", (0.28, 0, 0)),
    "LeftHand": ("LeftForeArm", (0.25, 0, 0)),
    "RightArm": ("Neck", (-0.18, 0, 0)), "RightForeArm": ("RightArm", (-0.28, 0, 0)),
    "RightHand": ("RightForeArm", (-0.25, 0, 0)),
}  # fmt: skip


def foreign_file(unit: float, axes: str, order: str, frames: int = 8) -> tuple[str, dict[str, np.ndarray]]:
    """A file of a person that moves at random in one of the conventions, and the joints (T, 3) in meters, y up.

    The bones of the file and their turns are those of our axes, in the axes of the file.
    """
    signs = [-1 if before == "-" else 1 for before, axis in zip(" " + axes, axes, strict=False) if axis in "xyz"]
    basis = np.eye(3)[["xyz".index(axis) for axis in axes if axis in "xyz"]] * np.array(signs)[:, None]
    rng, joints, turns = np.random.default_rng(1), dict[str, np.ndarray](), dict[str, Rotation]()
    lines, columns = ["HIERARCHY"], []

    def add(name: str, depth: int) -> None:
        parent, offset = PERSON[name]
        turns[name] = Rotation.from_rotvec(rng.normal(0, 0.25, (frames, 3)))
        joints[name] = np.tile(offset, (frames, 1)).astype(float)
        here, world = np.array(offset), turns[name]
        if parent:
            joints[name] = joints[parent] + turns[parent].apply(here)
            turns[name] = turns[parent] * world
        x, y, z = basis @ here / unit
        places = "" if parent else "Xposition Yposition Zposition "
        names = " ".join(f"{axis}rotation" for axis in order)
        lines.extend(
            [
                f"{'JOINT' if parent else 'ROOT'} {name}",
                "{",
                f"OFFSET {x if parent else 0} {y if parent else 0} {z if parent else 0}",
                f"CHANNELS {3 if parent else 6} {places}{names}",
            ]
        )
        if not parent:
            columns.append(np.tile([x, y, z], (frames, 1)))
        file_turn = Rotation.from_matrix(basis @ world.as_matrix() @ basis.T)
        columns.append(file_turn.as_euler(order, degrees=True))
        children = [child for child, (above, _) in PERSON.items() if above == name]
        for child in children:
            add(child, depth + 1)
        lines.extend(["}"] if children else ["End Site", "{", "OFFSET 0 0 0", "}", "}"])

    add("Hips", 0)
    rows = [" ".join(f"{value:.9f}" for value in row) for row in np.concatenate(columns, axis=1)]
    return "\n".join([*lines, "MOTION", f"Frames: {frames}", "Frame Time: 0.0333333", *rows]), joints


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_foreign_conventions_are_recognized(convention: str, tmp_path: Path) -> None:
    unit, axes, order = CONVENTIONS[convention]
    text, joints = foreign_file(unit, axes, order)
    path = tmp_path / "foreign.bvh"
    path.write_text(text)
    read = read_bvh(path)
    for name, points in joints.items():
        assert np.allclose(read.points[:, read.skeleton.joints.index(name)], points, atol=1e-4), name


def test_any_tree_is_written_and_noisy_bones_get_their_median(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tail = Skeleton("tail", ("a", "b", "c", "d"), (1, -1, 1, 2))
    points = rng.normal(size=(1, 4, 3)) + 0.05 * rng.normal(size=(20, 4, 3))
    joints, _ = joints_by_recursion(write_bvh(tmp_path / "a.bvh", sequence(points, tail)))
    expected = constant_bones(points, tail)
    for number, name in enumerate(tail.joints):
        assert np.allclose(joints[name] / 100, expected[:, number], atol=1e-5)
    assert np.ptp(np.linalg.norm(expected[:, 3] - expected[:, 2], axis=1)) < 1e-9
    assert joints["c_base"].shape == (20, 3)


def test_flat_and_missing_points_are_refused(tmp_path: Path) -> None:
    flat = PoseSequence(points=np.zeros((2, 17, 2)), fps=30, skeleton=COCO17)
    missing = sequence(np.full((2, 17, 3), np.nan))
    for wrong in (flat, missing):
        with pytest.raises(PplkitError, match="give 3D points without missing joints"):
            write_bvh(tmp_path / "a.bvh", wrong)


@pytest.mark.real
@pytest.mark.parametrize("name", ["dab", "jumping", "jumping_jacks", "wave_hello", "zombie"])
def test_foreign_files_are_read_as_a_second_reader_does(name: str, real_data: Path) -> None:
    path = real_data / FOLDER / f"{name}.bvh"
    joints, _ = joints_by_recursion(path)
    read = read_bvh(path, scale=1, up="y")
    for joint, points in joints.items():
        assert np.allclose(read.points[:, read.skeleton.joints.index(joint)], points, rtol=1e-4, atol=1e-3), joint
    known = read_bvh(path)
    body, _ = to_h36m17(known.points, known.skeleton)
    assert (body[:, 10, 1] > body[:, 3, 1]).mean() > 0.95  # heads are above feet
    assert known.fps == pytest.approx(120 if name in ("jumping", "wave_hello") else 30, abs=0.2)


BVH = """HIERARCHY
ROOT hips
{
 OFFSET 1 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT tail
 {
  OFFSET 0 2 0
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  End Site
  {
   OFFSET 0 0 3
  }
 }
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0 0 0 0 0 2 0 0 0 0
0 5 0 90 0 0 0 4 0 0 90 0
"""


def test_a_file_by_hand_with_positions_of_a_joint(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(BVH)
    read = read_bvh(path, scale=1, up="y")
    assert read.skeleton.joints == ("hips", "tail", "tail end") and read.fps == 25
    # The second frame: hips at (1, 5, 0) turned left about z, so that the tail's (0, 4, 0) points to -x.
    assert np.allclose(read.points, [[[1, 0, 0], [1, 2, 0], [1, 2, 3]], [[1, 5, 0], [-3, 5, 0], [0, 5, 0]]], atol=1e-6)
    turned = read_bvh(path, scale=0.5, up="-z").points
    assert np.allclose(turned[0], [[0, 0, -0.5], [1, 0, -0.5], [1, -1.5, -0.5]], atol=1e-6)
    with pytest.raises(PplkitError, match="a.bvh: unit and up axis are unknown.*give scale and up"):
        read_bvh(path)
    with pytest.raises(PplkitError, match="up is 'w'"):
        read_bvh(path, 1, "w")


@pytest.mark.parametrize(
    "before, after",
    [
        ("MOTION", "REST"),
        ("0.04", "0"),
        ("}\n}\nM", "}\nM"),
        ("ROOT hips", "JOINT hips"),
        ("90 0 0", "90 0"),
        ("90", "x"),
    ]
    + [("0.04", "nan"), ("Frames: 2", "Frames: 3"), ("Zrotation", "Wrotation"), ("JOINT tail", "BONE tail"), (BVH, "")],
)
def test_damaged_files_are_named(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(BVH.replace(before, after, 1))
    with pytest.raises(PplkitError, match="a.bvh (is not a whole BVH file|has no frames)"):
        read_bvh(path, 1, "y")
