"""The memory to play with in a notebook: take vectors bank by bank, drag keypoints, choose which links are shown."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.widgets.canvas import as_lists, board, on_drag, png
from pplkit.viz.widgets.exploration import MEAN, Exploration
from pplkit.viz.widgets.notebook_host import attended, bundle

LARGE, SMALL = 330, 150  # CSS pixels of the boards


class PriorExplorer:
    """The last expression of a cell: sliders and a pose to drag, or a figure where nobody is there to use them.

    `state` is what is shown. It takes a model, its prototypes and how often its vectors are taken: see `Exploration`.
    """

    def __init__(self, model: PosePriorLearner, kept: Prototypes, usage: np.ndarray) -> None:
        self.state = Exploration(model, kept, usage)
        self._panel: _Panel | None = None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self._panel is None and attended():
            self._panel = _Panel(self.state)
        return bundle(self._panel and self._panel.whole, self.state.figure())


class _Panel:
    """The widgets: each changes the state, and all show it."""

    def __init__(self, state: Exploration) -> None:
        from ipywidgets import Button, Dropdown, FloatSlider, HBox, Image, SelectionSlider, VBox

        self.state, self._showing = state, False
        count, vectors = len(state.pose), state.usage.shape[1]
        used = (state.usage > 0).sum(1)
        banks = [(f"{bank} ({used[bank]} of {vectors} vectors in use)", bank) for bank in range(len(used))]
        wide: dict[str, Any] = {
            "layout": {"width": "320px", "margin": "2px 14px 2px 2px"},
            "style": {"description_width": "initial"},
        }
        self.bank = Dropdown(description="bank", options=banks, value=state.farthest_bank(), **wide)
        self.vector = SelectionSlider(description="vector", options=self._vectors(), value=MEAN, **wide)
        back = Button(description="Back to the prior", icon="undo", tooltip="take the mean of every bank")
        limits = {"min": 0.0, "max": 1.0, "step": 0.01}
        self.share = FloatSlider(description="hide links below", value=state.share, **limits, **wide)
        self.pose = board(LARGE, points=count, draggable=True, live=True)
        self.heat = board(SMALL, title="link map", picture=state.model.config.image_size)
        self.near = board(SMALL, points=count)
        self.weights = Image(format="png", layout={"width": "340px", "height": "320px"})
        small, matrix = VBox([self.near, self.heat]), VBox([self.weights, self.share])
        self.whole = VBox([HBox([self.bank, self.vector, back]), HBox([self.pose, small, matrix])])
        self.bank.observe(self._bank, "value")
        self.vector.observe(self._take, "value")
        back.on_click(self._back)
        self.share.observe(self._threshold, "value")
        on_drag(self.pose, self._drag)
        self._draw_weights()
        self._show()

    def _vectors(self) -> list[tuple[str, int]]:
        """The vectors of the bank, with the share of the images that take each."""
        shares = self.state.usage[self.bank.value]
        use = [f"{100 * share:.0f} %" if share else "unused" for share in shares]
        return [("mean", MEAN), *((f"{vector} ({text})", vector) for vector, text in enumerate(use))]

    def _bank(self, _: Any) -> None:
        with self._unheard():
            self.vector.options = self._vectors()
            self.vector.value = int(self.state.chosen[self.bank.value])

    def _take(self, change: Any) -> None:
        if not self._showing:
            self.state.take(self.bank.value, change["new"])
            self._show()

    def _back(self, _: Any) -> None:
        self.state.reset()
        self._show()

    def _threshold(self, change: Any) -> None:
        self.state.share = change["new"]
        self._show()
        self._draw_weights()

    def _drag(self, pose: np.ndarray) -> None:
        self.state.drag(pose)
        self._show()

    def _draw_weights(self) -> None:
        file = io.BytesIO()
        self.state.weights().savefig(file, format="png")
        self.weights.value = file.getvalue()

    def _show(self) -> None:
        """Everything but the matrix, which only the threshold changes."""
        state = self.state
        links = [[i, j, strength] for (i, j), strength in zip(*state.links(), strict=True)]
        recalled, nearest = state.said()
        with self.pose.hold_sync(), self._unheard():
            self.pose.points, self.pose.links, self.pose.others = (
                as_lists(state.pose),
                links,
                as_lists(state.recalled()),
            )
            self.pose.title = f"Drag the points of the pose. Orange: {recalled}"
            self.vector.value = int(state.chosen[self.bank.value])
        with self.near.hold_sync():
            self.near.points, self.near.links = as_lists(state.kept.keypoints[state.nearest()]), links
            self.near.title = nearest
        self.heat.picture = png(state.link_map())

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """Inside, the slider of the vector only shows what is chosen."""
        self._showing = True
        try:
            yield
        finally:
            self._showing = False
