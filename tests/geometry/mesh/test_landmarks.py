"""Landmarks: read back as written, and refused where they do not go together."""

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.landmarks import Landmarks


def test_landmarks_come_back_from_their_json_and_by_name() -> None:
    marks = Landmarks(("a", "b", "c"), np.arange(9).reshape(3, 3), ((0, 1), (1, 2)))
    back = Landmarks.from_dict(marks.to_dict())
    assert back.names == marks.names and back.bones == marks.bones and np.array_equal(back.points, marks.points)
    assert marks.named(("c", "a")).tolist() == [[6, 7, 8], [0, 1, 2]]
    with pytest.raises(PplkitError, match="the landmarks lack d: give those of the source's rest pose"):
        marks.named(("a", "d"))


def test_landmarks_that_do_not_go_together_are_refused() -> None:
    points = np.zeros((2, 3))
    for names, places, bones, words in (
        (("a", "b", "c"), points, (), "three finite numbers for each name"),
        (("a", "b"), points * np.nan, (), "three finite numbers"),
        (("a", "a"), points, (), "the same name"),
        (("a", "b"), points, ((0, 2),), "numbers are 0 to 1"),
    ):
        with pytest.raises(PplkitError, match=words):
            Landmarks(names, places, bones)
    for values in ({}, {"points": {"a": [1, 2]}}, {"points": {"a": [1, 2, 3]}, "bones": [["a", "b"]]}):
        with pytest.raises(PplkitError, match="marks.json are no landmarks: write them as"):
            Landmarks.from_dict(values, "marks.json")
