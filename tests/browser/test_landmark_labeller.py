"""Notebook 04 in JupyterLab: landmarks are clicked, kept, corrected and taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sources import patchwork

from pplkit.inference.landmarks.label_table import read_points

pytestmark = pytest.mark.browser
NAMES = ["nose", "left hand"]
DRAWN = ".jp-CodeCell:has-text('landmarks_on_images(') .jp-RenderedImage img"


class Labeller:
    """The click widget of a page, as a person meets it."""

    def __init__(self, page: Any, until: Callable[[Callable[[], Any]], Any]) -> None:
        self.page, self.until, self.canvas = page, until, page.locator(".pplkit-canvas")
        self.panel = page.locator(".jp-OutputArea-output:has(.pplkit-canvas)")

    def asked(self, text: str) -> None:
        """Wait until the board asks for this."""
        self.canvas.get_by_text(text).wait_for()

    def click(self, x: float, y: float) -> None:
        """On the board, in shares of its sides."""
        box = self.canvas.locator("svg").bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def press(self, button: str) -> None:
        """A button by its name."""
        self.panel.get_by_role("button", name=button).click()

    def drag(self, right: float, down: float) -> None:
        """The point that is there, by so many pixels of the screen from its left upper end."""
        box = self.canvas.locator("circle").bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + right, box["y"] + down)
        self.page.mouse.up()


def test_landmarks_are_clicked(lab: Any, page: Any, run_all: Callable[[str], None], picture: Any, until: Any) -> None:
    run_all(lab.put("04_evaluation", scale="smoke", landmarks=NAMES, to_click=3))
    clicks, file = Labeller(page, until), lab.home / "runs" / "puppets-smoke" / "landmarks.csv"
    clicks.canvas.locator("image").wait_for()
    clicks.canvas.scroll_into_view_if_needed()
    clicked_and_kept(clicks, file)
    picture("clicked", clicks.panel)
    corrected_and_taken_back(clicks, file)
    fitted_and_drawn(clicks)
    picture("named", page.locator(DRAWN))


def clicked_and_kept(clicks: Labeller, file: Path) -> None:
    clicks.asked("Image 1 of 3: click nose")
    clicks.click(0.25, 0.5)
    clicks.asked("Image 1 of 3: click left hand")
    assert clicks.panel.get_by_role("button", name="✓ nose").count() == 1
    assert clicks.canvas.locator("circle").count() == 1
    ((image, name), (x, y)) = next(iter(read_points(file).items()))
    margin = float(clicks.canvas.locator("svg").evaluate("svg => -svg.viewBox.baseVal.x - 1"))
    size = round(1 / margin) + 1
    assert (image, name) == ("0", "nose") and x == pytest.approx(0.25 * size - 0.5, abs=0.2)
    assert y == pytest.approx(0.5 * size - 0.5, abs=0.2)


def corrected_and_taken_back(clicks: Labeller, file: Path) -> None:
    first = clicks.canvas.locator("image").get_attribute("href")
    (before,) = read_points(file).values()
    clicks.press("Skip")
    clicks.asked("Image 2 of 3: click nose")
    assert clicks.canvas.locator("image").get_attribute("href") != first
    clicks.click(0.5, 0.5)
    clicks.asked("Image 2 of 3: click left hand")
    clicks.press("Undo")
    clicks.asked("Image 2 of 3: click nose")
    assert list(read_points(file)) == [("0", "nose")]
    clicks.press("Previous")
    clicks.asked("Image 1 of 3: click left hand")  # the one that was skipped
    clicks.drag(100, 30)
    clicks.until(lambda: read_points(file)["0", "nose"] != before)
    assert read_points(file)["0", "nose"][0] > before[0] + 1
    assert "1 of 6 points have a label" in clicks.panel.inner_text()


def fitted_and_drawn(clicks: Labeller) -> None:
    clicks.press("Next")
    clicks.asked("Image 2 of 3: click nose")
    clicks.click(0.5, 0.5)
    clicks.asked("Image 2 of 3: click left hand")
    page = clicks.page
    page.locator(".jp-CodeCell:has-text('name_landmarks(')").locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")  # the fit, which had nothing before
    fitted = page.locator(".jp-CodeCell:has-text('name_landmarks(') .jp-OutputArea-output")
    fitted.get_by_text("images left out of the fit").wait_for()
    assert "nose" in fitted.inner_text() and "There are no landmarks" not in fitted.inner_text()
    for _ in range(4):  # over texts and the figure of errors to that of the points
        page.keyboard.press("Shift+Enter")
    page.locator(DRAWN).wait_for()
    page.locator(DRAWN).scroll_into_view_if_needed()


def test_photographs_are_clicked_at_their_own_size(
    lab: Any, page: Any, run_all: Callable[[str], None], picture: Any
) -> None:
    """The image on the board has the pixels of the file, not those of the prepared image."""
    photos = lab.home / "photos"
    photos.mkdir()
    for number in range(6):
        patchwork(photos / f"{number}.png", number, (320, 240))
    cells = [
        "from pathlib import Path\nimport pplkit\nfrom data_prep import prepared",
        "from pplkit.viz.widgets import LandmarkLabeller",
        f"data = pplkit.open_dataset(prepared('folder-big', {str(photos)!r}, 32, {{'crop': 'center'}}))",
        "LandmarkLabeller(data, 2, ['spot'], Path('clicks.csv'))",
    ]
    run_all(lab.put_cells("clicks", cells))
    image = page.locator(".pplkit-canvas image")
    image.wait_for()
    width = image.evaluate(
        "shown => new Promise(done => {const copy = new Image(); copy.onload = () => done(copy.naturalWidth);"
        "copy.src = shown.href.baseVal;})"
    )
    assert width == 240
    box = page.locator(".pplkit-canvas svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("Image 2 of 2: click spot").wait_for()
    (x, y) = next(iter(read_points(lab.root / "clicks.csv").values()))
    assert abs(x - 15.5) < 0.5 and abs(y - 15.5) < 0.5  # pixels of the prepared image
    picture("full_size", page.locator(".jp-OutputArea-output:has(.pplkit-canvas)"))
