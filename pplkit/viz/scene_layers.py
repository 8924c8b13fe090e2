"""What a 3D scene can show, each thing as a layer: positions over time with faces, with bones, or alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from pplkit.core.errors import PplkitError
from pplkit.data.meshes import Mesh, MeshSequence
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.viz.drawing import BLUE, GRAY, GREEN, ORANGE, PINK, RED, SKY, keypoint_colors

MESH_COLORS = ("#b9a48c", "#7fa8c9", "#a3b18a", "#c58f9e")
SIDE_COLORS = (BLUE, RED)  # left, right
LATER_COLORS = (GREEN, PINK, SKY, ORANGE)  # of the second motion of a panel, the third, ...
Y_DOWN = np.array([1, -1, -1], np.float32)  # turns x right, y down, z away into y up


@dataclass(frozen=True, eq=False)
class Points:
    """Points that stand alone, such as keypoints on a surface.

    Attributes:
        positions: (N, 3) or (T, N, 3) meters, y up; NaN where a point is missing.
        colors: (N, 3) in [0, 1]; by default those that keypoints have in all figures.
        names: of the N points, if they have some.
    """

    positions: np.ndarray
    colors: np.ndarray | None = None
    names: tuple[str, ...] = ()


Item = PoseSequence | MeshSequence | Mesh | Points | tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, Skeleton]


@dataclass(frozen=True, eq=False)
class Layer:
    """What is drawn at once.

    Attributes:
        positions: (T, N, 3) float32 meters, y up; wholly NaN where a point is missing. (T, N, 2) pixels in a video.
        colors: (N, 3) in [0, 1], or (1, 3) for a mesh.
        faces: (F, 3) uint32, of a mesh alone.
        bones: pairs of points.
        opacity: (T, N) in [0, 1], or none.
        names: of the points, or none.
        sides: whether colors tell left from right.
        title: for the legend of the panel, or none.
    """

    positions: np.ndarray
    colors: np.ndarray
    faces: np.ndarray | None = None
    bones: tuple[tuple[int, int], ...] = ()
    opacity: np.ndarray | None = None
    names: tuple[str, ...] = ()
    sides: bool = False
    title: str = ""


def layers_of(content: Any, where: str) -> list[Layer]:
    """The layers of one thing, a list, or a mapping with titles; `where` names them in messages. Raises PplkitError."""
    layers: list[Layer] = []
    for item in items_of(content):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Skeleton):
            joints = np.asarray(item[0], np.float32)
            item = PoseSequence(points=joints[None] if joints.ndim == 2 else joints, fps=1, skeleton=item[1])
            layers.append(_motion(item, item.points, layers, where))
        elif isinstance(item, PoseSequence):
            if item.space == "image":
                raise PplkitError(f"{where} has a motion in 2D: lift it first, or draw it over its video.")
            points = item.points * (Y_DOWN if item.space == "camera" else 1)
            layers.append(_motion(item, points, layers, where))
        elif isinstance(item, Points):
            layers.append(_points(item, where))
        else:
            layers.append(_mesh(item, sum(layer.faces is not None for layer in layers), where))
    if isinstance(content, Mapping):
        layers = [replace(layer, title=title) for layer, title in zip(layers, content, strict=True)]
    return layers


def items_of(content: Any) -> list[Any]:
    """The things of a panel: a list, the values of a mapping, or one thing, such as a tuple of vertices and faces."""
    if isinstance(content, Mapping):
        return list(content.values())
    return content if isinstance(content, list) else [content]


def skeleton_layer(motion: PoseSequence, points: np.ndarray, later: int = 0) -> Layer:
    """The joints (T, J, 2 or 3) of a motion with its bones: left blue, right red, the rest gray.

    With later > 0, all in the one color of the second, third, ... motion of a panel.
    """
    skeleton = motion.skeleton
    colors = np.tile(to_rgb(GRAY), (len(skeleton.joints), 1))
    if later:
        colors[:] = to_rgb(LATER_COLORS[(later - 1) % len(LATER_COLORS)])
    else:
        for left, right in skeleton.flip_pairs:
            colors[left], colors[right] = map(to_rgb, SIDE_COLORS)
    sides = bool(skeleton.flip_pairs) and not later
    bones = tuple(skeleton.bones)
    return Layer(points, colors, bones=bones, opacity=motion.confidence, names=skeleton.joints, sides=sides)


def checked(positions: np.ndarray, what: str) -> np.ndarray:
    """Positions (N, 3) or (T, N, 3) as float32 (T, N, 3), wholly NaN where they are not finite."""
    positions = np.asarray(positions, np.float32)
    positions = positions[None] if positions.ndim == 2 else positions
    if positions.ndim != 3 or positions.shape[2] != 3 or 0 in positions.shape:
        raise PplkitError(f"{what} has the shape {positions.shape}; give (N, 3) or (frames, N, 3).")
    present = np.isfinite(positions).all(-1, keepdims=True)
    if not present.any():
        raise PplkitError(f"{what} has no finite point: there is nothing to show.")
    return np.where(present, positions, np.float32(np.nan))


def _motion(motion: PoseSequence, points: np.ndarray, before: list[Layer], where: str) -> Layer:
    return skeleton_layer(motion, checked(points, f"a motion of {where}"), sum(bool(layer.bones) for layer in before))


def _points(item: Points, where: str) -> Layer:
    points = checked(item.positions, f"points of {where}")
    colors = keypoint_colors(points.shape[1])[:, :3] if item.colors is None else np.asarray(item.colors, float)
    if colors.shape != (points.shape[1], 3):
        raise PplkitError(f"colors of {where} have the shape {colors.shape}; give ({points.shape[1]}, 3).")
    if item.names and len(item.names) != points.shape[1]:
        raise PplkitError(f"points of {where} have {len(item.names)} names; give {points.shape[1]}.")
    return Layer(points, colors, names=tuple(item.names))


def _mesh(item: Any, number: int, where: str) -> Layer:
    """A mesh or its poses; `number` chooses the color."""
    if isinstance(item, MeshSequence):
        item = item.poses, item.mesh.faces
    try:
        vertices, faces = (item.vertices, item.faces) if isinstance(item, Mesh) else item
    except (TypeError, ValueError):
        raise PplkitError(
            f"{where} holds a {type(item).__name__}; give a PoseSequence, (joints, skeleton), a Mesh, a MeshSequence, "
            "(vertices, faces), Points, or a list of these."
        ) from None
    vertices, faces = checked(vertices, f"a mesh of {where}"), np.asarray(faces)
    if not np.isfinite(vertices).all():
        raise PplkitError(f"a mesh of {where} has vertices that are not finite: leave those frames out.")
    if faces.ndim != 2 or faces.shape[1:] != (3,) or not len(faces) or faces.dtype.kind not in "iu":
        raise PplkitError(f"faces of {where} have the shape {faces.shape}; give (F, 3) numbers of vertices.")
    if faces.min() < 0 or faces.max() >= vertices.shape[1]:
        raise PplkitError(f"a mesh of {where} has {vertices.shape[1]} vertices, but its faces name others.")
    return Layer(vertices, np.array([to_rgb(MESH_COLORS[number % len(MESH_COLORS)])]), faces.astype(np.uint32))
