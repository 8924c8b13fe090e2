"""Figures of the tracks of a video: where points are over time, and how much smoothing steadies them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pplkit.evaluation.tracking import LabelledTracks
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.trajectories import jitter
from pplkit.inference.tracking import Tracks
from pplkit.viz.drawing import BLUE, GRAY, GREEN, ORANGE, RED, add_legend, label_text, style_axis, subplots

MAX_POINTS = 3  # that a figure over time has room for


def tracks_over_time(tracks: Tracks, chosen: Sequence[int] | None = None) -> Figure:
    """x, y and confidence of a few points against the time, a column each: raw, smooth, and where filled.

    `chosen` are their positions in `tracks.names`; by default those of `most_informative`.
    """
    chosen = most_informative(tracks.points) if chosen is None else chosen
    figure, axes = subplots(3, len(chosen), 3.2, 1.7, sharex=True)
    for column, n in zip(axes.T, chosen, strict=True):
        filled = tracks.filled[:, n]
        for axis, raw, smooth in zip(column[:2], tracks.raw[:, n].T, tracks.points[:, n].T, strict=True):
            axis.plot(tracks.seconds, raw, ".", color=ORANGE, markersize=4, label="raw")
            axis.plot(tracks.seconds, smooth, color=BLUE, linewidth=1.4, label="smooth")
            ring: dict[str, Any] = {"markersize": 6, "markerfacecolor": "none", "markeredgecolor": RED}
            axis.plot(tracks.seconds[filled], smooth[filled], "o", label="filled, as hardly seen", **ring)
        column[1].invert_yaxis()  # as in the image, where y goes down
        column[2].plot(tracks.seconds, tracks.confidence[:, n], color=GREEN, linewidth=1.2)
        column[2].set_ylim(bottom=0)
        names = ("x (pixels)", "y (pixels, down)", "confidence") if column[0] is axes[0, 0] else ("", "", "")
        for axis, name, below in zip(column, names, ("", "", "time (s)"), strict=True):
            style_axis(axis, below, name)
        name = f"point {tracks.names[n]}" if tracks.names[n].isdecimal() else tracks.names[n]
        column[0].set_title(label_text(name), fontsize=10, loc="left")
    _legend_above(figure, slice(None if tracks.filled[:, chosen].any() else 2))  # rings only where there are any
    return figure


def tracks_vs_truth(tracks: LabelledTracks, names: Sequence[str], size: int) -> Figure:
    """x and y of a few joints of a labelled video, frame by frame: the truth, raw, and smooth.

    In % of the side of images of `size` pixels, 0 = the middle. The joints are those of `most_informative`.
    """
    chosen = most_informative(tracks.truth)
    figure, axes = subplots(2, len(chosen), 3.2, 1.9, sharex=True)
    frames, percent = np.arange(len(tracks.truth)), 100 * sides_per_unit(size)
    for column, n in zip(axes.T, chosen, strict=True):
        for axis, part, name in zip(column, range(2), ("x (% of the side)", "y (%, down)"), strict=True):
            truth, raw, smooth = (percent * points[:, n, part] for points in tracks)
            axis.plot(frames, truth, color=GRAY, linewidth=3.5, alpha=0.6, label="truth")
            axis.plot(frames, raw, ".", color=ORANGE, markersize=4, label="raw")
            axis.plot(frames, smooth, color=BLUE, linewidth=1.4, label="smooth")
            style_axis(axis, "frame" if part else "", name if column[0] is axes[0, 0] else "")
        column[1].invert_yaxis()  # as in the image, where y goes down
        column[0].set_title(label_text(names[n].replace("_", " ")), fontsize=10, loc="left")
    _legend_above(figure, slice(None))
    return figure


def _legend_above(figure: Figure, entries: slice) -> None:
    handles, names = figure.axes[0].get_legend_handles_labels()
    handles, names = handles[entries], names[entries]
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=8, frameon=False)


def most_informative(points: np.ndarray, count: int = MAX_POINTS) -> list[int]:
    """Positions of up to `count` of points (T, N, 2), evenly from the one that moves least to the one that moves most.

    Points that are NaN throughout are never chosen.
    """
    known = np.flatnonzero(np.isfinite(points).all(-1).any(0))
    motion = [float(np.nanstd(points[:, n], axis=0).sum()) for n in known]
    ranks = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return known[np.argsort(motion, kind="stable")[ranks]].tolist()


def jitter_bars(tracks: Tracks) -> Figure:
    """Jitter of each point, smooth beside raw, the least steady at the top; see `geometry.trajectories.jitter`.

    In % of the side of the square that the model sees, per frame². What moves by itself has an acceleration, too.
    """
    scale, count = 100 / tracks.side, len(tracks.names)
    raw, smooth = (
        np.array([scale * jitter(points[:, [n]]) for n in range(count)]) for points in (tracks.raw, tracks.points)
    )
    order, places = np.argsort(raw, kind="stable"), np.arange(count)
    figure, axes = subplots(1, 1, 5.6, 0.9 + 0.2 * count)
    axis = axes[0, 0]
    axis.barh(places, smooth[order], 0.6, color=BLUE, label="smooth")
    axis.plot(raw[order], places, "d", color=ORANGE, markersize=6, markeredgecolor="white", label="raw")
    axis.set_yticks(places, [label_text(tracks.names[n]) for n in order])
    style_axis(axis, "acceleration (% of the square's side per frame²)", "point")
    add_legend(axis)
    return figure
