"""Clicked landmarks: which comes next, what the table holds after each click, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.inference.landmarks.label_table import read_points
from pplkit.viz.widgets.label_session import LabelSession

NAMES = ["nose", "left, hand"]


def current(session: LabelSession) -> tuple[str, str]:
    return session.images[session.place], session.name


def test_clicks_go_by_name_and_then_to_the_next_image(tmp_path: Path) -> None:
    session = LabelSession([7, 3], NAMES, 33, tmp_path / "landmarks.csv")
    assert current(session) == ("7", "nose") and session.count() == (0, 4)
    session.click(np.array([-1.0, 0.0]))  # the center of the first column, in the middle of 33 rows
    assert current(session) == ("7", "left, hand")
    assert session.path.read_text() == "image,landmark,x,y\n7,nose,0.0,16.0\n"
    session.click(np.array([1.2, 0.25]))  # outside: on the border
    assert current(session) == ("3", "nose")
    assert session.path.read_text() == 'image,landmark,x,y\n7,nose,0.0,16.0\n7,"left, hand",32.0,20.0\n'
    assert session.labels(0).tolist() == [[-1.0, 0.0], [1.0, 0.25]] and np.isnan(session.labels(1)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["landmarks.csv"]


def test_skipped_landmarks_stay_unlabeled(tmp_path: Path) -> None:
    session = LabelSession([7, 3], NAMES, 33, tmp_path / "a.csv")
    session.skip()
    session.click(np.zeros(2))
    assert current(session) == ("3", "nose") and list(read_points(session.path)) == [("7", "left, hand")]
    for _ in range(2):  # to the missing one; there is no image before
        session.go(-1)
        assert current(session) == ("7", "nose")


def test_an_image_with_all_labels_takes_no_more_clicks(tmp_path: Path) -> None:
    session = LabelSession([7], NAMES, 33, tmp_path / "a.csv")
    for coordinate in (0.0, 0.5, 1.0):
        session.click(np.full(2, coordinate))
    assert current(session) == ("7", "") and session.count() == (2, 2)
    assert session.labels(0).tolist() == [[0.0, 0.0], [0.5, 0.5]]
    session.number = 0  # chosen by its name, it is clicked anew
    session.click(np.full(2, 0.25))
    assert session.labels(0).tolist() == [[0.25, 0.25], [0.5, 0.5]]


def test_undo_takes_back_one_change_after_the_other(tmp_path: Path) -> None:
    session = LabelSession([7, 3], NAMES, 33, tmp_path / "a.csv")
    session.click(np.zeros(2))
    session.click(np.zeros(2))
    session.go(-1)
    session.drag(np.array([[0.5, 0.5], [0.0, 0.0]]))
    assert read_points(session.path)["7", "nose"] == (24.0, 24.0)
    session.go(1)
    session.undo()
    assert current(session)[0] == "7" and read_points(session.path)["7", "nose"] == (16.0, 16.0)
    session.undo()
    assert current(session) == ("7", "left, hand") and list(read_points(session.path)) == [("7", "nose")]
    session.undo()
    session.undo()
    assert current(session) == ("7", "nose") and not read_points(session.path)


def test_dragging_moves_labels_and_makes_none(tmp_path: Path) -> None:
    session = LabelSession([7], NAMES, 33, tmp_path / "a.csv")
    session.skip()
    session.click(np.zeros(2))
    session.drag(np.array([[np.nan, np.nan], [-0.5, 0.5]]))
    assert read_points(session.path) == {("7", "left, hand"): (8.0, 24.0)}


def test_a_table_is_continued_and_keeps_other_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\ufeffimage,landmark,x,y\nwalks/3.png,tail,2.5,3\n\n7,nose,1,2\n7,"left, hand",4,5\n')
    session = LabelSession([7, 3], NAMES, 33, path)
    assert current(session) == ("3", "nose") and session.count() == (2, 4)
    session.click(np.zeros(2))
    assert set(read_points(path)) == {("walks/3.png", "tail"), ("7", "nose"), ("7", "left, hand"), ("3", "nose")}


@pytest.mark.parametrize("names", [["nose", "nose"], ["nose", " nose "], ["ear", "no\rse"], ["ear", " "]])
def test_names_must_differ_in_more_than_spaces_and_be_of_one_line(names: list[str], tmp_path: Path) -> None:
    message = f"landmarks has {names[1].strip()!r} more than once, empty or of several lines: give"
    with pytest.raises(PplkitError, match=re.escape(message)):
        LabelSession([1], names, 33, tmp_path / "a.csv")


def test_names_are_read_back_as_they_were_clicked(tmp_path: Path) -> None:
    session = LabelSession([7], [" left hand ", "nose\t"], 33, tmp_path / "a.csv")
    session.click(np.zeros(2))
    assert current(LabelSession([7], [" left hand ", "nose\t"], 33, session.path)) == ("7", "nose")
    assert list(read_points(session.path)) == [("7", "left hand")]


def test_a_click_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    session = LabelSession([1], NAMES, 33, tmp_path / "missing" / "a.csv")
    with pytest.raises(PplkitError, match="cannot be written"):
        session.click(np.zeros(2))
    assert current(session) == ("1", "nose") and session.count() == (0, 2)
