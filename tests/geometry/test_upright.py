import numpy as np
import pytest

from data_prep.motion_synthetic import motion_windows
from pplkit.data.skeletons import H36M17
from pplkit.geometry.upright import estimate_up, upright_rotation

JOINTS = {name: number for number, name in enumerate(H36M17.joints)}


def seen(points: np.ndarray, pitch: float, roll: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """World points (..., 3), y up, in the space of a camera that looks down by `pitch`, and what is up there."""
    (c, s), (cr, sr) = (np.cos(np.radians([a, a - 90])) for a in (pitch, roll))
    flip = np.diag([1.0, -1, -1])
    turn = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ flip
    return points @ turn.T + [0, 0, 5], turn @ [0, 1, 0]


def degrees(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


def standing(frames: int = 60) -> np.ndarray:
    """A person who stands and turns once, leaning forward by 5 degrees."""
    rest = np.zeros((17, 3))
    heights = {"pelvis": 1.0, "spine": 1.25, "thorax": 1.5, "nose": 1.6, "head": 1.75, "hip": 1.0, "knee": 0.5}
    for name, number in JOINTS.items():
        part = name.split()[-1]
        rest[number, 1] = heights.get(part, 1.2 if part in ("elbow", "wrist", "shoulder") else 0.0)
        rest[number, 0] = 0.1 * (name.startswith("left") - name.startswith("right"))
        rest[number, 2] = np.tan(np.radians(5)) * rest[number, 1]
    angles = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    turns = np.array([[[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]] for a in angles])
    return rest @ turns.swapaxes(1, 2)


@pytest.mark.parametrize("pitch", [-15, 0, 25])
def test_who_stands_and_turns_tells_the_tilt_of_the_camera(pitch: float) -> None:
    points, up = seen(standing(), pitch)
    assert degrees(estimate_up(points, JOINTS), up) < 0.12 * abs(pitch) + 0.1


def test_a_roll_is_believed_less_than_a_pitch() -> None:
    points, up = seen(standing(), 0, roll=10)
    assert 4 < degrees(estimate_up(points, JOINTS), up) < 8


def test_the_less_is_seen_of_somebody_standing_the_more_the_camera_is_taken_to_be_level() -> None:
    errors = [degrees(estimate_up(*part), seen(standing(), 20)[1]) for part in
              ((seen(standing(600), 20)[0], JOINTS), (seen(standing(600)[:2], 20)[0], JOINTS))]  # fmt: skip
    assert errors[0] < errors[1]
    lying = standing()[..., [1, 0, 2]]
    assert np.array_equal(estimate_up(seen(lying, 20)[0], JOINTS), [0, -1, 0])
    assert np.array_equal(estimate_up(seen(standing(), 20)[0], {"pelvis": 0}), [0, -1, 0])


def test_motion_made_by_rule_becomes_upright() -> None:
    errors = []
    for seed in range(6):
        points, up = seen(motion_windows(seed, 1, 90, rule="planted")[0].astype(float), 20)
        errors.append(degrees(estimate_up(points, JOINTS), up))
    assert np.mean(errors) < 8  # of 20 degrees


def test_what_is_up_becomes_y_and_right_stays_right() -> None:
    for up in ([0.0, -1, 0], [0.1, -0.9, 0.3]):
        unit = np.array(up) / np.linalg.norm(up)
        turn = upright_rotation(unit)
        assert np.allclose(turn @ unit, [0, 1, 0]) and np.allclose(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1) and (turn @ [1.0, 0, 0])[0] > 0.9
        assert (turn @ [0, 0, 1.0])[2] < -0.9  # what is away from the camera has a negative z
