"""Notebook 03 in JupyterLab: what sliders and dragging do to what is shown."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_the_prior_explorer(lab: Any, page: Any, run_all: Callable[[str], None]) -> None:
    run_all(lab.put("03_prior_distillation", scale="smoke"))
    page.locator(".pplkit-board").first.wait_for()
    page.wait_for_timeout(3000)
