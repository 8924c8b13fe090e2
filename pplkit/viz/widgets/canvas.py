"""An image in a notebook with points to drag, or places to click; its other half is `canvas.js`.

It is an anywidget: the front end gets the script from the kernel, so that nothing has to be built, installed into
JupyterLab or loaded from the web.
"""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from pplkit.viz.drawing import keypoint_colors

MARGIN = 0.05  # around the plane where there is no image


def canvas(size: int, *, title: str = "", points: int = 0, image_size: int = 0, **options: Any) -> Any:
    """A canvas of `size` CSS pixels a side with `points` points in the colors that they have in figures.

    image_size is the number of pixels a side of the images it will show, if any. `options` are traits of the widget:
    draggable, live (reports every move of a drag, not its end alone), clickable, labels (names beside the points) and
    names.
    """
    margin = 1 / (image_size - 1) if image_size else MARGIN  # half a pixel
    colors = [to_hex(color) for color in keypoint_colors(points)]
    return _widget()(size=size, title=title, margin=margin, colors=colors, **options)


def as_lists(points: np.ndarray) -> list[list[float] | None]:
    """Points (N, 2) as JSON takes them: [x, y], or None for one that is NaN."""
    return [[float(x), float(y)] if np.isfinite((x, y)).all() else None for x, y in points]


def on_drag(widget: Any, act: Callable[[np.ndarray], None]) -> None:
    """Have `act(points)` called with all points (N, 2) when one of them is dragged; NaN: not there."""
    widget.observe(lambda _: act(np.array([point or (np.nan, np.nan) for point in widget.points], float)), "moved")


def on_click(widget: Any, act: Callable[[np.ndarray], None]) -> None:
    """Call `act(point)` at every click, touch or pen, with its position (2,) in [-1, 1]."""

    def handle(_: Any, content: Any, __: Any) -> None:
        if content.get("event") == "click":
            act(np.array([content["x"], content["y"]]))

    widget.on_msg(handle)


def png(image: np.ndarray) -> bytes:
    """An image, uint8 (S, S) or (S, S, 3), as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    return file.getvalue()


@cache
def _widget() -> Any:
    """The widget's class; made here, so that the package imports without Jupyter."""
    import anywidget
    import traitlets

    class Canvas(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = (Path(__file__).parent / "canvas.js").read_text(encoding="utf8")
        size = traitlets.Int(300).tag(sync=True)
        margin = traitlets.Float(MARGIN).tag(sync=True)
        title = traitlets.Unicode("").tag(sync=True)
        image = traitlets.Bytes(b"").tag(sync=True)
        points: Any = traitlets.List([]).tag(sync=True)
        second_pose: Any = traitlets.List([]).tag(sync=True)  # with the same links, in orange
        links: Any = traitlets.List([]).tag(sync=True)  # [i, j, strength], the strongest first
        colors: Any = traitlets.List([]).tag(sync=True)
        names: Any = traitlets.List([]).tag(sync=True)
        labels = traitlets.Bool(False).tag(sync=True)
        draggable = traitlets.Bool(False).tag(sync=True)
        live = traitlets.Bool(False).tag(sync=True)
        clickable = traitlets.Bool(False).tag(sync=True)
        moved = traitlets.Int(0).tag(sync=True)  # how many times a point was

    return Canvas
