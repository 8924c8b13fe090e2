"""The widget for clicking landmarks: the images it shows, the table it writes, and its figure without a kernel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.inference.landmarks.fitting import read_labels
from pplkit.inference.landmarks.label_table import read_points
from pplkit.viz.widgets.canvas import as_lists
from pplkit.viz.widgets.landmark_labeller import LandmarkLabeller

NAMES = ["nose", "left, hand"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "chooses none of 20 images"),
        (-3, "chooses none of 20 images"),
        ([4, 999999], "has 999999, which is no position of 20 images"),
        ([-1], "has -1, which is no position of 20 images"),
        ([1.5], "has 1.5, which is no position of 20 images"),
        ([True], "has True, which is no position of 20 images"),
        (None, "has None, which is no position of 20 images"),
    ],
)
def test_only_images_of_the_split_can_be_clicked(images: Any, message: str, puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=f"^to_click {message}: give positions from 0 to 19, or how many.$"):
        LandmarkLabeller(puppets["train"], images, NAMES, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("images", "shown"), [(2, ["0", "19"]), (99, [str(k) for k in range(20)]), (np.array([19, 0]), ["19", "0"])]
)
def test_images_are_chosen_by_number_or_position(
    images: Any, shown: list[str], puppets: Dataset, tmp_path: Path
) -> None:
    clicks = LandmarkLabeller(puppets["train"], images, ["nose"], tmp_path / "a.csv")
    assert clicks.state.images == shown
    np.testing.assert_array_equal(clicks.images, [puppets["train"].images[int(place)] for place in shown])
    clicks.state.click(np.zeros(2))
    labeled = read_labels(tmp_path / "a.csv", puppets["train"], 32)
    np.testing.assert_array_equal(labeled.images[0], puppets["train"].images[int(shown[0])])


def test_an_image_that_the_table_names_otherwise_is_not_labeled_again(puppets: Dataset, tmp_path: Path) -> None:
    path, source = tmp_path / "a.csv", puppets["train"].sources[7]
    path.write_text(f"image,landmark,x,y\n{source},nose,2,3\n04,nose,4,5\nwalks/3.png,nose,1,1\n")
    state = LandmarkLabeller(puppets["train"], [7, 4], NAMES, path).state
    assert state.name == "left, hand" and state.count() == (2, 4)
    state.click(np.zeros(2))
    state.drag(np.full((2, 2), np.nan))
    assert (state.place, state.name) == (1, "left, hand")
    names = [(source, "nose"), ("04", "nose"), ("walks/3.png", "nose"), ("7", "left, hand")]
    assert list(read_points(path)) == names  # the file keeps its own


def test_where_nobody_can_click_a_picture_shows_the_labels(puppets: Dataset, tmp_path: Path) -> None:
    clicks = LandmarkLabeller(puppets["train"], [4, 9], NAMES, tmp_path / "a.csv")
    clicks.state.click(np.array([0.5, -0.5]))
    first, second = [axis for axis in clicks.figure().axes if axis.get_visible()]
    assert (first.get_title(), second.get_title()) == ("image 4", "image 9")
    assert (first.images[0].get_array() == puppets["train"].images[4]).all()
    assert np.allclose(first.collections[0].get_offsets()[0], [0.5, -0.5], atol=1e-3)
    assert list(clicks._repr_mimebundle_()) == ["text/plain", "image/png"]
    nothing = LandmarkLabeller(puppets["train"], [4, 9], [], tmp_path / "b.csv")
    assert list(nothing._repr_mimebundle_()) == ["text/plain", "image/png"]


def test_the_widget_does_what_is_clicked(puppets: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.viz.widgets.landmark_labeller.attended", lambda: True)
    clicks = LandmarkLabeller(puppets["train"], [4, 9], NAMES, tmp_path / "a.csv")
    assert "application/vnd.jupyter.widget-view+json" in clicks._repr_mimebundle_()
    panel = clicks._panel
    assert panel is not None and panel.canvas.title == "Image 1 of 2: click nose"
    before = panel.canvas.image
    panel.canvas._handle_custom_msg({"event": "click", "x": 0.5, "y": -0.5}, [])
    assert panel.next.options == (("✓ nose", 0), ("left, hand", 1)) and panel.next.value == 1
    assert "1 of 4 points" in panel.text.value and panel.canvas.title.endswith("click left, hand")
    panel.canvas._handle_custom_msg({"event": "click", "x": 0.0, "y": 0.0}, [])
    assert panel.canvas.title == "Image 2 of 2: click nose" and panel.canvas.image != before
    assert panel.canvas.points == [None, None]
    panel.next.value = 1  # chosen by its name
    assert panel.canvas.title.endswith("click left, hand") and clicks.state.name == "left, hand"
    clicks.state.path = tmp_path / "missing" / "a.csv"
    panel.canvas._handle_custom_msg({"event": "click", "x": 0.0, "y": 0.0}, [])
    assert "cannot be written" in panel.text.value and panel.canvas.points == [None, None]


def test_points_that_are_not_there_are_null() -> None:
    assert as_lists(np.array([[0.5, 1], [np.nan, np.nan]])) == [[0.5, 1.0], None]
