"""canvas.js alone, in a page without Jupyter: what dragging, clicking and keys tell the kernel, and what is drawn."""

from typing import Any

import numpy as np
import pytest

from pplkit.viz.widgets import canvas

pytestmark = pytest.mark.browser

# A stand-in for the model of a widget, which notes what would be sent to the kernel.
MODEL = """async ([source, state]) => {
    const listeners = {}, blob = new Blob([source], { type: "text/javascript" });
    window.sent = [];
    window.model = {
        get: (name) => state[name],
        set: (changes) => Object.assign(state, changes),
        save_changes: () => window.sent.push(JSON.parse(JSON.stringify({ points: state.points, moved: state.moved }))),
        send: (content) => window.sent.push(content),
        on: (event, act) => (listeners[event] = act),
        put: (changes) => {
            Object.assign(state, changes);
            for (const name of Object.keys(changes)) listeners["change:" + name]?.();
        },
    };
    state.image = new DataView(new Uint8Array(state.image).buffer);
    const widget = await import(URL.createObjectURL(blob));
    widget.default.render({ model: window.model, el: document.body });
}"""
STATE = {
    "size": 200, "margin": 0.0, "title": "a title", "image": [], "points": [[0, 0], [0.5, 0.5], None],
    "second_pose": [], "links": [[0, 1, 1.0], [1, 2, 0.5]], "colors": ["#112233"], "names": ["nose"], "labels": False,
    "draggable": False, "live": False, "clickable": False, "moved": 0,
}  # fmt: skip


@pytest.fixture
def drawn(page: Any) -> Any:
    """Shows a canvas with changes to STATE; returns the place of its drawing in the page."""

    def draw(**changes: Any) -> dict[str, float]:
        source = canvas.__file__.replace("canvas.py", "canvas.js")
        with open(source, encoding="utf8") as file:
            page.evaluate(MODEL, [file.read(), {**STATE, **changes}])
        return page.locator("svg").bounding_box()  # type: ignore[no-any-return]

    return draw


def sent(page: Any) -> list[Any]:
    return page.evaluate("window.sent")  # type: ignore[no-any-return]


def drag(page: Any, box: dict[str, float], start: tuple[float, float], *stops: tuple[float, float]) -> None:
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    for x, y in stops:
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()


def test_points_and_links_are_where_they_belong(page: Any, drawn: Any) -> None:
    box = drawn()
    assert (box["width"], box["height"]) == (200, 200)
    assert page.locator("circle").count() == 2  # the third is not there
    dot = page.locator("circle[data-index='1']").bounding_box()
    assert dot["x"] + dot["width"] / 2 == pytest.approx(box["x"] + 150, abs=0.6)
    assert dot["y"] + dot["height"] / 2 == pytest.approx(box["y"] + 150, abs=0.6)
    assert page.locator("line").count() == 2  # one link with its rim; the other has only one end
    assert page.locator("figcaption").inner_text() == "a title"


def test_a_drag_that_is_watched_tells_every_move_and_stays_inside(page: Any, drawn: Any) -> None:
    box = drawn(draggable=True, live=True)
    drag(page, box, (100, 100), (110, 100), (120, 90), (400, 90))
    said = sent(page)
    assert [len(one["points"]) for one in said] == [3] * 3 and [one["moved"] for one in said] == [1, 2, 3]
    assert [one["points"][0] for one in said] == [
        pytest.approx(to, abs=0.01) for to in ([0.1, 0], [0.2, -0.1], [1, -0.1])
    ]
    assert said[-1]["points"][1:] == [[0.5, 0.5], None]


def test_other_drags_tell_their_end_alone_and_a_mere_press_nothing(page: Any, drawn: Any) -> None:
    box = drawn(draggable=True)
    drag(page, box, (100, 100))
    assert sent(page) == []
    drag(page, box, (100, 100), (110, 100), (120, 90))
    (said,) = sent(page)
    assert said["points"][0] == pytest.approx([0.2, -0.1], abs=0.01)


def test_arrow_keys_move_the_point_that_has_the_focus(page: Any, drawn: Any) -> None:
    drawn(draggable=True)
    page.locator("circle[data-index='1']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert sent(page)[-1]["points"][1] == pytest.approx([0.52, 0.48])


def test_a_click_tells_its_place_and_one_on_a_label_does_not(page: Any, drawn: Any) -> None:
    box = drawn(clickable=True, draggable=True)
    page.mouse.click(box["x"] + 20, box["y"] + 180)
    page.mouse.click(box["x"] + 150, box["y"] + 150)
    (said,) = sent(page)
    assert said["event"] == "click" and [said["x"], said["y"]] == pytest.approx([-0.8, 0.8], abs=0.01)


def test_other_buttons_neither_click_nor_drag(page: Any, drawn: Any) -> None:
    box = drawn(clickable=True, draggable=True, live=True)
    for button in ("right", "middle"):
        page.mouse.click(box["x"] + 20, box["y"] + 180, button=button)
        page.mouse.move(box["x"] + 100, box["y"] + 100)  # over a label
        page.mouse.down(button=button)
        page.mouse.move(box["x"] + 120, box["y"] + 100)
        page.mouse.up(button=button)
    assert sent(page) == []
    page.mouse.click(box["x"] + 20, box["y"] + 180)
    assert [one["event"] for one in sent(page)] == ["click"]


def test_a_touch_clicks(page: Any, drawn: Any) -> None:
    box = drawn(clickable=True)
    at = {"clientX": box["x"] + 20, "clientY": box["y"] + 180, "bubbles": True, "pointerType": "touch", "button": 0}
    page.locator("svg").dispatch_event("pointerdown", at)
    (said,) = sent(page)
    assert said["event"] == "click" and [said["x"], said["y"]] == pytest.approx([-0.8, 0.8], abs=0.01)


def test_what_the_kernel_changes_is_drawn_and_the_point_in_hand_stays(page: Any, drawn: Any) -> None:
    box = drawn(draggable=True, live=True)
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 100)
    page.evaluate("window.model.put({ points: [[0, 0], [-0.5, 0], null], title: 'later' })")
    page.wait_for_function("document.querySelector('figcaption').textContent === 'later'")
    places = [float(page.locator(f"circle[data-index='{k}']").get_attribute("cx")) for k in (0, 1)]
    assert places == [pytest.approx(0.4, abs=0.01), -0.5]
    page.mouse.up()


def test_an_image_is_shown_from_its_bytes(page: Any, drawn: Any) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = (255, 0, 0)
    drawn(image=list(canvas.png(image)), margin=1 / 3, points=[])
    assert page.locator("image").get_attribute("href").startswith("data:image/png;base64,")
    assert page.locator("image").evaluate("shown => shown.style.imageRendering") == "pixelated"
