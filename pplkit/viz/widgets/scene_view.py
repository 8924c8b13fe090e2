"""A view of a `Scene` in a notebook that turns by hand; its other half is `scene_view.js`."""

from functools import cache
from typing import Any, Protocol

from matplotlib.figure import Figure

from pplkit.viz.scene_page import SCRIPT
from pplkit.viz.widgets.notebook_host import attended, bundle


class Viewable(Protocol):
    """What a `SceneView` asks of a scene."""

    def to_bytes(self) -> bytes:
        """The scene as the script reads it."""

    def figure(self, frame: int | None = None) -> Figure:
        """A frame as a picture, by default that in the middle."""


class SceneView:
    """Shows a scene in JupyterLab: mouse, touch and keyboard turn it, a time line plays it.

    Where nobody attends the notebook, and in a saved one on the web, a picture of the scene stands in its place;
    `Scene.to_html` gives the view as a file.

    Args:
        scene: what is shown.
        height: of the view in CSS pixels; it is as wide as the cell.
        frame: shown in the picture; by default that in the middle.
        title: read to those who cannot see the view.
    """

    def __init__(self, scene: Viewable, *, height: int = 480, frame: int | None = None, title: str = "3D view") -> None:
        self.scene, self.height, self.frame, self.title = scene, height, frame, title
        self._view: Any = None

    def update(self, scene: Viewable) -> None:
        """Show another scene from the same side, as a slider does that changes a pose."""
        self.scene = scene
        if self._view is not None:
            self._view.data = scene.to_bytes()

    def widget(self) -> Any:
        """The anywidget, to be put beside others."""
        if self._view is None:
            self._view = _widget()(data=self.scene.to_bytes(), height=self.height, title=self.title)
        return self._view

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self.widget() if attended() else None, self.scene.figure(self.frame))


@cache
def _widget() -> Any:
    """The widget's class; made here, so that the package imports without Jupyter."""
    import anywidget
    import traitlets

    class SceneCanvas(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = SCRIPT.read_text(encoding="utf8")
        data = traitlets.Bytes(b"").tag(sync=True)
        height = traitlets.Int(480).tag(sync=True)
        title = traitlets.Unicode("").tag(sync=True)

    return SceneCanvas
