"""Ground contacts of two vertices, by hand."""

import numpy as np
import pytest

from pplkit.inference.mesh_contacts import contact_goals, ground_contacts

REST = np.array([[0.0, -0.5, 0], [1, -0.48, 0], [0, 0.5, 0]])  # two feet and a head


def test_low_vertices_touch_where_their_counterparts_do() -> None:
    poses = np.stack([REST, REST + [0, 0.2, 0], REST, REST - [0, 0.1, 0]])
    poses[2, 0, 1] += 0.02  # the first foot leaves the ground
    target = np.array([[0.1, -0.4, 0], [0.9, -0.39, 0], [0, 0.4, 0], [1, -0.3, 0]])
    contacts, places = ground_contacts(REST, poses, target, target, up=1)
    # The second foot starts 0.02 above the ground; a vertex 0.1 above the target's ground is no foot.
    assert contacts.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert np.array_equal(places[:, :2], poses[:, :2])


def test_goals_are_as_high_as_at_rest_and_do_not_slide() -> None:
    contacts = np.array([[True], [True], [False], [True]])
    placed = np.array([[[0.0, 5, 0]], [[1, 5, 4]], [[7, 7, 7]], [[3, 3, 3]]])
    still = np.zeros((4, 1, 3))
    goals = contact_goals(contacts, placed, still, np.array([[0.0, 2, 0]]), up=1)
    # Of the first two frames the middle; the third stays; the fourth is a contact of its own.
    assert goals[:, 0].tolist() == [[0.5, 2, 2], [0.5, 2, 2], [7, 7, 7], [3, 2, 3]]
    moving = still + np.arange(4)[:, None, None] * [[1.0, 0, 0]]
    assert contact_goals(contacts, placed, moving, np.zeros((1, 3)), up=1)[:2, 0, 0] == pytest.approx([0, 1])
    up = contact_goals(contacts, placed, still, np.array([[0.0, 2, 9]]), up=2)
    assert up[0, 0].tolist() == [0.5, 5, 9]
