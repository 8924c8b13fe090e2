import pytest
from strides import lifted, walk

from pplkit.inference.imitation.methods import imitate

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')


def test_a_walk_is_tracked_and_scored_by_the_force_it_takes() -> None:
    truth = walk(30)
    reports = {force: imitate(truth, "track", force=force)[1].after for force in (0.0, 400.0)}
    assert reports[0.0]["force_body_weights"] == 0 < reports[400.0]["force_body_weights"] < 0.8
    assert reports[400.0]["distance_from_clip_mm"] < reports[0.0]["distance_from_clip_mm"]


def test_a_noisy_clip_of_25_frames_a_second_gives_finite_motion_of_as_many_frames() -> None:
    truth = walk(25, 25.0)
    motion, report = imitate(lifted(truth), "track", truth=truth)
    assert motion.points.shape == truth.points.shape and motion.fps == 25
    assert set(report.arrays) == {"qpos", "fallen", "force"}
    assert report.after["bone_deviation_mm"] < report.before["bone_deviation_mm"]
