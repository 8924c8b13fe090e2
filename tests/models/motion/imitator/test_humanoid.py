from pathlib import Path

import numpy as np
import pytest

from pplkit.geometry.cameras import inverse_rotation, rotate
from pplkit.geometry.quaternions import from_euler, from_rotation_vectors, normalized
from pplkit.models.motion.imitator.humanoid import (
    BODIES,
    FPS,
    JOINTS16,
    REST,
    angular_speeds,
    body_positions,
    difference,
    features,
    half_angles,
    heading,
    heading_angle,
    hinge_counts,
    local_rotations,
    observation,
    state_speeds,
    without_heading,
)
from pplkit.models.motion.skeleton import BODY, bone_lengths
from tests.helpers.motion_parity import arrays, close, keys


def standing(frames: int = 3) -> np.ndarray:
    states = np.zeros((frames, 59))
    states[:, 2:4] = 0.9, 1
    return states


def test_the_rest_pose_has_the_body_s_bones() -> None:
    positions, _ = body_positions(standing())
    assert np.allclose(positions - positions[:, :1], REST)
    lengths = bone_lengths(positions[:, list(JOINTS16)])
    assert np.abs(lengths - BODY).max() < 0.15  # the hinges of arms lie deeper than the joints
    assert np.allclose(lengths[:, :9], BODY[:9], atol=1e-5)


def test_a_bent_elbow_turns_about_z_but_in_the_published_rotations() -> None:
    states = standing()
    elbow = 7 + sum(hinge_counts()[: BODIES.index("RightForeArm")])
    states[:, elbow] = np.pi / 2
    positions = body_positions(states)[0][0]
    hand = positions[BODIES.index("RightHand")] - positions[BODIES.index("RightForeArm")]
    assert np.allclose(hand, [0, -0.25, 0], atol=1e-6)
    turn = local_rotations(states, published=True)[0, BODIES.index("RightForeArm")]
    assert np.allclose(turn, from_euler(np.array([np.pi / 2, 0, 0]), (0, 1, 2)))


def test_speeds_of_a_turning_root_by_hand() -> None:
    states = standing()
    states[:, 3:7] = from_rotation_vectors(np.arange(3)[:, None] * np.array([[0, 0, 0.1]]))
    states[:, 0] = np.arange(3) * 0.02
    speeds = state_speeds(states)
    assert np.allclose(speeds[:, 0], 0.02 * FPS) and np.allclose(speeds[:, 5], 0.1 * FPS)
    made = features(states)
    assert np.allclose(made.root_speed[2], [0.6 * np.cos(0.2), -0.6 * np.sin(0.2), 0])
    assert np.allclose(made.root_speed_before[2], [0.6 * np.cos(0.1), -0.6 * np.sin(0.1), 0])
    assert np.allclose(heading_angle(states[:, 3:7]), [0, 0.1, 0.2])


@pytest.fixture(scope="module")
def stored(parity: Path) -> dict[str, np.ndarray]:
    return arrays(parity, "imitator")


def test_published_body(parity: Path) -> None:
    body = keys(parity)["humanoid_v4"]
    assert list(body["bodies"]) == list(BODIES)
    close(REST, np.array([entry["rest_position"] for entry in body["bodies"].values()]))
    ends = [end for _, end in body["qpos_slices"].values()]
    assert ends == (7 + np.cumsum(hinge_counts())).tolist()


def test_published_rotations(stored: dict[str, np.ndarray]) -> None:
    q, p, v = stored["q"], stored["p"], stored["v"]
    close(heading(q), stored["heading_q"])
    close(heading_angle(q), stored["heading"])
    close(without_heading(q), stored["de_heading"])
    close(rotate(v, inverse_rotation(q)), stored["to_root"])
    close(rotate(v, inverse_rotation(heading(q))), stored["to_heading"])
    close(rotate(v, q), stored["rotate"])
    close(difference(q, p).ravel(), stored["quat_difference"])
    close(half_angles(difference(q, p)), stored["quat_difference_norm"])
    close(angular_speeds(q, p).ravel(), stored["angular_velocity"])
    close(from_rotation_vectors(v), stored["from_expmap"])
    close(from_euler(v, (0, 1, 2)), stored["euler_rxyz"])
    assert np.allclose(normalized(q), q)


def test_published_features(stored: dict[str, np.ndarray]) -> None:
    states = stored["expert_qpos"]
    made = features(states)
    flat = {name: value.reshape(8, -1) for name, value in made._asdict().items()}
    for name, key in {
        "ends": "ee_pos", "ends_world": "ee_wpos", "joints": "skt_pos", "joints_world": "skt_wpos",
        "rotations": "bquat", "tilt": "rq_rmh", "speeds": "qvel", "root_speed": "rlinv_local", "turning": "bangvel",
        "joint_speeds": "sktvel",
    }.items():  # fmt: skip
        close(flat[name], stored[f"expert_{key}"])
    close(made.speeds[:, 3:6], stored["expert_rangv"])


def test_published_observation(stored: dict[str, np.ndarray]) -> None:
    states = stored["simulated_qpos"]
    close(state_speeds(states)[5], stored["obs_qvel"])
    close(observation(states[5], stored["obs_qvel"], stored["expert_qpos"][3:6]), stored["observation"])
