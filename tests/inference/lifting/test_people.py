import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.inference.lifting.people import Detection, one_person, people_of


def at(frame: int, x: float, person: str | None = None) -> Detection:
    """A square of 10 pixels whose corner is at (x, 0)."""
    return Detection(frame, person, np.array([[x, 0.0], [x + 10, 0], [x, 10]]), np.ones(3))


def test_one_person_in_each_frame_needs_no_choice_and_frames_without_are_missing() -> None:
    points, confidence = one_person([at(7, 1), at(4, 0)], "a.json")
    assert points.shape == (4, 3, 2) and points[0, 0, 0] == 0 and points[3, 0, 0] == 1
    assert np.isnan(points[1:3]).all() and confidence.sum(1).tolist() == [3, 0, 0, 3]


def test_people_of_a_tracker_are_chosen_by_its_number() -> None:
    both = [at(0, 0, "4"), at(0, 50, "2"), at(1, 51, "2")]
    points, _ = one_person(both, "a.json", 2)
    assert points[:, 0, 0].tolist() == [50, 51]
    message = r"a.json holds 2 people: choose one with person= \(--person\) out of 2 \(2 frames\), 4 \(1 frame\)"
    with pytest.raises(PplkitError, match=message):
        one_person(both, "a.json")
    with pytest.raises(PplkitError, match="a.json has no person 3: there are 2"):
        one_person(both, "a.json", "3")


def test_people_without_numbers_are_followed_though_their_order_changes() -> None:
    frames = [[0, 50], [51, 1], [2], [53, 3], [90]]
    people = people_of([at(frame, x) for frame, places in enumerate(frames) for x in places])
    assert [[d.points[0, 0] for d in person] for person in people.values()] == [[0, 1, 2, 3], [50, 51, 53], [90]]
    assert list(people) == ["1", "2", "3"]


def test_who_comes_back_after_long_is_somebody_else() -> None:
    people = people_of([at(0, 0), at(0, 50), at(1, 0), at(90, 0), at(90, 50)])
    assert sorted(len(person) for person in people.values()) == [1, 1, 1, 2]


def test_nothing_and_mixed_detectors_are_refused() -> None:
    with pytest.raises(PplkitError, match="a.json holds no keypoints of anybody"):
        one_person([], "a.json")
    other = at(1, 0)._replace(points=np.zeros((2, 2)), confidence=np.ones(2))
    with pytest.raises(PplkitError, match="different numbers of points"):
        one_person([at(0, 0), other], "a.json")
