"""The page of a batch, opened as a file: complete without a server, and its links lead somewhere."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
import yaml

pytestmark = pytest.mark.browser


def test_the_page_of_a_batch(home: Path, page: Any, tmp_path: Path, picture: Any) -> None:
    plan = tmp_path / "seeds.yaml"
    content = {"datasets": ["puppets"], "seeds": [0, 1], "scale": "smoke", "notebooks": ["02_training"]}
    plan.write_text(yaml.safe_dump(content), encoding="utf8")
    command = [sys.executable, "-m", "pplkit", "batch", str(plan)]
    subprocess.run(command, check=True, env={**os.environ, "PPLKIT_HOME": str(home)})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((home / "runs" / "batches" / "seeds-smoke" / "index.html").as_uri())

    assert page.get_by_role("heading", name="seeds-smoke").count() == 1
    assert "2 runs: 2 finished" in page.locator("body").inner_text()
    (loss,) = page.locator("td.number").all_inner_texts()[:1]
    assert "(2)" in loss  # in short: the mean over both seeds
    assert page.locator("th").all_inner_texts()[:2] == ["variant", "puppets: last loss"]
    sizes = page.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert len(sizes) == 2 and min(sizes) > 100  # curves and priors
    links = page.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert len(links) == 4 and all(Path(unquote(urlparse(link).path)).exists() for link in links)
    picture("whole", page.locator("body"))
    fold = page.locator("summary")
    assert fold.inner_text() == "puppets" and page.locator("img").first.is_visible()
    fold.click()  # a data set's part is folded, and what is in short above and the runs below stay
    page.locator("img").first.wait_for(state="hidden")
    assert page.locator("table:visible").count() == 2
    fold.click()
    page.locator("img").first.wait_for(state="visible")
    assert {urlparse(url).scheme for url in asked} <= {"file", "data"}
    assert page.evaluate("document.scripts.length") == 0
