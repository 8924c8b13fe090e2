"""An image in a notebook with points that can be dragged, or places that can be clicked; its other half is `canvas.js`.

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

from pplkit.viz.drawing import keypoint_colours

MARGIN = 0.05  # around the plane, where there is no picture


def board(size: int, *, title: str = "", points: int = 0, picture: int = 0, **options: Any) -> Any:
    """A board of `size` CSS pixels a side with `points` points of the colours that they have in figures.

    picture is the number of pixels a side of the pictures it will show, if any. `options` are the traits of the widget:
    draggable, live (told of every move of a drag, not of its end alone), clickable, labels (names beside the points)
    and names.
    """
    margin = 1 / (picture - 1) if picture else MARGIN  # half a pixel
    colours = [to_hex(colour) for colour in keypoint_colours(points)]
    return _kind()(size=size, title=title, margin=margin, colours=colours, **options)


def as_lists(points: np.ndarray) -> list[list[float] | None]:
    """Points (N, 2) as JSON takes them: [x, y], or None for one that is NaN."""
    return [[float(x), float(y)] if np.isfinite((x, y)).all() else None for x, y in points]


def on_drag(target: Any, act: Callable[[np.ndarray], None]) -> None:
    """Have `act(points)` called with all points (N, 2) as one of them is dragged; NaN: not there."""

    def moved(_: Any) -> None:
        act(np.array([point or (np.nan, np.nan) for point in target.points], np.float64))

    target.observe(moved, "moved")


def on_click(target: Any, act: Callable[[np.ndarray], None]) -> None:
    """Have `act(point)` called with the place (2,) in [-1, 1] of every click of the primary button, touch or pen."""

    def clicked(_: Any, content: Any, __: Any) -> None:
        if content.get("event") == "click":
            act(np.array([content["x"], content["y"]]))

    target.on_msg(clicked)


def png(image: np.ndarray) -> bytes:
    """An image, uint8 (S, S) or (S, S, 3), as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    return file.getvalue()


@cache
def _kind() -> Any:
    """The class of boards; made here, so that the package imports without Jupyter."""
    import anywidget
    import traitlets

    class Board(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = (Path(__file__).parent / "canvas.js").read_text(encoding="utf8")
        size = traitlets.Int(300).tag(sync=True)
        margin = traitlets.Float(MARGIN).tag(sync=True)
        title = traitlets.Unicode("").tag(sync=True)
        picture = traitlets.Bytes(b"").tag(sync=True)
        points: Any = traitlets.List([]).tag(sync=True)
        others: Any = traitlets.List([]).tag(sync=True)  # a second pose with the same links, in orange
        links: Any = traitlets.List([]).tag(sync=True)  # [i, j, strength], the strongest first
        colours: Any = traitlets.List([]).tag(sync=True)
        names: Any = traitlets.List([]).tag(sync=True)
        labels = traitlets.Bool(False).tag(sync=True)
        draggable = traitlets.Bool(False).tag(sync=True)
        live = traitlets.Bool(False).tag(sync=True)  # told of every move of a drag, not of its end only
        clickable = traitlets.Bool(False).tag(sync=True)
        moved = traitlets.Int(0).tag(sync=True)  # how often a point was

    return Board
