"""Clicked landmarks: which comes next, what the file holds after each click, and what is refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.inference.landmarks.fitting import read_labelled
from pplkit.inference.landmarks.label_table import Labels, read_points
from pplkit.viz.widgets.canvas import as_lists
from pplkit.viz.widgets.landmark_labeller import LandmarkClicks

NAMES = ["nose", "left, hand"]


def at(state: Labels) -> tuple[str, str]:
    return state.images[state.place], state.name


def test_clicks_go_by_name_and_then_to_the_next_image(tmp_path: Path) -> None:
    state = Labels([7, 3], NAMES, 33, tmp_path / "landmarks.csv")
    assert at(state) == ("7", "nose") and state.count() == (0, 4)
    state.click(np.array([-1.0, 0.0]))  # the centre of the first column, in the middle of 33 rows
    assert at(state) == ("7", "left, hand")
    assert state.path.read_text() == "image,landmark,x,y\n7,nose,0.0,16.0\n"
    state.click(np.array([1.2, 0.25]))  # outside: on the border
    assert at(state) == ("3", "nose")
    assert state.path.read_text() == 'image,landmark,x,y\n7,nose,0.0,16.0\n7,"left, hand",32.0,20.0\n'
    assert state.shown(0).tolist() == [[-1.0, 0.0], [1.0, 0.25]] and np.isnan(state.shown(1)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["landmarks.csv"]


def test_skipped_landmarks_stay_without_a_label(tmp_path: Path) -> None:
    state = Labels([7, 3], NAMES, 33, tmp_path / "a.csv")
    state.skip()
    state.click(np.zeros(2))
    assert at(state) == ("3", "nose") and list(read_points(state.path)) == [("7", "left, hand")]
    state.go(-1)
    assert at(state) == ("7", "nose")  # the one that is missing
    state.go(-1)
    assert at(state) == ("7", "nose")  # there is none before


def test_an_image_that_has_all_takes_no_more_clicks(tmp_path: Path) -> None:
    state = Labels([7], NAMES, 33, tmp_path / "a.csv")
    for place in (0.0, 0.5, 1.0):
        state.click(np.full(2, place))
    assert at(state) == ("7", "") and state.count() == (2, 2)
    assert state.shown(0).tolist() == [[0.0, 0.0], [0.5, 0.5]]
    state.number = 0  # chosen by its name it is clicked anew
    state.click(np.full(2, 0.25))
    assert state.shown(0).tolist() == [[0.25, 0.25], [0.5, 0.5]]


def test_undo_takes_back_one_change_after_the_other(tmp_path: Path) -> None:
    state = Labels([7, 3], NAMES, 33, tmp_path / "a.csv")
    state.click(np.zeros(2))
    state.click(np.zeros(2))
    state.go(-1)
    state.drag(np.array([[0.5, 0.5], [0.0, 0.0]]))
    assert read_points(state.path)["7", "nose"] == (24.0, 24.0)
    state.go(1)
    state.undo()
    assert at(state)[0] == "7" and read_points(state.path)["7", "nose"] == (16.0, 16.0)
    state.undo()
    assert at(state) == ("7", "left, hand") and list(read_points(state.path)) == [("7", "nose")]
    state.undo()
    state.undo()
    assert at(state) == ("7", "nose") and not read_points(state.path)


def test_dragging_moves_labels_and_makes_none(tmp_path: Path) -> None:
    state = Labels([7], NAMES, 33, tmp_path / "a.csv")
    state.skip()
    state.click(np.zeros(2))
    state.drag(np.array([[np.nan, np.nan], [-0.5, 0.5]]))
    assert read_points(state.path) == {("7", "left, hand"): (8.0, 24.0)}


def test_a_file_is_taken_up_where_it_was_left_and_keeps_what_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\ufeffimage,landmark,x,y\nwalks/3.png,tail,2.5,3\n\n7,nose,1,2\n7,"left, hand",4,5\n')
    state = Labels([7, 3], NAMES, 33, path)
    assert at(state) == ("3", "nose") and state.count() == (2, 4)
    state.click(np.zeros(2))
    assert set(read_points(path)) == {("walks/3.png", "tail"), ("7", "nose"), ("7", "left, hand"), ("3", "nose")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,name\n", "must begin with the line image,landmark,x,y"),
        ("image,landmark,x,y\n1,nose,2,3\n1,nose,2,3\n", "line 3, labels 'nose' on '1' a second time"),
        ("image,landmark,x,y\n1,nose,2\n", "line 2"),
        ("image,landmark,x,y\n1,,2,3\n", "line 2"),
        ("image,landmark,x,y\n1,nose,nan,3\n", "line 2"),
        ("", "must begin"),
    ],
)
def test_other_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "landmarks.csv"
    path.write_text(text)
    with pytest.raises(PplkitError, match=f"landmarks.csv,? .*{said}"):
        Labels([1], NAMES, 33, path)


@pytest.mark.parametrize("names", [["nose", "nose"], ["nose", " nose "], ["ear", "no\rse"], ["ear", " "]])
def test_names_must_differ_in_more_than_spaces_and_be_of_one_line(names: list[str], tmp_path: Path) -> None:
    said = f"landmarks has {names[1].strip()!r} more than once, empty or of several lines: give"
    with pytest.raises(PplkitError, match=re.escape(said)):
        Labels([1], names, 33, tmp_path / "a.csv")


def test_names_are_read_back_as_they_were_clicked(tmp_path: Path) -> None:
    state = Labels([7], [" left hand ", "nose\t"], 33, tmp_path / "a.csv")
    state.click(np.zeros(2))
    assert at(Labels([7], [" left hand ", "nose\t"], 33, state.path)) == ("7", "nose")
    assert list(read_points(state.path)) == [("7", "left hand")]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "chooses none of 20 images"),
        (0, "chooses none of 20 images"),
        (-3, "chooses none of 20 images"),
        ([4, 999999], "has 999999, which is no position of 20 images"),
        ([-1], "has -1, which is no position of 20 images"),
        ([1.5], "has 1.5, which is no position of 20 images"),
        ([True], "has True, which is no position of 20 images"),
        (None, "has None, which is no position of 20 images"),
    ],
)
def test_images_that_there_are_not_cannot_be_clicked(images: Any, said: str, puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=f"^to_click {said}: give positions from 0 to 19, or how many.$"):
        LandmarkClicks(puppets["train"], images, NAMES, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_labels_take_no_images_that_are_not_read_back(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="^to_click has -1, which is no position: give positions from 0 on.$"):
        Labels([-1], NAMES, 33, tmp_path / "a.csv")
    with pytest.raises(PplkitError, match="^to_click chooses none: give"):
        Labels([], NAMES, 33, tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("images", "shown"), [(2, ["0", "19"]), (99, [str(k) for k in range(20)]), (np.array([19, 0]), ["19", "0"])]
)
def test_images_are_chosen_by_number_or_position(
    images: Any, shown: list[str], puppets: Dataset, tmp_path: Path
) -> None:
    clicks = LandmarkClicks(puppets["train"], images, ["nose"], tmp_path / "a.csv")
    assert clicks.state.images == shown
    np.testing.assert_array_equal(clicks.images, [puppets["train"].images[int(place)] for place in shown])
    clicks.state.click(np.zeros(2))
    found = read_labelled(tmp_path / "a.csv", puppets["train"], 32)
    np.testing.assert_array_equal(found.images[0], puppets["train"].images[int(shown[0])])


def test_an_image_that_the_file_calls_otherwise_is_not_labelled_again(puppets: Dataset, tmp_path: Path) -> None:
    path, source = tmp_path / "a.csv", puppets["train"].sources[7]
    path.write_text(f"image,landmark,x,y\n{source},nose,2,3\n04,nose,4,5\nwalks/3.png,nose,1,1\n")
    state = LandmarkClicks(puppets["train"], [7, 4], NAMES, path).state
    assert at(state) == ("7", "left, hand") and state.count() == (2, 4)
    state.click(np.zeros(2))
    state.drag(np.full((2, 2), np.nan))
    assert at(state) == ("4", "left, hand")
    names = [(source, "nose"), ("04", "nose"), ("walks/3.png", "nose"), ("7", "left, hand")]
    assert list(read_points(path)) == names  # the file keeps its own


def test_a_click_that_cannot_be_kept_is_not_taken(tmp_path: Path) -> None:
    state = Labels([1], NAMES, 33, tmp_path / "missing" / "a.csv")
    with pytest.raises(PplkitError, match="cannot be written"):
        state.click(np.zeros(2))
    assert at(state) == ("1", "nose") and state.count() == (0, 2)


def test_where_nobody_can_click_a_picture_shows_the_labels(puppets: Dataset, tmp_path: Path) -> None:
    clicks = LandmarkClicks(puppets["train"], [4, 9], NAMES, tmp_path / "a.csv")
    clicks.state.click(np.array([0.5, -0.5]))
    first, second = [axis for axis in clicks.figure().axes if axis.get_visible()]
    assert (first.get_title(), second.get_title()) == ("image 4", "image 9")
    assert (first.images[0].get_array() == puppets["train"].images[4]).all()
    assert np.allclose(first.collections[0].get_offsets()[0], [0.5, -0.5], atol=1e-3)
    assert list(clicks._repr_mimebundle_()) == ["text/plain", "image/png"]
    nothing = LandmarkClicks(puppets["train"], [4, 9], [], tmp_path / "b.csv")
    assert list(nothing._repr_mimebundle_()) == ["text/plain", "image/png"]


def test_the_widget_does_what_is_clicked(puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.viz.widgets.landmark_labeller.attended", lambda: True)
    clicks = LandmarkClicks(puppets["train"], [4, 9], NAMES, tmp_path / "a.csv")
    assert "application/vnd.jupyter.widget-view+json" in clicks._repr_mimebundle_()
    panel = clicks._panel
    assert panel is not None and panel.board.title == "Image 1 of 2: click nose"
    before = panel.board.picture
    panel.board._handle_custom_msg({"event": "click", "x": 0.5, "y": -0.5}, [])
    assert panel.next.options == (("✓ nose", 0), ("left, hand", 1)) and panel.next.value == 1
    assert "1 of 4 points" in panel.text.value and panel.board.title.endswith("click left, hand")
    panel.board._handle_custom_msg({"event": "click", "x": 0.0, "y": 0.0}, [])
    assert panel.board.title == "Image 2 of 2: click nose" and panel.board.picture != before
    assert panel.board.points == [None, None]
    panel.next.value = 1  # chosen by its name
    assert panel.board.title.endswith("click left, hand") and clicks.state.name == "left, hand"
    clicks.state.path = tmp_path / "missing" / "a.csv"
    panel.board._handle_custom_msg({"event": "click", "x": 0.0, "y": 0.0}, [])
    assert "cannot be written" in panel.text.value and panel.board.points == [None, None]


def test_points_that_are_not_there_are_null() -> None:
    assert as_lists(np.array([[0.5, 1], [np.nan, np.nan]])) == [[0.5, 1.0], None]
