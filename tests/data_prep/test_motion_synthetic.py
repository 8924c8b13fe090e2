from pathlib import Path

import numpy as np
import pytest

from data_prep.motion_synthetic import RULES, lift_batch, main, motion_windows
from data_prep.synthetic.motion_bodies import JOINT
from pplkit.data.sequences import read_sequence
from pplkit.data.skeletons import H36M17, check_layout
from pplkit.geometry.cameras import project_linear

ANKLES = [JOINT["left ankle"], JOINT["right ankle"]]


def speeds(windows: np.ndarray) -> np.ndarray:
    """Meters a second (B, F-1, J), at 30 frames a second."""
    return np.linalg.norm(np.diff(windows, axis=1), axis=-1) * 30


def angle(windows: np.ndarray, *joints: str) -> np.ndarray:
    """Degrees at the second of three joints: 180 is straight."""
    first, middle, last = (windows[..., JOINT[joint], :] for joint in joints)
    a, b = first - middle, last - middle
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_moves_a_body_within_its_limits(rule: str, held_out: bool) -> None:
    windows = motion_windows(3, 200, 81, held_out=held_out, rule=rule)
    assert windows.shape == (200, 81, 17, 3) and windows.dtype == np.float32 and np.isfinite(windows).all()
    for parent, joint in H36M17.bones:
        lengths = np.linalg.norm(windows[..., joint, :] - windows[..., parent, :], axis=-1)
        assert (lengths.std(1) < 0.02).all()  # a raised arm lifts its shoulder
    assert windows[..., ANKLES, 1].min() > 0.03 and np.quantile(windows[..., 1].min((1, 2)), 0.02) > 0
    for side in ("left", "right"):
        assert angle(windows, f"{side} hip", f"{side} knee", f"{side} ankle").min() > 20
        assert angle(windows, f"{side} shoulder", f"{side} elbow", f"{side} wrist").min() > 20
    acceleration = np.linalg.norm(np.diff(windows, 2, axis=1), axis=-1) * 900
    assert np.quantile(acceleration, 0.99) < 250  # meters a second², also of somersaults
    check_layout(windows[..., :2].reshape(-1, 17, 2), H36M17)


def test_knees_bend_forward_and_elbows_too() -> None:
    """The left of a body is where its left hip is; forward is at a right angle to left and up."""
    windows = motion_windows(1, 300, rule="gait")
    left = windows[..., JOINT["left hip"], :] - windows[..., JOINT["right hip"], :]
    forward = np.cross(left, [0, 1, 0])
    nose = windows[..., JOINT["nose"], :] - windows[..., JOINT["thorax"], :]
    assert ((nose * forward).sum(-1) > 0).mean() > 0.8
    for side in ("left", "right"):
        hip, knee, ankle = (windows[..., JOINT[f"{side} {part}"], :] for part in ("hip", "knee", "ankle"))
        assert (((knee - (hip + ankle) / 2) * forward).sum(-1) > -0.01).mean() > 0.98


def test_feet_that_bear_stay_on_their_footprints() -> None:
    windows = motion_windows(0, 200, rule="gait")
    ankles = windows[:, :, ANKLES]
    on_floor = ankles[:, 1:, :, 1] < 0.0801
    assert 0.2 < on_floor.mean() < 0.7
    still = np.linalg.norm(np.diff(ankles, axis=1), axis=-1)[on_floor & (ankles[:, :-1, :, 1] < 0.0801)] * 30
    assert np.quantile(still, 0.9) < 1e-3
    assert (speeds(windows)[..., 0].mean(1) > 0.1).all()


def test_jumps_leave_the_floor_along_a_parabola() -> None:
    windows = motion_windows(0, 200, 60, rule="jump")
    airborne = (windows[..., ANKLES, 1] > 0.1).all(-1)
    assert (airborne.any(1)).mean() > 0.6
    fall = np.diff(windows[:, :, 0, 1], 2, axis=1) * 900
    inside = airborne[:, :-2] & airborne[:, 1:-1] & airborne[:, 2:]
    assert np.median(fall[inside]) == pytest.approx(-9.81, abs=0.8)


def test_limbs_do_not_pass_through_the_body_or_each_other() -> None:
    """At most for one frame in a hundred, as in recorded motion."""
    windows = motion_windows(0, 1000)
    pelvis, thorax = windows[..., JOINT["pelvis"], :], windows[..., JOINT["thorax"], :]
    trunk = thorax - pelvis
    for side in ("left", "right"):
        wrist = windows[..., JOINT[f"{side} wrist"], :]
        along = np.clip(((wrist - pelvis) * trunk).sum(-1) / (trunk**2).sum(-1), 0, 1)[..., None]
        assert (np.linalg.norm(wrist - pelvis - along * trunk, axis=-1) < 0.09).mean() < 0.01
    for joint in ("knee", "ankle"):
        apart = windows[..., JOINT[f"left {joint}"], :] - windows[..., JOINT[f"right {joint}"], :]
        assert (np.linalg.norm(apart, axis=-1) < 0.07).mean() < 0.01


def test_the_seed_decides_and_held_out_motion_is_other_motion() -> None:
    first = lift_batch(5, 32)
    again = lift_batch(5, 32)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.allclose(first.positions, lift_batch(6, 32).positions)
    assert not np.allclose(motion_windows(5, 32), motion_windows(5, 32, held_out=True))
    assert len(motion_windows(0, 1001, 1)) == 1001


def test_bodies_differ_by_more_than_an_eighth() -> None:
    windows = motion_windows(0, 500, 1)[:, 0]
    lengths = np.stack([np.linalg.norm(windows[:, j] - windows[:, p], axis=-1) for p, j in H36M17.bones], 1)
    assert (np.quantile(lengths, 0.95, axis=0) / np.quantile(lengths, 0.05, axis=0) > 1.25).all()
    leg = np.linalg.norm(windows[:, 2] - windows[:, 1], axis=-1) + np.linalg.norm(
        windows[:, 3] - windows[:, 2], axis=-1
    )
    assert 0.75 < leg.mean() < 0.95


def test_a_batch_is_what_its_cameras_see() -> None:
    batch = lift_batch(0, 64, noise=0.0)
    intrinsics = np.zeros((64, 1, 1, 9), np.float32)
    intrinsics[..., :2] = batch.focal_length[:, None, None, None]
    assert np.allclose(batch.keypoints, project_linear(batch.positions, intrinsics), atol=1e-6)
    assert batch.positions[..., 2].min() > 0.5 and (np.abs(batch.keypoints).max((1, 2, 3)) < 1).mean() > 0.8
    upright = lift_batch(0, 64, noise=0.0, rule="gait").positions
    assert (upright[..., JOINT["head"], 1] < upright[..., JOINT["pelvis"], 1]).all()  # y is down


@pytest.mark.real
def test_rule_made_motion_is_like_recorded_motion(real_data: Path) -> None:
    """Angles, tilts and bone lengths of 20 recorded clips, by their middle halves; nothing of them is copied."""
    with np.load(real_data / "motion/deepmimic_joints17.npz") as clips:
        recorded = np.concatenate([clips[name] for name in clips])
    made = motion_windows(0, 1000)
    for joints in (("left hip", "left knee", "left ankle"), ("left shoulder", "left elbow", "left wrist")):
        quartiles = [np.percentile(angle(motion, *joints), [25, 75]) for motion in (recorded, made)]
        assert np.abs(quartiles[0] - quartiles[1]).max() < 25
    lengths = [
        [np.linalg.norm(m[..., j, :] - m[..., p, :], axis=-1).mean() for p, j in H36M17.bones] for m in (recorded, made)
    ]
    assert np.abs(np.log(np.divide(*lengths))).max() < 0.35


def test_the_command_writes_sequences(tmp_path: Path) -> None:
    assert main([str(tmp_path / "motion"), "--sequences", "3", "--seconds", "2", "--seed", "4"]) == 0
    files = sorted((tmp_path / "motion").glob("*/*.npz"))
    assert [str(file.relative_to(tmp_path / "motion")) for file in files] == [
        "test/rule_0000.npz", "train/rule_0000.npz", "train/rule_0001.npz", "train/rule_0002.npz",
    ]  # fmt: skip
    sequence = read_sequence(files[1])
    assert (len(sequence), sequence.space, sequence.fps, sequence.skeleton) == (60, "world", 30, H36M17)
