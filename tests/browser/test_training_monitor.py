"""Notebook 02 in JupyterLab: the buttons act while the cell of the training is busy."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser
STEPS = 100_000  # never reached


def test_pause_resume_save_and_stop(
    lab: Any, page: Any, run_all: Callable[[str], None], picture: Any, until: Any
) -> None:
    run_all(lab.put("02_training", scale="smoke", run="watched", steps=STEPS))
    page.get_by_role("button", name="Pause").wait_for()
    cell = page.locator(".jp-CodeCell:has-text('TrainingMonitor()')")
    text, figure = cell.locator(".widget-label"), cell.locator(".jp-RenderedImage img")
    figure.wait_for()
    before = figure.get_attribute("src")

    cell.get_by_role("button", name="Pause").click()
    page.wait_for_function("text => text.textContent.startsWith('paused at step')", arg=text.element_handle())
    paused, drawn = text.inner_text(), figure.get_attribute("src")
    assert drawn != before  # the figure of the step at which it waits
    picture("paused", cell)
    page.wait_for_timeout(2000)
    assert (text.inner_text(), figure.get_attribute("src")) == (paused, drawn)

    cell.get_by_role("button", name="Resume").click()
    page.wait_for_function("text => text.textContent.startsWith('step')", arg=text.element_handle())
    assert text.inner_text().split("   ")[0] != paused.removeprefix("paused at ").split("   ")[0]

    run = lab.home / "runs" / "watched-smoke"
    cell.get_by_role("button", name="Save").click()  # the toolbar has one as well
    saved = until(lambda: [step for step in steps(run) if step % 200])
    assert saved[0] % 20 == 0

    cell.get_by_role("button", name="Stop").click()
    said = page.get_by_text(f"of {STEPS} and stops: run the cell again to go on there").inner_text()
    until(lambda: f"saves step {steps(run)[-1]} of" in said)  # the checkpoint comes a moment after the text
    cell.get_by_role("button", name="Stop").wait_for(state="detached")  # a moment after the text is there
    assert figure.is_visible()
    page.locator(".jp-OutputArea-output").get_by_text("steps, last loss").wait_for()  # the cells below go on
    picture("stopped", cell)


def steps(run: Any) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in (run / "checkpoints").glob("step-*.safetensors"))
