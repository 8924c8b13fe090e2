"""Poses of a mesh to touch in a notebook: sliders along what varies most, seen on several bodies at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from pplkit.models.mesh.generator import LARGEST, PoseGenerator
from pplkit.models.mesh.model import PatchModel
from pplkit.models.mesh.template import Template
from pplkit.viz.scene import Scene
from pplkit.viz.scene_layers import Points
from pplkit.viz.widgets.notebook_host import attended, bundle
from pplkit.viz.widgets.scene_view import SceneView

SHOWN, DRAWN = 2.0, 3  # standard deviations to both sides in the picture, and of how many sliders


class PoseSliders:
    """The last expression of a cell: a slider for each direction and bodies that follow, or a picture of both ends.

    Args:
        model: trained.
        generator: the distribution of its poses; a slider goes along one of its components.
        bodies: meshes that take the poses, by name; by default the model's own alone.
        count: of sliders.
        keypoints: whether the anchors of the code are drawn where they lie on the first body.

    `amounts` (count,) are the sliders' places in standard deviations, at first 0: the mean pose.
    """

    def __init__(
        self,
        model: PatchModel,
        generator: PoseGenerator,
        bodies: Mapping[str, Template] | None = None,
        count: int = 4,
        keypoints: bool = True,
    ) -> None:
        self.model, self.generator, self.keypoints = model, generator, keypoints
        self.bodies = dict(bodies or {"source": model.template})
        self.amounts = np.zeros(min(count, len(generator.components)))
        self._panel: Any = None
        self._view: SceneView | None = None

    def scene(self) -> Scene:
        """The bodies in the pose of the sliders."""
        return Scene({name: self._content(name, self.amounts) for name in self.bodies})

    def _content(self, name: str, amounts: np.ndarray) -> list[Any]:
        """A body in a pose, with the keypoints if it is the first."""
        body = self.bodies[name]
        (vertices,) = self.model.apply_code(self._code(amounts), body)
        content: list[Any] = [(vertices, body.faces.numpy())]
        if self.keypoints and name == next(iter(self.bodies)):
            content.append(Points(self._keypoints(body, vertices)))
        return content

    def move(self, slider: int, amount: float) -> None:
        """Set a slider, in standard deviations, and show the pose."""
        self.amounts[slider] = np.clip(amount, -LARGEST, LARGEST)
        if self._view is not None:
            self._view.update(self.scene())

    def figure(self) -> Figure:
        """The first body with its keypoints, and the last one at both ends of the first sliders."""
        first, name = list(self.bodies)[0], list(self.bodies)[-1]
        panels: dict[str, Any] = {first: self._content(first, np.zeros(len(self.amounts)))}
        for slider in range(min(DRAWN, len(self.amounts))):
            for sign in (-1, 1):
                amounts = np.zeros(len(self.amounts))
                amounts[slider] = sign * SHOWN
                panels[f"{name}, {slider + 1} at {sign * SHOWN:+g}"] = self._content(name, amounts)[:1]
        return Scene(panels).figure()

    def _code(self, amounts: np.ndarray) -> torch.Tensor:
        """The code (1, K, 3, 3) of a pose."""
        numbers = self.generator.mean + amounts @ self.generator.components[: len(amounts)]
        return torch.from_numpy(self.generator.matrices(numbers.reshape(1, -1, 9)))

    def _keypoints(self, body: Template, vertices: np.ndarray) -> np.ndarray:
        """Where each patch has most to say, (K, 3), on a body with these vertices."""
        weights = self.model.weights_at(body, body.vertices.numpy())
        return np.asarray(vertices[weights.argmax(0).numpy()], np.float32)

    def _widget(self) -> Any:
        from ipywidgets import FloatSlider, HBox, Layout, VBox

        self._view = SceneView(self.scene(), title="Bodies in the pose of the sliders")
        sliders = []
        for number, amount in enumerate(self.amounts):
            slider = FloatSlider(amount, min=-LARGEST, max=LARGEST, step=0.1, description=f"direction {number + 1}")
            slider.observe(lambda change, number=number: self.move(number, change["new"]), "value")
            sliders.append(slider)
        return VBox([HBox(sliders, layout=Layout(flex_flow="row wrap")), self._view.widget()])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self._panel is None and attended():
            self._panel = self._widget()
        return bundle(self._panel, self.figure())
