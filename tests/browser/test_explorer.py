"""Notebook 03 in JupyterLab: what sliders and dragging do to what is shown."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_vectors_drags_and_the_threshold(lab: Any, page: Any, run_all: Callable[[str], None], picture: Any) -> None:
    run_all(lab.put("03_prior_distillation", scale="smoke"))
    boards = page.locator(".pplkit-board")
    pose, near, heat = boards.nth(0), boards.nth(1), boards.nth(2)
    heat.locator("image").wait_for()
    panel = page.locator(".jp-OutputArea-output:has(.pplkit-board)")
    assert panel.locator("img[src^='data:']").count() == 0  # the widget, not the picture for where there is no kernel
    matrix = panel.locator("img.widget-image, .widget-image img, img").first
    panel.scroll_into_view_if_needed()
    picture("prior", panel)

    def shown() -> list[Any]:
        points = pose.locator("circle[data-index]").evaluate_all("all => all.map(one => one.getAttribute('cx'))")
        link_map = heat.locator("image").get_attribute("href")
        return [points, link_map, near.inner_text(), pose.inner_text(), matrix.get_attribute("src")]

    def changed(before: list[Any], *parts: int) -> list[Any]:
        """What is shown once all these parts are others."""
        for _ in range(600):
            now = shown()
            if all(now[part] != before[part] for part in parts):
                return now
            page.wait_for_timeout(200)
        raise AssertionError(f"nothing changed in {parts}")

    first = shown()
    page.locator(".noUi-handle").nth(0).focus()
    page.keyboard.press("ArrowRight")  # from the mean of the bank to a vector
    second = changed(first, 0, 1, 3)

    box = pose.locator("circle[data-index='3']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(x + 6 * step, y - 4 * step)
    page.mouse.up()
    third = changed(second, 0, 1, 2, 3)
    assert sum(a != b for a, b in zip(second[0], third[0], strict=True)) == 1  # that which lies on top
    picture("dragged", panel)

    lines = pose.locator("line").count()
    handle = page.locator(".noUi-handle").nth(1)
    handle.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    fourth = changed(third, 4)
    for _ in range(600):  # the first step may hide none; the link map stays as it is where links lie on others
        if pose.locator("line").count() < lines:
            break
        page.wait_for_timeout(200)
    assert fourth[0] == third[0] and 0 < pose.locator("line").count() < lines
    picture("threshold", panel)

    page.get_by_role("button", name="Back to the prior").click()
    fifth = changed(fourth, 0)
    assert fifth[0] == first[0]


def test_without_a_kernel_there_is_the_picture(lab: Any, page: Any) -> None:
    """As committed: opened, and not run."""
    (lab.root / "read.ipynb").write_bytes((lab.notebooks / "03_prior_distillation.ipynb").read_bytes())
    page.goto(f"{lab.address}/doc/tree/read.ipynb?token={lab.token}")
    cell = page.locator(".jp-CodeCell:has-text('PriorExplorer(model')")
    image = cell.locator(".jp-RenderedImage img")
    image.wait_for()
    assert image.evaluate("image => image.naturalWidth") > 800 and page.locator(".pplkit-board").count() == 0
    image.scroll_into_view_if_needed()
