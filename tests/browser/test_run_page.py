"""The page of a run, opened as a file on a phone and on a desk, light and dark."""

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from pplkit.experiments.run_page import write_run_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_of_a_run(width: int, scheme: str, home: Path, page: Any, picture: Any) -> None:
    file = write_run_page(home / "runs" / "puppets-smoke")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(file.as_uri())

    assert page.get_by_role("heading", level=1).inner_text() == "puppets-smoke"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert len(sizes) >= 2 + 8 + 5 and min(sizes) > 100  # prior, video, poses, curves
    assert all(page.locator("img").evaluate_all("all => all.map(one => one.alt.length > 5)"))
    boxes = page.locator("img, pre").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert max(boxes) <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings == ["The prior", "A video", "Poses", "Training", "The doctor", "What next", "This run"]
    assert any(text.startswith("pplkit doctor runs/puppets-smoke") for text in page.locator("pre").all_inner_texts())
    picture("whole", page.locator("body"))
    assert {urlparse(url).scheme for url in asked} <= {"file", "data"}
    assert page.evaluate("document.scripts.length") == 0
