"""Numbers of plausibility, computed by hand."""

import numpy as np
import pytest

from pplkit.geometry import plausibility

# Three frames of two feet: the first slides by 3 cm in x and 4 cm in z, then stands; the second rises.
FEET = np.array(
    [[[0, 0.08, 0], [1, 0.08, 0]], [[0.03, 0.08, 0.04], [1, 0.10, 0]], [[0.03, 0.05, 0.04], [1, 0.30, 0]]], float
)
CONTACT = np.array([[True, True], [True, True], [True, False]])


def test_skate_is_the_horizontal_speed_of_steps_in_contact() -> None:
    # Steps: 5 cm and 0 of the first foot, 0 of the second; its last step leaves the floor and does not count.
    assert plausibility.foot_skate(FEET, CONTACT, fps=30) == pytest.approx(0.05 / 3 * 30)
    assert np.isnan(plausibility.foot_skate(FEET, np.zeros((3, 2), bool), fps=30))


def test_penetration_and_floating_are_measured_from_the_height_of_a_standing_foot() -> None:
    assert plausibility.penetration(FEET, rest=0.08) == pytest.approx(0.03 / 3)
    # In contact: heights above 8 cm are 0, 0, 0 of the first foot and 0, 2 cm of the second.
    assert plausibility.floating(FEET, CONTACT, rest=0.08) == pytest.approx(0.02 / 5)


def test_bones_that_keep_their_length_do_not_deviate() -> None:
    assert plausibility.bone_deviation(np.repeat(FEET[:1], 4, axis=0), [(0, 1)]) == 0
    moved = np.zeros((2, 2, 3))
    moved[:, 1, 0] = 1.0, 1.2
    assert plausibility.bone_deviation(moved, [(0, 1)]) == pytest.approx(0.1)


def test_acceleration_and_jerk_of_powers_of_time() -> None:
    time = np.arange(6.0)[:, None, None]
    square, cube = 0.5 * time**2 * [0, 1, 0], time**3 * [1, 0, 0]
    assert plausibility.acceleration_error(square + 3 * time, np.zeros((6, 1, 3))) == pytest.approx(1)
    assert plausibility.acceleration_error(square, square) == 0
    assert plausibility.jerk(cube, fps=2) == pytest.approx(6 * 8)
    assert np.isnan(plausibility.jerk(cube[:3], fps=2))


def test_joint_error_with_and_without_the_path_of_the_root() -> None:
    truth = np.zeros((1, 2, 3))
    points = np.array([[[3.0, 4, 0], [3, 4, 1]]])
    assert plausibility.joint_error(points, truth) == pytest.approx((5 + 26**0.5) / 2)
    assert plausibility.joint_error(points, truth, root=0) == pytest.approx(0.5)


def test_f1_of_contact() -> None:
    found = np.array([[True, False], [True, True]])
    truth = np.array([[True, True], [False, True]])
    assert plausibility.contact_f1(found, truth) == pytest.approx(2 * 2 / 6)
    assert np.isnan(plausibility.contact_f1(np.zeros((1, 1), bool), np.zeros((1, 1), bool)))


def test_feet_that_are_slow_and_low_stand() -> None:
    feet = np.zeros((5, 3, 3))
    feet[:, 0, 0] = 0.009 * np.arange(5)  # 0.27 m/s at 30 frames a second
    feet[:, 1, 0] = 0.011 * np.arange(5)  # 0.33 m/s
    feet[:, 2, 1] = 0.15
    assert plausibility.standing(feet, 30.0).tolist() == [[True, False, False]] * 5
