"""Contact by thresholds, and the smoothing before it."""

import numpy as np
import pytest
from strides import walk

from pplkit.geometry.plausibility import contact_f1
from pplkit.inference.imitation.contact import likely_contact, smoothed


def test_a_foot_that_stands_touches_and_one_that_moves_or_is_high_does_not() -> None:
    feet = np.zeros((30, 3, 3))
    feet[..., 1] = 0.08, 0.5, 0.08
    feet[15:, 1, 1] = 0.08  # the second foot stands later
    feet[:, 2, 0] = np.arange(30) / 30 * 2.0  # the third slides at 2 m/s
    contact = likely_contact(feet, 30.0, 0.08)
    assert contact.shape == (30, 3) and contact.min() >= 0 and contact.max() <= 1
    assert (contact[:, 0] > 0.9).all() and (contact[:10, 1] < 0.1).all() and (contact[20:, 1] > 0.5).all()
    assert (contact[:, 2] < 0.1).all()


def test_contact_of_clean_steps_is_nearly_that_of_their_definition() -> None:
    feet = walk(90).points[:, [6, 3]].astype(float)
    still = np.linalg.norm(np.gradient(feet[..., [0, 2]], axis=0), axis=-1) * 30 < 0.3
    assert contact_f1(likely_contact(feet, 30.0, 0.08) > 0.5, still) > 0.85


def test_smoothing_keeps_cubic_paths_and_is_measured_in_seconds() -> None:
    time = np.linspace(0, 1, 31)[:, None]
    assert smoothed(time**3, 30.0) == pytest.approx(time**3)
    assert (smoothed(time[:3], 30.0) == time[:3]).all()
    noise = np.random.default_rng(0).normal(size=(3000, 1))
    assert smoothed(noise, 60.0).std() < 0.8 * smoothed(noise, 30.0).std()  # twice as many frames in the window
