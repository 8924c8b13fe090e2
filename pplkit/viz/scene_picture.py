"""A frame of a 3D scene as a static picture, drawn from far to near with matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba_array
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

from pplkit.viz.drawing import add_legend
from pplkit.viz.scene_layers import SIDE_COLORS, Layer

LIGHT = np.array([0.3, 0.55, 0.78])  # direction of the light in the picture: from the upper right, in front
SHADOW = np.array([0.25, 1.0, 0.35])  # direction of the light above, which makes the shadow on the floor
CELLS = 8  # of the floor from edge to edge
FAINTEST = 0.15  # opacity at no confidence


def rotation(yaw: float, pitch: float) -> np.ndarray:
    """World axes (y up) to those of the picture, (3, 3): x right, y up, z towards the eye; from the front at (0, 0).

    Angles in degrees: a yaw of 90 looks from the side of +x, a pitch of 90 from above.
    """
    (a, b), (c, d) = ((np.cos(angle), np.sin(angle)) for angle in np.deg2rad((yaw, pitch)))
    return np.array([[1, 0, 0], [0, c, -d], [0, d, c]]) @ np.array([[a, 0, -b], [0, 1, 0], [b, 0, a]])


def draw_panel(
    axis: Axes, layers: Sequence[Layer], frame: int, middle: np.ndarray, floor: float, reach: float, view: Any
) -> None:
    """Layers at a frame around the point `middle` (3,), on a floor, as far as `reach` around it; view (yaw, pitch)."""
    turn = rotation(*view)
    axis.set(xlim=(-1.05 * reach, 1.05 * reach), ylim=(-1.1 * reach, 1.1 * reach), aspect="equal")
    axis.set_axis_off()
    height = floor - middle[1]
    _draw_floor(axis, turn, height, reach)
    for layer in layers:
        _draw_shadow(axis, layer, min(frame, len(layer.positions) - 1), middle, height, turn)
    for layer in layers:
        number = min(frame, len(layer.positions) - 1)
        points = (layer.positions[number] - middle) @ turn.T
        if layer.faces is not None:
            _draw_mesh(axis, points[layer.faces], layer.colors[0])
        else:
            _draw_skeleton(axis, points, layer, number, reach)
    _draw_legend(axis, layers)


def draw_film(axis: Axes, image: np.ndarray, size: tuple[int, int], layers: Sequence[Layer], frame: int) -> None:
    """An image (H, W, 3) of a video, with keypoints in the pixels of a larger or smaller one of `size`."""
    width, height = size
    axis.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axis.set_axis_off()
    for layer in layers:
        number = min(frame, len(layer.positions) - 1)
        points = np.pad(layer.positions[number], ((0, 0), (0, 1)))  # of one depth
        _draw_skeleton(axis, points, layer, number, max(size), 2)
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_legend(axis: Axes, layers: Sequence[Layer]) -> None:
    """Titles of layers below the panel, each with its color, or with those of left and right."""
    entries = {}
    for layer in layers:
        if layer.title:
            colors = SIDE_COLORS if layer.sides else (tuple(layer.colors[0]),)
            entries[layer.title] = tuple(Line2D([], [], marker="o", linestyle="", color=color) for color in colors)
    if entries:
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, -0.06), "ncols": len(entries)}
        handler = {tuple: HandlerTuple(ndivide=None)}
        add_legend(axis, list(entries.values()), list(entries), handler_map=handler, **place)


def _draw_floor(axis: Axes, turn: np.ndarray, height: float, reach: float) -> None:
    """A square of lines that fade towards its edge."""
    ticks, along = np.linspace(-reach, reach, CELLS + 1), np.linspace(-reach, reach, 4 * CELLS + 1)
    rows = np.stack(np.meshgrid(ticks, along, indexing="ij"), -1)  # (lines, points, 2)
    lines = np.concatenate([rows, rows[..., ::-1]])
    lines = np.insert(lines, 1, height, axis=-1)
    segments = np.stack([lines[:, :-1], lines[:, 1:]], 2).reshape(-1, 2, 3)
    distance = np.linalg.norm(segments.mean(1)[:, [0, 2]], axis=1) / reach
    colors = np.tile(to_rgba_array("#9aa4ad"), (len(segments), 1))
    colors[:, 3] = 0.6 * np.clip(1.1 - distance, 0, 1)
    axis.add_collection(LineCollection((segments @ turn.T)[..., :2], colors=colors, linewidths=0.6, zorder=0))


def _draw_shadow(axis: Axes, layer: Layer, frame: int, middle: np.ndarray, height: float, turn: np.ndarray) -> None:
    """What the light above leaves dark: one silhouette, so that its parts do not darken one another."""
    points = layer.positions[frame] - middle
    points = (points - SHADOW * ((points[:, 1:2] - height) / SHADOW[1])) @ turn.T
    color = "#e3e6e9"  # opaque, as overlapping parts would show otherwise
    if layer.faces is not None:
        axis.add_collection(
            PolyCollection(list(points[layer.faces][..., :2]), facecolors=color, edgecolors=color, zorder=1)
        )
    elif layer.bones:
        lines = [points[list(bone), :2] for bone in layer.bones if np.isfinite(points[list(bone)]).all()]
        axis.add_collection(LineCollection(lines, colors=color, linewidths=4, capstyle="round", zorder=1))


def _draw_mesh(axis: Axes, corners: np.ndarray, color: np.ndarray) -> None:
    """Triangles (F, 3, 3), those that look away left out where others hide them."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    normals *= np.where(normals[:, 2:] < 0, -1, 1)
    light = 0.42 + 0.6 * np.clip(normals @ LIGHT, 0, 1)
    order = corners[:, :, 2].mean(1).argsort()
    colors = np.clip(light[order, None] * color, 0, 1)
    style: dict[str, Any] = {"facecolors": colors, "edgecolors": colors, "linewidths": 0.3, "zorder": 3}
    axis.add_collection(PolyCollection(list(corners[order, :, :2]), **style))


def _draw_skeleton(axis: Axes, points: np.ndarray, layer: Layer, frame: int, reach: float, width: float = 4) -> None:
    """Bones and joints, from far to near: each bone below its nearer joint."""
    opacity = np.ones(len(points)) if layer.opacity is None else np.nan_to_num(layer.opacity[frame]).clip(0, 1)
    opacity = FAINTEST + (1 - FAINTEST) * opacity
    depth = 4 + points[:, 2] / (4 * reach)  # between 3.5 and 4.5
    for first, second in layer.bones:
        if np.isfinite(points[[first, second]]).all():
            line: dict[str, Any] = {"alpha": float(min(opacity[first], opacity[second])), "solid_capstyle": "round"}
            line |= {"color": tuple(layer.colors[second]), "zorder": float(depth[[first, second]].mean())}
            axis.plot(*points[[first, second], :2].T, linewidth=width, **line)
    size = 1.6 * width**2 if layer.bones else float(np.clip(1200 / len(points), 3, 26))
    for number in np.flatnonzero(np.isfinite(depth)):
        dot: dict[str, Any] = {"s": size, "alpha": opacity[number], "edgecolors": "white", "linewidths": 0.6}
        axis.scatter(*points[number, :2], color=layer.colors[number], zorder=float(depth[number]), **dot)
