"""Scenes in 3D that turn: moving skeletons, meshes and points, in a notebook, as one HTML file, as a picture.

Scene.of_motion(motion).view()                           # in a notebook
Scene({"true": truth, "lifted": found}).to_html("lifted.html")
Scene.of_mesh(vertices, faces).figure()
"""

import base64
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_text
from pplkit.data.meshes import Mesh, MeshSequence
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.data.video_writer import write_video
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.drawing import image_bytes, set_title, subplots
from pplkit.viz.memory_page import memory_section
from pplkit.viz.scene_bytes import Packer
from pplkit.viz.scene_film import Film, read_film
from pplkit.viz.scene_layers import Item, Layer, items_of, layers_of
from pplkit.viz.scene_page import PAGE, SCRIPT
from pplkit.viz.scene_picture import draw_film, draw_panel

if TYPE_CHECKING:
    from pplkit.viz.widgets.scene_view import SceneView

FOLLOW_SECONDS = 1.0  # over which the view follows a figure that walks away
MAX_RATIO = 3.0  # of the sizes of two panels that are shown at one scale; beyond, each fills its own
VIEWS = ((30.0, 12.0),)  # yaw and pitch in degrees
Content = Item | Sequence[Item] | Mapping[str, Item]  # of a panel


class Scene:
    """What a view shows, side by side if there are several panels, all seen from the same side at the same time.

    Args:
        panels: for the name of each panel what it shows, one thing, a list, or a mapping of titles for a legend to
            things: a `PoseSequence` in 3D, joints (T, J, 3) with a `Skeleton`, a `Mesh` or `MeshSequence`, vertices
            (V, 3) or (T, V, 3) with faces (F, 3), or `Points`. One thing needs no name. What has fewer frames than the
            longest keeps its last frame.
        fps: frames a second, by default those of the first motion, or 30.

    Arrays are in meters, y up; motions in axes of a camera are turned so. Left bones are blue, right ones red, all
    others gray; later motions of a panel have one color each (green, pink, sky blue). A bone without one of its joints
    is left out. Joints and bones of low confidence fade. Panels are shown at one scale unless their sizes differ by
    more than MAX_RATIO.

    Raises PplkitError for other shapes, motions in 2D or of another frame rate, and what has no finite point.
    """

    def __init__(self, panels: Item | Mapping[str, Content], fps: float | None = None) -> None:
        named = panels if isinstance(panels, Mapping) else {"": panels}
        items = [item for content in named.values() for item in items_of(content)]
        rates = [item.fps for item in items if isinstance(item, PoseSequence)]
        self.fps = float(fps or (rates[0] if rates else 30))
        if other := [rate for rate in rates if abs(rate - self.fps) > 1e-3]:
            raise PplkitError(
                f"a motion has {other[0]:g} frames a second and the scene {self.fps:g}: use motion.resampled."
            )
        self._panels = {name: layers_of(content, name or "the scene") for name, content in named.items()}
        layers = [layer for content in self._panels.values() for layer in content]
        if not layers or not all(self._panels.values()):
            raise PplkitError("the scene is empty: give each panel a motion, a mesh or points.")
        self._film: Film | None = None
        self.frames = max(len(layer.positions) for layer in layers)
        self._views = [_view_of(content, self.frames, self.fps) for content in self._panels.values()]
        radii = [view.radius for view in self._views]
        if max(radii) <= MAX_RATIO * min(radii):
            width = max(view.width for view in self._views)
            self._views = [replace(view, radius=max(radii), width=width) for view in self._views]

    @classmethod
    def of_motion(
        cls,
        motion: PoseSequence | np.ndarray,
        skeleton: Skeleton | None = None,
        *,
        fps: float | None = None,
        confidence: np.ndarray | None = None,
        name: str = "",
    ) -> "Scene":
        """A scene of one motion: a `PoseSequence`, or joints (T, J, 3) or (J, 3) in meters, y up, with their skeleton.

        fps (30 for arrays) and confidence (T, J) replace those of the motion. Raises PplkitError as the class does.
        """
        if not isinstance(motion, PoseSequence):
            if skeleton is None:
                raise PplkitError("joints alone have no bones: give their skeleton, Scene.of_motion(joints, skeleton).")
            joints = np.asarray(motion)
            joints = joints[None] if joints.ndim == 2 else joints
            motion = PoseSequence(points=joints, fps=fps or 30.0, skeleton=skeleton, space="world")
        if confidence is not None:
            motion = replace(motion, confidence=confidence)
        return cls({name: motion if fps is None else replace(motion, fps=fps)})

    @classmethod
    def of_mesh(
        cls,
        mesh: Mesh | MeshSequence | np.ndarray,
        faces: np.ndarray | None = None,
        *,
        fps: float | None = None,
        name: str = "",
    ) -> "Scene":
        """A scene of one mesh or its poses, or of vertices (V, 3) or (T, V, 3) with faces (F, 3), y up."""
        if isinstance(mesh, Mesh | MeshSequence):
            return cls({name: mesh}, fps)
        if faces is None:
            raise PplkitError("vertices alone have no surface: give their faces, Scene.of_mesh(vertices, faces).")
        return cls({name: (np.asarray(mesh), np.asarray(faces))}, fps)

    def with_video(self, video: Path | str, keypoints: PoseSequence | None = None) -> "Scene":
        """The scene beside a video, from its beginning on, with keypoints in its pixels drawn over it.

        The video is made smaller (at most 720 pixels wide and high) and plays in step with the scene. Raises
        PplkitError for a video that cannot be read, and keypoints in 3D or of another frame rate.
        """
        scene = copy(self)
        scene._film = read_film(video, keypoints, self.frames, self.fps)
        return scene

    def __repr__(self) -> str:
        names = ", ".join(name or "one panel" for name in self._panels)
        return f"Scene({names}: {self.frames} frames at {self.fps:g} a second)"

    def to_bytes(self) -> bytes:
        """The scene as the script of the view reads it; see `scene_bytes`."""
        packer = Packer()
        panels = []
        for (name, layers), view in zip(self._panels.items(), self._views, strict=True):
            panel = {"name": name, **vars(view), "center": packer.add(view.center)}
            panels.append(panel | {"layers": [packer.layer(layer) for layer in layers]})
        sides = any(layer.sides for layers in self._panels.values() for layer in layers)
        header = {"fps": self.fps, "frames": self.frames, "sides": sides, "panels": panels}
        if self._film is not None:
            film = {"size": self._film.size, "layers": [packer.layer(layer) for layer in self._film.layers]}
            header["film"] = film | {"bytes": packer.add(np.frombuffer(self._film.content, np.uint8))}
        return packer.join(header)

    def to_html(
        self,
        path: Path | str | None = None,
        title: str = "3D view",
        *,
        video: Path | str | None = None,
        keypoints: PoseSequence | None = None,
        memory: PosePriorLearner | None = None,
    ) -> str:
        """A page in one file that loads nothing from elsewhere, also written to `path`. Raises WriteError.

        With a video, that plays beside the scene, as in `with_video`. With `memory`, the model of a prior, that and its
        memory can be explored below. Where no script runs, the page shows the picture of `figure`.
        """
        if video is not None:
            return self.with_video(video, keypoints).to_html(path, title, memory=memory)
        if keypoints is not None:
            raise PplkitError("keypoints are drawn over a video: give video, or leave keypoints out.")
        picture = base64.b64encode(image_bytes(self.figure())).decode()
        data = base64.b64encode(self.to_bytes()).decode()
        section = "" if memory is None else memory_section(memory)
        parts = {"data": data, "picture": picture, "section": section, "script": SCRIPT.read_text(encoding="utf8")}
        page = PAGE.format(title=escape(title), **parts)
        if path is not None:
            write_text(Path(path), page)
        return page

    def figure(self, frame: int | None = None, views: Sequence[tuple[float, float]] = VIEWS) -> Figure:
        """One frame as a picture: a column for each panel, a row for each view, (yaw, pitch) in degrees.

        By default the frame in the middle. A video stands before the panels.
        """
        frame = self.frames // 2 if frame is None else frame
        films = int(self._film is not None)
        figure, axes = subplots(len(views), films + len(self._panels), 3.2, 3.4)
        for row, axis in enumerate(axes[:, 0] if self._film is not None else ()):
            axis.set_axis_off()
            if self._film is not None and not row:
                draw_film(axis, self._film.image(frame), self._film.size, self._film.layers, frame)
        for column, (name, layers) in enumerate(self._panels.items()):
            seen = self._views[column]
            middle = seen.center[min(frame, self.frames - 1)]
            for row, side in enumerate(views):
                axis = axes[row, films + column]
                draw_panel(axis, layers, frame, middle, seen.floor, seen.radius, side)
                set_title(axis, name if not row else "", 10)
        return figure

    def to_video(self, path: Path | str, view: tuple[float, float] = VIEWS[0]) -> Path:
        """The scene as an MP4 file, seen from (yaw, pitch) in degrees. Raises PplkitError where none can be written."""
        return write_video(Path(path), (self._image(frame, view) for frame in range(self.frames)), self.fps)

    def _image(self, frame: int, view: tuple[float, float]) -> np.ndarray:
        """A frame, uint8 (H, W, 3)."""
        canvas = FigureCanvasAgg(self.figure(frame, [view]))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3]

    def view(self, *, height: int = 480, frame: int | None = None, title: str = "3D view") -> "SceneView":
        """The view in a notebook, `height` CSS pixels high and as wide as the cell; the last expression of a cell.

        Where nobody attends the notebook, and in a saved one, the picture of `frame` stands in its place.
        """
        from pplkit.viz.widgets.scene_view import SceneView  # here, as it needs Jupyter

        return SceneView(self, height=height, frame=frame, title=title)


@dataclass(frozen=True, eq=False)
class _View:
    """What a panel looks at.

    Attributes:
        center: (T, 3) float32, the middle of what is shown, which follows a figure that walks away.
        floor: height of the lowest point.
        radius: of a ball around the middle that holds all points.
        width: radius of an upright cylinder around the middle that holds them.
    """

    center: np.ndarray
    floor: float
    radius: float
    width: float


def _view_of(layers: list[Layer], frames: int, fps: float) -> _View:
    lows = [_at_length(np.fmin.reduce(layer.positions, 1), frames) for layer in layers]
    highs = [_at_length(np.fmax.reduce(layer.positions, 1), frames) for layer in layers]
    low, high = np.fmin.reduce(lows), np.fmax.reduce(highs)  # (T, 3), NaN in a frame without points
    known = np.flatnonzero(np.isfinite(low[:, 0]))
    middle = (low[known] + high[known])[:, ::2] / 2  # x and z
    middle = np.stack([np.interp(np.arange(frames), known, values) for values in middle.T], 1)
    reach = int(fps * FOLLOW_SECONDS / 2)
    sums = np.cumsum(np.pad(middle, ((reach + 1, reach), (0, 0)), mode="edge"), 0)
    smooth = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    floor, top = float(np.nanmin(low[:, 1])), float(np.nanmax(high[:, 1]))
    center = np.stack([smooth[:, 0], np.full(frames, (floor + top) / 2), smooth[:, 1]], 1).astype(np.float32)
    offsets = [layer.positions - _at_length(center, len(layer.positions))[:, None] for layer in layers]
    radius = max(float(np.nanmax(np.linalg.norm(values, axis=-1))) for values in offsets)
    width = max(float(np.nanmax(np.linalg.norm(values[..., ::2], axis=-1))) for values in offsets)
    return _View(center, floor, max(radius, 1e-6), width)


def _at_length(values: np.ndarray, frames: int) -> np.ndarray:
    """The first frames, the last one repeated where there are too few."""
    return values[np.minimum(np.arange(frames), len(values) - 1)]
