"""Notebook 04 in JupyterLab: landmarks are clicked, kept, corrected and taken back."""

from collections.abc import Callable
from typing import Any

import pytest

from pplkit.labels import read_points

pytestmark = pytest.mark.browser
NAMES = ["nose", "left hand"]


def test_landmarks_are_clicked(lab: Any, page: Any, run_all: Callable[[str], None], picture: Any) -> None:
    run_all(lab.put("04_evaluation", scale="smoke", landmarks=NAMES, to_click=3))
    board = page.locator(".pplkit-board")
    board.locator("image").wait_for()
    board.scroll_into_view_if_needed()
    file = lab.home / "runs" / "puppets-smoke" / "landmarks.csv"
    panel = page.locator(".jp-OutputArea-output:has(.pplkit-board)")

    def asked(text: str) -> None:
        """Wait until the board asks for this."""
        board.get_by_text(text).wait_for()

    def click(x: float, y: float) -> None:
        box = board.locator("svg").bounding_box()
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    asked("Image 1 of 3: click nose")
    first = board.locator("image").get_attribute("href")
    click(0.25, 0.5)
    asked("Image 1 of 3: click left hand")
    assert panel.get_by_role("button", name="✓ nose").count() == 1 and board.locator("circle").count() == 1
    ((image, name), (x, y)) = next(iter(read_points(file).items()))
    size = round(1 / float(board.locator("svg").evaluate("svg => -svg.viewBox.baseVal.x - 1"))) + 1  # from the margin
    assert (image, name) == ("0", "nose") and x == pytest.approx(0.25 * size - 0.5, abs=0.2)
    assert y == pytest.approx(0.5 * size - 0.5, abs=0.2)
    picture("clicked", panel)

    panel.get_by_role("button", name="Skip").click()
    asked("Image 2 of 3: click nose")
    assert board.locator("image").get_attribute("href") != first
    click(0.5, 0.5)
    asked("Image 2 of 3: click left hand")
    panel.get_by_role("button", name="Undo").click()
    asked("Image 2 of 3: click nose")
    assert list(read_points(file)) == [("0", "nose")]

    panel.get_by_role("button", name="Previous").click()
    asked("Image 1 of 3: click left hand")  # the one that was skipped
    box = board.locator("circle").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 30)
    page.mouse.up()
    for _ in range(100):
        if read_points(file)["0", "nose"] != (x, y):
            break
        page.wait_for_timeout(200)
    assert read_points(file)["0", "nose"][0] > x + 1
    assert "1 of 6 points have a label" in panel.inner_text()
    panel.get_by_role("button", name="Next").click()
    asked("Image 2 of 3: click nose")
    click(0.5, 0.5)
    asked("Image 2 of 3: click left hand")

    page.locator(".jp-CodeCell:has-text('name_landmarks(')").locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")  # the fit, which had nothing before
    fitted = page.locator(".jp-CodeCell:has-text('name_landmarks(') .jp-OutputArea-output")
    fitted.get_by_text("images left out of the fit").wait_for()
    assert "nose" in fitted.inner_text() and "There are no landmarks" not in fitted.inner_text()
    for _ in range(2):
        page.keyboard.press("Shift+Enter")  # over the text to the figure of errors
    drawn = page.locator(".jp-CodeCell:has-text('named_points(') .jp-RenderedImage img")
    for _ in range(2):
        page.keyboard.press("Shift+Enter")
    drawn.wait_for()
    drawn.scroll_into_view_if_needed()
    picture("named", drawn)
