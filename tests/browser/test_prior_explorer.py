"""Notebook 03 in JupyterLab: what sliders and dragging do to what is shown."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


class Explorer:
    """The panel, and what it shows: places of the points, link map, nearest prototype, title, matrix."""

    def __init__(self, page: Any) -> None:
        boards = page.locator(".pplkit-canvas")
        self.pose, self.near, self.heat = boards.nth(0), boards.nth(1), boards.nth(2)
        self.heat.locator("image").wait_for()
        self.panel = page.locator(".jp-OutputArea-output:has(.pplkit-canvas)")
        self.matrix = self.panel.locator("img.widget-image, .widget-image img, img").first
        self.lines = self.pose.locator("line")

    def shown(self) -> list[Any]:
        points = self.pose.locator("circle[data-index]").evaluate_all("all => all.map(one => one.getAttribute('cx'))")
        link_map, matrix = self.heat.locator("image").get_attribute("href"), self.matrix.get_attribute("src")
        return [points, link_map, self.near.inner_text(), self.pose.inner_text(), matrix]

    def changed(self, before: list[Any], *parts: int) -> list[Any] | None:
        """What is shown, if all these parts are others."""
        now = self.shown()
        return now if all(now[part] != before[part] for part in parts) else None


def test_vectors_drags_and_the_threshold(
    lab: Any, page: Any, run_all: Callable[[str], None], picture: Any, until: Any
) -> None:
    run_all(lab.put("03_prior_distillation", scale="smoke"))
    explorer = Explorer(page)
    panel, changed = explorer.panel, explorer.changed
    assert panel.locator("img[src^='data:']").count() == 0  # the widget, not the picture for where there is no kernel
    panel.scroll_into_view_if_needed()
    picture("prior", panel)

    first = explorer.shown()
    page.locator(".noUi-handle").nth(0).focus()
    page.keyboard.press("ArrowRight")  # from the mean of the bank to a vector
    second = until(lambda: changed(first, 0, 1, 3))

    drag(page, explorer.pose.locator("circle[data-index='3']").bounding_box())
    third = until(lambda: changed(second, 0, 1, 2, 3))
    assert sum(a != b for a, b in zip(second[0], third[0], strict=True)) == 1  # that which lies on top
    picture("dragged", panel)

    lines = explorer.lines.count()
    page.locator(".noUi-handle").nth(1).focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    until(lambda: explorer.lines.count() < lines)  # the link map may stay as it is: links lie on others
    fourth = until(lambda: changed(third, 4))
    assert fourth[0] == third[0] and explorer.lines.count() > 0
    picture("threshold", panel)

    page.get_by_role("button", name="Back to the prior").click()
    assert until(lambda: changed(fourth, 0))[0] == first[0]


def drag(page: Any, box: dict[str, float]) -> None:
    """From the middle of the box to the right and up."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(x + 6 * step, y - 4 * step)
    page.mouse.up()


def test_without_a_kernel_there_is_the_picture(lab: Any, page: Any) -> None:
    """As committed: opened, and not run."""
    page.goto(lab.put_published("03_prior_distillation"))
    cell = page.locator(".jp-CodeCell:has-text('PriorExplorer(model')")
    image = cell.locator(".jp-RenderedImage img")
    image.wait_for()
    assert image.evaluate("image => image.naturalWidth") > 800 and page.locator(".pplkit-canvas").count() == 0
    image.scroll_into_view_if_needed()
