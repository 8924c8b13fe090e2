"""A prior to touch in a notebook: take vectors of a bank, drag keypoints, choose which links are shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from pplkit.evaluation import memory_analysis
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.link_map import link_map
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import STRONG
from pplkit.viz.drawing import ORANGE, draw_image, draw_plane, draw_skeleton, image_bytes, strong_links, subplots
from pplkit.viz.prior import draw_connectivity
from pplkit.viz.widgets.canvas import as_lists, canvas, on_drag, png
from pplkit.viz.widgets.notebook_host import attended, bundle

MEAN = -1  # in the place of a vector: the mean of its bank
LARGE_SIDE, SMALL_SIDE = 330, 150  # CSS pixels of the canvases


class PriorExplorer:
    """The last expression of a cell: sliders and a pose to drag, or a figure where nobody is there to use them.

    `typical` are the prototypes that poses are compared with, `usage` (banks, vectors) the codebook usage. What is
    shown: `pose`, float64 (N, 2) in [-1, 1], at first the prior T; `assigned`, int64 (banks,), the vector of each bank,
    or MEAN; `threshold`, the fraction of the strongest link's weight from which on links are shown.
    """

    def __init__(self, model: PosePriorLearner, typical: Prototypes, usage: np.ndarray) -> None:
        self.model, self.typical, self.usage = model, typical, usage
        self.prior = model.prior()
        self.threshold = STRONG
        self.reset()
        self._panel: _Panel | None = None

    def reset(self) -> None:
        """Back to the prior: the mean of every bank."""
        self.pose = self.prior.keypoints.astype(np.float64)
        self.assigned = np.full(self.model.config.banks, MEAN)

    @torch.no_grad()
    def select(self, bank: int, vector: int) -> None:
        """Assign another vector of a bank, or MEAN; the pose becomes the decoded combination of all banks."""
        self.assigned[bank] = vector
        memory = self.model.memory
        tokens = memory.means().clone()
        for number in np.flatnonzero(self.assigned != MEAN):
            tokens[number] = memory.codebook[number, int(self.assigned[number])]
        self.pose = memory.decode(tokens[None])[0].double().cpu().numpy()

    def move(self, pose: np.ndarray) -> None:
        """Show another pose (N, 2), with the vectors that the memory assigns it."""
        self.pose = np.array(pose, np.float64)
        self.assigned = memory_analysis.assign(self.model, self._batch())[0]

    def reconstruction(self) -> np.ndarray:
        """The memory's reconstruction of the pose: (N, 2)."""
        return memory_analysis.reconstruct(self.model, self._batch())[0]

    def nearest_prototype(self) -> int:
        """Which of the prototypes is nearest to the pose."""
        return int(memory_analysis.nearest_prototypes(self.typical, self._batch())[0])

    def distance_to(self, other: np.ndarray) -> float:
        """How far the pose is from another (N, 2): root mean square over the keypoints, in image sides."""
        distance = float(np.sqrt(np.square(self.pose - other).sum(-1).mean()))
        return distance * sides_per_unit(self.model.config.image_size)

    def farthest_bank(self) -> int:
        """The bank whose vectors, weighted by usage, move the prior the most."""
        reach = [
            memory_analysis.bank_reach(memory_analysis.bank_poses(self.model, bank), usage)
            for bank, usage in enumerate(self.usage)
        ]
        return int(np.argmax(reach))

    def links(self) -> tuple[list[tuple[int, int]], list[float]]:
        """The links shown, strongest first, and the strength of each in [0, 1]."""
        return strong_links(self.prior, self.threshold)

    @torch.no_grad()
    def link_map(self) -> np.ndarray:
        """The link map of the pose from the links shown: uint8 (S, S), the brightest pixel white."""
        connectivity = self.prior.connectivity
        weights = torch.from_numpy(connectivity * (connectivity >= self.threshold * connectivity.max()))
        size, thickness = self.model.config.image_size, self.model.config.thickness
        heat = link_map(torch.from_numpy(self._batch()), weights, size, thickness)[0, 0]
        return (255 * heat / heat.max().clamp_min(1e-9)).round().byte().numpy()

    def captions(self) -> tuple[str, str]:
        """Two lines: the distance of the reconstruction, and the nearest prototype with its distance."""
        number, fractions = self.nearest_prototype(), self.typical.fractions
        name = f"{number + 1} of {len(fractions)} ({100 * fractions[number]:.0f} % of the images)"
        distances = [100 * self.distance_to(pose) for pose in (self.reconstruction(), self.typical.keypoints[number])]
        return (
            f"the memory's reconstruction, {distances[0]:.1f} % of the image side away",
            f"nearest prototype: {name}, {distances[1]:.1f} % away",
        )

    def figure(self) -> Figure:
        """The pose with the memory's reconstruction in orange, its link map, the nearest prototype, and W."""
        figure, axes = subplots(1, 4, 3.0, 3.1, width_ratios=(1, 1, 1, 1.2))
        links, strengths = self.links()
        reconstruction, nearest = self.captions()
        draw_plane(axes[0, 0], "pose (orange: reconstruction)", ticks=False)
        draw_skeleton(axes[0, 0], self.pose, links, strengths, size=24, width=3)
        draw_skeleton(axes[0, 0], self.reconstruction(), links, strengths, color=ORANGE, size=0, width=1.5)
        draw_image(axes[0, 1], self.link_map(), "link map")
        draw_plane(axes[0, 2], "nearest prototype", ticks=False)
        typical = self.typical.keypoints[self.nearest_prototype()]
        draw_skeleton(axes[0, 2], typical, links, strengths, size=24, width=3)
        axes[0, 0].set_xlabel(reconstruction.replace(", ", ",\n"), fontsize=8)
        axes[0, 2].set_xlabel(nearest.split(": ")[1].replace(", ", ",\n"), fontsize=8)
        draw_connectivity(figure, axes[0, 3], self.prior, self.threshold)
        return figure

    def weights(self) -> Figure:
        """W alone, with the threshold of the links shown."""
        figure, axes = subplots(1, 1, 3.4, 3.2)
        draw_connectivity(figure, axes[0, 0], self.prior, self.threshold)
        return figure

    def _batch(self) -> np.ndarray:
        return self.pose[None].astype(np.float32)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self._panel is None and attended():
            self._panel = _Panel(self)
        return bundle(self._panel and self._panel.whole, self.figure())


class _Panel:
    """The widgets: each changes the explorer, and all show it."""

    def __init__(self, explorer: PriorExplorer) -> None:
        from ipywidgets import Button, Dropdown, FloatSlider, HBox, Image, SelectionSlider, VBox

        self.explorer, self._showing = explorer, False
        count, vectors = len(explorer.pose), explorer.usage.shape[1]
        used = (explorer.usage > 0).sum(1)
        banks = [(f"{bank} ({used[bank]} of {vectors} vectors in use)", bank) for bank in range(len(used))]
        wide: dict[str, Any] = {
            "layout": {"width": "320px", "margin": "2px 14px 2px 2px"},
            "style": {"description_width": "initial"},
        }
        self.bank = Dropdown(description="bank", options=banks, value=explorer.farthest_bank(), **wide)
        self.vector = SelectionSlider(description="vector", options=self._vectors(), value=MEAN, **wide)
        back = Button(description="Back to the prior", icon="undo", tooltip="the mean of every bank")
        limits = {"min": 0.0, "max": 1.0, "step": 0.01}
        self.threshold = FloatSlider(description="hide links below", value=explorer.threshold, **limits, **wide)
        self.pose = canvas(LARGE_SIDE, points=count, draggable=True, live=True, labels=True)
        self.heat = canvas(SMALL_SIDE, title="link map", image_size=explorer.model.config.image_size)
        self.near = canvas(SMALL_SIDE, points=count)
        self.weights = Image(format="png", layout={"width": "340px", "height": "320px"})
        small, matrix = VBox([self.near, self.heat]), VBox([self.weights, self.threshold])
        self.whole = VBox([HBox([self.bank, self.vector, back]), HBox([self.pose, small, matrix])])
        self.bank.observe(self._show_bank, "value")
        self.vector.observe(self._select, "value")
        back.on_click(self._reset)
        self.threshold.observe(self._set_threshold, "value")
        on_drag(self.pose, self._move)
        self.weights.value = image_bytes(explorer.weights())
        self._show()

    def _vectors(self) -> list[tuple[str, int]]:
        """The vectors of the bank, each with its usage."""
        usage = self.explorer.usage[self.bank.value]
        texts = [f"{100 * fraction:.0f} %" if fraction else "unused" for fraction in usage]
        return [("mean", MEAN), *((f"{vector} ({text})", vector) for vector, text in enumerate(texts))]

    def _show_bank(self, _: Any) -> None:
        with self._silent():
            self.vector.options = self._vectors()
            self.vector.value = int(self.explorer.assigned[self.bank.value])

    def _select(self, change: Any) -> None:
        if not self._showing:
            self.explorer.select(self.bank.value, change["new"])
            self._show()

    def _set_threshold(self, change: Any) -> None:
        self.explorer.threshold = change["new"]
        self._show()
        self.weights.value = image_bytes(self.explorer.weights())

    def _reset(self, _: Any) -> None:
        self.explorer.reset()
        self._show()

    def _move(self, pose: np.ndarray) -> None:
        self.explorer.move(pose)
        self._show()

    def _show(self) -> None:
        """Everything but the matrix, which only the threshold changes."""
        explorer = self.explorer
        links = [[i, j, strength] for (i, j), strength in zip(*explorer.links(), strict=True)]
        reconstruction, nearest = explorer.captions()
        with self.pose.hold_sync(), self._silent():
            self.pose.points, self.pose.links = as_lists(explorer.pose), links
            self.pose.second_pose = as_lists(explorer.reconstruction())
            self.pose.title = f"Drag the points of the pose. Orange: {reconstruction}"
            self.vector.value = int(explorer.assigned[self.bank.value])
        with self.near.hold_sync():
            self.near.points, self.near.links = (
                as_lists(explorer.typical.keypoints[explorer.nearest_prototype()]),
                links,
            )
            self.near.title = nearest
        self.heat.image = png(explorer.link_map())

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Inside, the slider of the vector shows what is assigned and changes nothing."""
        self._showing = True
        try:
            yield
        finally:
            self._showing = False
