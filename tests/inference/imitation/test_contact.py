"""Contact by thresholds, and the smoothing before it."""

from dataclasses import replace

import numpy as np
import pytest
from strides import walk

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17, Skeleton
from pplkit.geometry.plausibility import contact_f1
from pplkit.inference.imitation.clip import prepared
from pplkit.inference.imitation.contact import learned_contact, likely_contact, smoothed


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


def test_the_network_serves_other_skeletons_and_refuses_those_without_a_head() -> None:
    points = walk(30).points.astype(float)
    contact = learned_contact(points, H36M17, 30.0, None)
    shuffled = [*range(7, 17), *range(7)]
    parents = [shuffled.index(H36M17.parents[joint]) if joint else -1 for joint in shuffled]
    other = Skeleton("other", tuple(H36M17.joints[joint] for joint in shuffled), tuple(parents))
    assert learned_contact(points[:, shuffled], other, 30.0, None) == pytest.approx(contact)
    headless = Skeleton(
        "headless", H36M17.joints[:9] + H36M17.joints[11:], (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 10, 8, 12, 13)
    )
    with pytest.raises(PplkitError, match='has no head.*or give contact="thresholds"'):
        learned_contact(np.delete(points, [9, 10], axis=1), headless, 30.0, None)
    assert prepared(replace(walk(30), points=points), contact="thresholds").contact.shape == (30, 2)
