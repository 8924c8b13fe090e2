"""Templates: the frame that networks see, areas, and what is computed once."""

import numpy as np
import pytest
import torch

from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.models.mesh import Template

CORNERS = np.array([[1.0, 0, 0], [5, 0, 0], [1, 2, 0], [1, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3]])


def test_the_box_is_centered_and_one_long_and_landmarks_move_along() -> None:
    """The box is 4 x 2 x 1 around (3, 1, 0.5)."""
    template = Template(CORNERS, FACES, Landmarks(("tip",), np.array([[3.0, 1, 4.5]])))
    assert template.vertices[1].tolist() == [0.5, -0.25, -0.125]
    assert template.landmarks is not None and template.landmarks.points.tolist() == [[0, 0, 1]]
    assert template.restored(template.vertices.numpy()) == pytest.approx(CORNERS)
    assert template.face_centers[0].tolist() == pytest.approx([(7 / 3 - 3) / 4, (2 / 3 - 1) / 4, -0.125])


def test_areas_by_hand() -> None:
    """Triangles of 4 and 2: two thirds and one third of the surface."""
    template = Template(CORNERS, FACES)
    assert template.face_areas.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert template.vertex_areas.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 9, 1 / 9])


def test_what_is_kept_is_made_once_for_each_key() -> None:
    template = Template(CORNERS, FACES)
    assert template.kept(("a", 1), lambda: torch.ones(1)) == 1
    assert template.kept(("a", 1), lambda: torch.zeros(1)) == 1
    assert template.kept(("a", 2), lambda: torch.zeros(1)) == 0
