"""Notebook 09 in JupyterLab: sliders move the bodies beside them."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_a_slider_moves_the_bodies(
    lab: Any, page: Any, run_all: Callable[[str], None], picture: Any, until: Any
) -> None:
    run_all(lab.put("09_mesh_pose", scale="smoke"))
    panel = page.locator(".jp-OutputArea-output:has(.noUi-handle)")
    panel.scroll_into_view_if_needed()
    bodies = panel.locator(".solid canvas").first
    bodies.wait_for()
    before = bodies.screenshot()
    page.locator(".noUi-handle").first.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    until(lambda: bodies.screenshot() != before)
    picture("sliders", panel)
