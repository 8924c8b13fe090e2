from pathlib import Path

import numpy as np
import pytest

from pplkit.models.motion.imitator.control import (
    Gains,
    gains,
    residual_wrench,
    rest_pose,
    stable_pd,
    targets,
)
from tests.helpers.motion_parity import arrays, close

ROUNDS = ("round0", "round1", "round2", "round3", "hallucinated")


def test_torques_by_hand() -> None:
    """With unit masses each hinge is by itself: q̈ = (-k_p e - k_d q̇) / (1 + k_d h)."""
    one = np.ones(52)
    setting = Gains(100 * one, 10 * one, 1e9 * one, one)
    state, speeds = np.zeros(59), np.zeros(58)
    state[7], speeds[6] = 0.2, 1.0
    torque = stable_pd(state, speeds, np.zeros(52), np.eye(58), np.zeros(58), setting, step=0.01)
    error = 0.2 + 0.01
    acceleration = (-100 * error - 10) / 1.1
    assert torque[0] == pytest.approx(-100 * error - 10 * (1 + 0.01 * acceleration))
    assert not torque[1:].any()


def test_an_arm_far_off_is_pulled_gently() -> None:
    state, setting = np.zeros(59), gains("round1")
    target = np.zeros(52)
    target[21] = 2.0  # the right upper arm's first hinge
    far = stable_pd(state, np.zeros(58), target, 1e6 * np.eye(58), np.zeros(58), setting)
    assert far[21] == pytest.approx(200 * np.radians(0.5), rel=1e-3)


def test_the_force_follows_the_heading() -> None:
    action = np.zeros(58)
    action[-6:] = 1, 0, 0, 0, 1, 0
    quarter = np.array([0.5**0.5, 0, 0, 0.5**0.5])
    assert np.allclose(residual_wrench(action, quarter), [0, 100, 0, 0, 100, 0])


def test_published_gains(parity: Path) -> None:
    stored = arrays(parity, "imitator")
    for name in ROUNDS:
        for key, values in zip(("kp", "kd", "torque_limit", "scale"), gains(name), strict=True):
            assert values.tolist() == stored[f"{name}_{key}"].tolist(), (name, key)
        close(rest_pose(), stored[f"{name}_reference_pose"])


@pytest.mark.parametrize("name", ["round1", "round2", "round3"])
def test_published_torques(name: str, parity: Path) -> None:
    stored = arrays(parity, "imitator")
    setting, action = gains(name), stored["action"]
    target = targets(action, stored["expert_qpos"][6, 7:], setting.scale)
    state, speeds = stored["simulated_qpos"][5], stored["obs_qvel"]
    torque = stable_pd(state, speeds, target, stored["mass_matrix"], stored["bias_force"], setting)
    close(torque, stored[f"torque_{name}"])
    close(residual_wrench(action, state[3:7]), stored["residual_generalised"])
