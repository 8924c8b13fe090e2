"""Figures of lifting: keypoints with the poses lifted from them, and errors beside those of the baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pplkit.data.skeletons import Skeleton
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    COLORS,
    GRAY,
    GREEN,
    RED,
    add_legend,
    as_array,
    label_text,
    set_title,
    style_axis,
    subplots,
)
from pplkit.viz.training import draw_curve

SHOWN = 5  # poses of a figure
POSE_METERS = 1.1  # from the root to the edge of a panel


def lifted_poses(
    keypoints: np.ndarray, poses: Mapping[str, np.ndarray], skeleton: Skeleton, confidence: np.ndarray | None = None
) -> Figure:
    """A column for each of n frames: keypoints (n, J, 2), and below poses (n, J, 3) by name, from the front and a side.

    Poses are in camera space (x right, y down, z away), in meters, relative to the root; the first of them, the truth,
    is drawn in gray behind the others. Left bones are blue, right ones red. Keypoints whose confidence (n, J) is 0
    are left out.
    """
    figure, axes = subplots(3, len(keypoints), 1.5, 1.5)
    for column, points in enumerate(keypoints):
        seen = np.isfinite(points).all(-1)
        if confidence is not None:
            seen &= confidence[column] > 0
        _draw_bones(axes[0, column], np.where(seen[:, None], points, np.nan), skeleton)
        center, size = np.nanmean(points[seen], axis=0), max(float(np.ptp(points[seen], axis=0).max()), 1e-6)
        _square(axes[0, column], center, 0.6 * size)
        for row, view in ((1, [0, 1]), (2, [2, 1])):
            for number, members in enumerate(poses.values()):
                behind = number == 0 and len(poses) > 1
                _draw_bones(axes[row, column], members[column][:, view], skeleton, color=GRAY if behind else None)
            _square(axes[row, column], np.zeros(2), POSE_METERS)
    axes[1, 0].set_title(label_text(" over ".join(reversed(list(poses)))), fontsize=7, loc="left")
    for axis, name in zip(axes[:, 0], ("keypoints", "front", "from the side"), strict=True):
        axis.set_ylabel(name, fontsize=9)
    return figure


def _draw_bones(axis: Axes, points: np.ndarray, skeleton: Skeleton, color: str | None = None) -> None:
    left = {number for number, _ in skeleton.flip_pairs}
    right = {number for _, number in skeleton.flip_pairs}
    for parent, joint in skeleton.bones:
        ends = {parent, joint}
        side = BLUE if ends & left else RED if ends & right else BLACK
        width = 4.0 if color else 1.8
        axis.plot(*points[[parent, joint]].T, color=color or side, linewidth=width, solid_capstyle="round")


def _square(axis: Axes, center: np.ndarray, half: float) -> None:
    axis.set(xlim=(center[0] - half, center[0] + half), ylim=(center[1] + half, center[1] - half), aspect="equal")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color("#c8c8c8")


def lifting_errors(errors: Mapping[str, Mapping[str, float]], label: str = "MPJPE (mm)") -> Figure:
    """Bars for each group (a joint, an action), one for each method: `errors[method][group]`; the largest at the top.

    Groups are sorted by the error of the last method.
    """
    methods = list(errors)
    groups = sorted(errors[methods[-1]], key=lambda name: errors[methods[-1]][name])
    figure, axes = subplots(1, 1, 6.0, 0.6 + 0.12 * len(groups) * (len(methods) + 0.6))
    axis, height = axes[0, 0], 0.8 / len(methods)
    for number, method in enumerate(methods):
        places = np.arange(len(groups)) + (len(methods) / 2 - number - 0.5) * height
        color = COLORS[(len(methods) - 1 - number) % len(COLORS)]
        axis.barh(places, [errors[method][name] for name in groups], height, color=color, label=label_text(method))
    axis.set_yticks(np.arange(len(groups)), [name.replace("_", " ") for name in groups], fontsize=8)
    style_axis(axis, label, "")
    add_legend(axis)
    return figure


def hiding_curves(shares: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Figure:
    """MPJPE in mm of each method against the share of joints that are hidden."""
    figure, axes = subplots(1, 1, 5.0, 3.0)
    for number, (method, values) in enumerate(errors.items()):
        color = COLORS[number % len(COLORS)]
        axes[0, 0].plot(100 * np.asarray(shares), values, marker="o", color=color, label=label_text(method))
    style_axis(axes[0, 0], "joints hidden (%)", "MPJPE (mm)")
    axes[0, 0].set_ylim(0)
    add_legend(axes[0, 0])
    return figure


def joint_paths(paths: Mapping[str, np.ndarray], fps: float) -> Figure:
    """Height in m and horizontal speed in m/s of one joint over time, for motions (T, 3) in meters by name, y up."""
    figure, axes = subplots(2, 1, 7.0, 1.9, sharex=True)
    for number, (name, points) in enumerate(paths.items()):
        style: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "linewidth": 1.5, "label": label_text(name)}
        seconds = np.arange(len(points)) / fps
        axes[0, 0].plot(seconds, points[:, 1], **style)
        axes[1, 0].plot(seconds[1:], fps * np.linalg.norm(np.diff(points[:, [0, 2]], axis=0), axis=-1), **style)
    style_axis(axes[0, 0], "", "height (m)")
    style_axis(axes[1, 0], "seconds", "speed (m/s)")
    add_legend(axes[0, 0])
    return figure


def lifting_state(skeleton: Skeleton, rows: Sequence[Mapping[str, float]], progress: Any, text: str) -> Figure:
    """A training as it goes: its losses, and poses of the last batch over the true ones.

    `rows` of metrics.jsonl; `progress` as a callback gets it (`training.logger.Progress`); text is the title.
    """
    figure, axes = subplots(2, SHOWN + 2, 1.35, 1.6)
    figure.suptitle(text, fontsize=9, x=0.005, ha="left", color=BLACK)
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, :2].flat:
        axis.remove()
    for cell, name, color in zip((grid[0, :2], grid[1, :2]), ("loss", "position"), (BLUE, GREEN), strict=True):
        axis = figure.add_subplot(cell)
        draw_curve(axis, rows, name, color=color)
        set_title(axis, {"loss": "total loss", "position": "MPJPE (m)"}[name])
    lifted, truth = (as_array(values) for values in (progress.output.positions, progress.batch.positions))
    for column in range(min(SHOWN, len(truth))):
        for row, view in enumerate(([0, 1], [2, 1])):
            panel = axes[row, 2 + column]
            _draw_bones(panel, truth[column, truth.shape[1] // 2][:, view], skeleton, color=GRAY)
            _draw_bones(panel, lifted[column, lifted.shape[1] // 2][:, view], skeleton)
            _square(panel, np.zeros(2), POSE_METERS)
    for row, name in enumerate(("front", "from the side")):
        axes[row, 2].set_ylabel(name, fontsize=9)
    return figure
