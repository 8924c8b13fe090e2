"""Stages of the motion loop: bad clips are dropped and counted, and what is done is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strides import walk

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import COCO17, H36M17
from pplkit.experiments import loop_stages
from pplkit.experiments.loop_plan import ClipSettings, ImitationSettings, TestSettings
from pplkit.experiments.loop_stages import (
    estimate_clips,
    imitate_clips,
    make_clips,
    on_sight,
    place_clips,
    read_motions,
)
from pplkit.models.motion.imitation_config import ImitationConfig

FILTERS = ImitationSettings(method="filters", contact="thresholds", gravity="given", distance=1.0)


def motions(folder: Path, frames: int = 30, **changed: np.ndarray) -> Path:
    """Two walks in a folder; `changed` are others, by name."""
    folder.mkdir(exist_ok=True)
    for number in range(2):
        walk(frames, seed=number).write(folder / f"good{number}.npz")
    for name, points in changed.items():
        replace(walk(30), points=points).write(folder / f"{name}.npz")
    return folder


def test_clips_made_by_rule_keep_their_truth_apart(tmp_path: Path) -> None:
    settings = ClipSettings(count=3, seconds=1.0, noise=0.0, rules=("gait", "planted"))
    assert make_clips(tmp_path, settings, 0, motion_windows) == {"clips": 3, "dropped": {}}
    names = sorted(path.name for path in tmp_path.glob("*.npz"))
    assert names == ["0000_gait.npz", "0001_gait.npz", "0002_planted.npz"]
    clip = read_sequence(tmp_path / names[0])
    assert clip.points.shape == (30, 17, 2) and clip.size == (1000, 1000) and clip.space == "image"
    assert len(list((tmp_path / "truth").glob("*.npz"))) == 6


def test_clips_of_a_user_come_to_the_loops_rate_and_bad_ones_are_dropped(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "clips"
    source.mkdir(), out.mkdir()
    pixels = np.random.default_rng(0).uniform(0, 500, (50, 17, 2))
    PoseSequence(points=pixels, fps=25, skeleton=COCO17, size=(640, 480)).write(source / "slow.npz")
    PoseSequence(points=pixels, fps=30, skeleton=H36M17).write(source / "no_size.npz")
    walk(30).write(source / "three_d.npz")
    legs = [joint for joint, name in enumerate(COCO17.joints) if "hip" in name]
    pixels[:, legs] = np.nan
    PoseSequence(points=pixels, fps=30, skeleton=COCO17, size=(640, 480)).write(source / "no_hips.npz")
    numbers = make_clips(out, ClipSettings(source=str(source), fps=30.0), 0, motion_windows)
    assert numbers["clips"] == 4 and numbers["dropped"] == {"refused": 2}
    slow = read_sequence(out / "slow.npz")
    assert slow.fps == 30 and len(slow) == int(49 / 25 * 30) + 1  # as long in seconds
    hidden = read_sequence(out / "no_hips.npz")
    assert (hidden.weight[:, H36M17.joints.index("left hip")] == 0).all()
    with pytest.raises(PplkitError, match="no usable 2D sequence"):
        make_clips(out, ClipSettings(source=str(tmp_path)), 0, motion_windows)


def test_a_missing_joint_is_lifted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir(), (tmp_path / "out").mkdir()
    pixels = np.random.default_rng(0).uniform(0, 500, (20, 17, 2))
    pixels[:, 3] = np.nan
    PoseSequence(points=pixels, fps=30, skeleton=H36M17, size=(640, 480)).write(tmp_path / "clips" / "a.npz")
    seen = []

    def lift(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        seen.append((keypoints, confidence))
        return np.zeros((20, 17, 3))

    for _ in range(2):  # the second time nothing is left to do
        assert estimate_clips(tmp_path / "out", tmp_path / "clips", lift) == {"clips": 1}
    ((keypoints, confidence),) = seen
    assert np.isfinite(keypoints).all() and (confidence[:, 3] == 0).all() and (confidence[:, 2] == 1).all()


def test_joints_come_onto_the_lines_of_sight_of_their_keypoints(tmp_path: Path) -> None:
    make_clips(tmp_path, ClipSettings(count=1, seconds=1.0, noise=0.0, rules=("gait",)), 0, motion_windows)
    clip, true = read_motions(tmp_path)[0], read_motions(tmp_path / "truth", "*_camera.npz")[0]
    wrong = replace(true, points=true.points + np.float32([0.2, -0.1, 0.3]))
    put = on_sight(wrong, clip).points.astype(float)
    flat = 2.3 * put[..., :2] / put[..., 2:]
    np.testing.assert_allclose(flat, clip.points / 500 - 1, atol=1e-4)
    np.testing.assert_allclose(put[..., 2], wrong.points[..., 2])
    hidden = clip.points.copy()
    hidden[:, 4] = np.nan
    np.testing.assert_allclose(on_sight(wrong, replace(clip, points=hidden)).points[:, 4], wrong.points[:, 4])


def test_exploded_clips_and_bodies_without_legs_are_dropped_and_counted(tmp_path: Path) -> None:
    points = walk(30).points
    exploded, legless = points * np.float32(1e6), points.copy()
    for joint, name in enumerate(H36M17.joints):
        if name.endswith(("knee", "ankle")):
            legless[:, joint] = legless[:, H36M17.parents[joint]]
    armless = points.copy()
    armless[:, H36M17.joints.index("left elbow")] = armless[:, H36M17.joints.index("left shoulder")]
    given = motions(tmp_path / "given", exploded=exploded, legless=legless, armless=armless)
    for work in (
        lambda: imitate_clips(tmp_path / "a", given, FILTERS, {}),
        lambda: place_clips(tmp_path / "b", given, FILTERS),
    ):
        (tmp_path / "a").mkdir(exist_ok=True), (tmp_path / "b").mkdir(exist_ok=True)
        numbers = work()
        assert numbers["clips"] == 5 and numbers["dropped"] == {"refused": 2}
    made = read_motions(tmp_path / "a")
    assert len(made) == 3 and all(np.isfinite(motion.points).all() for motion in made)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    imitate_clips(tmp_path / "a", given, FILTERS, {})
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before


def test_a_bone_of_length_zero_stops_nothing(tmp_path: Path) -> None:
    points = walk(30).points
    points[:, H36M17.joints.index("left elbow")] = points[:, H36M17.joints.index("left shoulder")]
    given = motions(tmp_path / "given", armless=points)
    (tmp_path / "out").mkdir()
    numbers = imitate_clips(tmp_path / "out", given, replace(FILTERS, method="fit"), {"iterations": 3})
    assert numbers["dropped"] == {"rejected": 1} and numbers["clips"] == 3  # the fit has given it a length


def test_clips_far_from_their_estimate_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    rng = np.random.default_rng(0)
    noisy = walk(30).points + rng.normal(0, 0.3, (30, 17, 3)).astype(np.float32)
    given = motions(tmp_path / "given", noisy=noisy)
    numbers = imitate_clips(tmp_path / "out", given, replace(FILTERS, distance=0.1), {})
    assert numbers["dropped"] == {"rejected": 1}


def test_bodies_whose_bones_are_not_those_of_the_estimate_are_rejected(tmp_path: Path) -> None:
    """Two people would be needed for such a narrow trunk: on the lines of sight, left and right fall together."""
    (tmp_path / "clips").mkdir(), (tmp_path / "estimates").mkdir(), (tmp_path / "out").mkdir()
    settings = ClipSettings(count=2, seconds=1.0, noise=0.0, rules=("planted",))
    make_clips(tmp_path / "clips", settings, 0, motion_windows)
    true = read_motions(tmp_path / "clips" / "truth", "*_camera.npz")
    for motion in true:
        motion.write(tmp_path / "estimates" / f"{motion.source}.npz")
    narrow, hips = (
        read_motions(tmp_path / "clips")[1],
        [H36M17.joints.index(f"{side} hip") for side in ("left", "right")],
    )
    points, depth = narrow.points.copy(), true[1].points.copy()
    points[:, hips], depth[:, hips] = points[:, :1] + np.float32([2, 2]), depth[:, :1]
    replace(narrow, points=points).write(tmp_path / "clips" / f"{narrow.source}.npz")
    replace(true[1], points=depth + (true[1].points - depth) * np.float32([1, 1, 0])).write(
        tmp_path / "estimates" / f"{narrow.source}.npz"
    )
    numbers = imitate_clips(tmp_path / "out", tmp_path / "estimates", FILTERS, {}, tmp_path / "clips")
    assert numbers["dropped"] == {"rejected": 1} and numbers["means"]["bone_factor"] < 1.5


def test_falls_are_dropped_and_counted(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    (tmp_path / "out").mkdir()
    given = motions(tmp_path / "given", 90)
    settings = replace(FILTERS, method="track")
    kept = imitate_clips(tmp_path / "out", given, replace(settings, falls=100), {"force": 1.0})
    assert kept["dropped"] == {} and kept["means"]["falls"] > 0
    (tmp_path / "none").mkdir()
    fewer = imitate_clips(tmp_path / "none", given, replace(settings, falls=0), {"force": 1.0})
    assert fewer["dropped"] == {"falls": 1}  # one of the two walks keeps up with little help
    (tmp_path / "checked").mkdir()
    with pytest.raises(PplkitError, match=r"all 2 clips were dropped \({'falls': 2}\)"):
        imitate_clips(tmp_path / "checked", given, replace(FILTERS, check_force=1.0), {})


def test_each_clip_gets_a_policy_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    (tmp_path / "out").mkdir()
    config = ImitationConfig(bodies=4, horizon=8, batch_size=16, passes=2, widths=(16,), steps=4, episode=10)
    settings = replace(FILTERS, method="policy", falls=100)
    numbers = imitate_clips(tmp_path / "out", motions(tmp_path / "given", 20), settings, {"config": config})
    assert numbers["clips"] == 2 and "force_body_weights" in numbers["means"]


def test_a_wrong_setting_is_an_error_and_no_reason_to_drop_clips(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(PplkitError, match="setting 'iteration' of method filters is unknown"):
        imitate_clips(tmp_path / "out", motions(tmp_path / "given"), FILTERS, {"iteration": 3})


def test_test_motion_is_not_that_of_the_clips(tmp_path: Path) -> None:
    clips = ClipSettings(count=2, seconds=1.0, rules=("gait", "planted"))
    batch = loop_stages.test_clips(TestSettings(count=4, seconds=1.0), clips, 0, motion_windows)
    assert batch.positions.shape == (4, 30, 17, 3)
    make_clips(tmp_path, clips, 0, motion_windows)
    known = np.stack([motion.points for motion in read_motions(tmp_path / "truth", "*_camera.npz")])
    assert np.abs(known[:, None] - batch.positions[None]).max((2, 3, 4)).min() > 0.1
