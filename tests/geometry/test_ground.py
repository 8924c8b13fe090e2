"""Gravity and the floor from feet that stand on it."""

import numpy as np
import pytest

from pplkit.geometry.ground import floor_height, floor_normal, upright_axis


def test_the_floor_lies_below_feet_in_contact_and_not_below_a_jump() -> None:
    feet = np.zeros((4, 1, 3))
    feet[:, 0, 1] = 0.58, 0.58, 1.2, 0.1  # stands, jumps; a frame that is wrong
    contact = np.array([[True], [True], [False], [False]])
    assert floor_height(feet, contact, rest=0.08) == pytest.approx(0.5)
    assert floor_height(feet, np.zeros((4, 1), bool), rest=0.08) < 0.5


def test_a_slope_is_found_where_feet_went_far_and_not_where_they_stood() -> None:
    up, slope = np.array([0, 1.0, 0]), 0.2
    x, z = np.meshgrid(np.linspace(-2, 2, 20), np.linspace(-2, 2, 20))
    plane = np.stack([x.ravel(), 1 + slope * x.ravel(), z.ravel()], -1)
    true = np.array([-slope, 1, 0]) / np.hypot(1, slope)
    assert floor_normal(plane, up) == pytest.approx(true, abs=1e-3)
    assert floor_normal(plane[:1], up) == pytest.approx(up)
    assert floor_normal(np.zeros((0, 3)), up) == pytest.approx(up)
    # Near one place, the plane is not believed.
    assert np.degrees(np.arccos(floor_normal(0.01 * plane[:20], up) @ up)) < 1


def test_the_axis_of_a_body_is_a_mean_direction() -> None:
    below, above = np.zeros((2, 3)), np.array([[1.0, 1, 0], [-2, 2, 0]])
    assert upright_axis(below, above) == pytest.approx([0, 1, 0])
