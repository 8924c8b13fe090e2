"""Labeling landmarks in a notebook by clicks: image by image, by name, each click saved at once."""

from collections.abc import Sequence
from functools import partial
from html import escape
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, Split
from pplkit.data.sampling import evenly_spaced
from pplkit.inference.landmarks.fitting import find_image
from pplkit.inference.landmarks.source_squares import source_squares
from pplkit.viz.images import contact_sheet, landmarks_on_images
from pplkit.viz.widgets.canvas import as_lists, canvas, on_click, on_drag, png
from pplkit.viz.widgets.label_session import LabelSession
from pplkit.viz.widgets.notebook_host import attended, bundle

SIDE = 560  # CSS pixels of the image


class LandmarkLabeller:
    """The last expression of a cell: images to click landmarks on, or a figure where nobody is there to click.

    It takes a split or, for images as sharp as their source files, the data set whose training images are labeled; the
    positions of the images to show or how many of them (1 or more; all, if there are fewer), the
    names of the landmarks in the order of clicking, and the table that keeps the clicks. `state` is its `LabelSession`.
    Without names there is nothing to click. Raises PplkitError for no image, one that the split does not have, and as
    `LabelSession` does.
    """

    def __init__(
        self, source: Dataset | Split, images: int | Sequence[int] | np.ndarray, names: Sequence[str], path: Path
    ) -> None:
        split = source["train"] if isinstance(source, Dataset) else source
        chosen = _positions(images, split)
        self.images = np.asarray(split.images[np.array(chosen)])
        self.state = LabelSession(chosen, names, self.images.shape[1], path, partial(_rename, split))
        self._panel: _Panel | None = None
        self._source = source

    def squares(self) -> Sequence[np.ndarray]:
        """The images as they are shown: the prepared ones, or, of a data set, as sharp as its source files."""
        if isinstance(self._source, Dataset):
            return source_squares(self._source, self._source["train"], list(map(int, self.state.images)))
        return list(self.images)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self._panel is None and self.state.names and attended():
            self._panel = _Panel(self.state, self.squares(), self.images.shape[1])
        return bundle(self._panel and self._panel.whole, self.figure())

    def figure(self) -> Figure:
        """The images with the labels that they have so far."""
        state, count = self.state, len(self.images)
        titles = [f"image {image}" for image in state.images]
        if not state.names:
            return contact_sheet(self.images, titles=titles)
        labels = np.stack([state.labels(place) for place in range(count)])
        return landmarks_on_images(self.images, labels, state.names, titles)


def _positions(images: int | Sequence[int] | np.ndarray, split: Split) -> list[int]:
    """The positions of the images to click, of as many evenly spaced ones where `images` is a number.

    Raises PplkitError for none at all and for anything that is not a position of the split.
    """
    if isinstance(images, int | np.integer) and not isinstance(images, bool):
        images = evenly_spaced(split, max(int(images), 0))
    positions, count = np.asarray(images, object).ravel().tolist(), len(split)
    remedy = f"give positions from 0 to {count - 1}, or how many."
    if not positions:
        raise PplkitError(f"to_click chooses none of {count} images: {remedy}")
    for position in positions:
        if not isinstance(position, Integral) or isinstance(position, bool) or not 0 <= int(position) < count:
            raise PplkitError(f"to_click has {position!r}, which is no position of {count} images: {remedy}")
    return [int(position) for position in positions]


def _rename(split: Split, name: str) -> str:
    """The position of an image that a table names by its source; other names as they are."""
    position = find_image(name, split)
    return name if position is None else str(position)


class _Panel:
    """The widgets: each changes the state, and all show it."""

    def __init__(self, state: LabelSession, images: Sequence[np.ndarray], size: int) -> None:
        from ipywidgets import HTML, Button, HBox, ToggleButtons, VBox

        def button(name: str, icon: str, tooltip: str, act: Any) -> Any:
            widget = Button(description=name, icon=icon, tooltip=tooltip, layout={"width": "110px"})
            widget.on_click(lambda _: self._do(act))
            return widget

        self.state, self.images, self._showing = state, images, False
        options: dict[str, Any] = {"clickable": True, "draggable": True, "labels": True, "names": state.names}
        self.canvas = canvas(SIDE, points=len(state.names), image_size=size, **options)
        self.next = ToggleButtons(options=self._names(), value=0, tooltips=["click it next"] * len(state.names))
        self.text = HTML()
        buttons = [
            button("Previous", "arrow-left", "the image before", lambda: state.go(-1)),
            button("Next", "arrow-right", "the image after", lambda: state.go(1)),
            button("Skip", "forward", "a landmark that cannot be seen", state.skip),
            button("Undo", "undo", "take back the last click", state.undo),
        ]
        self.whole = HBox([self.canvas, VBox([self.next, HBox(buttons), self.text])])
        self.next.observe(self._choose, "value")
        on_click(self.canvas, lambda point: self._do(lambda: state.click(point)))
        on_drag(self.canvas, lambda points: self._do(lambda: state.drag(points)))
        self._show()

    def _names(self) -> list[tuple[str, int]]:
        """The landmarks, with a tick those that the image has."""
        known = np.isfinite(self.state.labels(self.state.place)).all(1)
        return [(f"✓ {name}" if known[k] else name, k) for k, name in enumerate(self.state.names)]

    def _choose(self, change: Any) -> None:
        if not self._showing and change["new"] is not None:
            self.state.number = change["new"]
            self._show()

    def _do(self, act: Any) -> None:
        try:
            act()
        except PplkitError as error:
            self._show()
            self.text.value = f"<b>{escape(str(error))}</b>"
        else:
            self._show()

    def _show(self) -> None:
        state = self.state
        known, asked = state.count()
        with self.canvas.hold_sync():
            self.canvas.image = png(self.images[state.place])
            self.canvas.points = as_lists(state.labels(state.place))
            todo = f"click {state.name}" if state.name else "all points have a label; drag them to correct them"
            self.canvas.title = f"Image {state.place + 1} of {len(state.images)}: {todo}"
        self._showing = True
        self.next.options = self._names()
        self.next.value = state.number if state.name else None
        self._showing = False
        self.text.value = f"{known} of {asked} points have a label; they are kept in {escape(state.path.name)}."
