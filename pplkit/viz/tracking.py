"""Figures of the tracks of a video: where points are over time, and how steady smoothing makes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pplkit.evaluation.tracking import Film
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.trajectories import jitter
from pplkit.inference.tracking import Tracks
from pplkit.viz.drawing import BLUE, GREEN, GREY, ORANGE, RED, page, plain, tidy

FEW = 3  # points that a figure over time has room for


def over_time(tracks: Tracks, chosen: Sequence[int] | None = None) -> Figure:
    """x, y and confidence of a few points against the time, a column each: as found, smooth, and where filled.

    `chosen` are their positions in `tracks.names`; by default those that `telling` takes.
    """
    chosen = telling(tracks.points) if chosen is None else chosen
    figure, axes = page(3, len(chosen), 3.2, 1.7, sharex=True)
    for column, n in zip(axes.T, chosen, strict=True):
        for axis, part in zip(column[:2], range(2), strict=True):
            _place(axis, tracks, n, part)
        column[1].invert_yaxis()  # as in the picture, where y goes down
        column[2].plot(tracks.seconds, tracks.confidence[:, n], color=GREEN, linewidth=1.2)
        column[2].set_ylim(bottom=0)
        names = ("x (pixels)", "y (pixels, down)", "confidence") if column[0] is axes[0, 0] else ("", "", "")
        for axis, name, below in zip(column, names, ("", "", "time (s)"), strict=True):
            tidy(axis, below, name)
        kind = "point" if tracks.names[n].isdecimal() else ""
        column[0].set_title(plain(f"{kind} {tracks.names[n]}".strip()), fontsize=10, loc="left")
    some = slice(None if tracks.filled[:, chosen].any() else 2)  # rings only where there are any
    handles, names = (part[some] for part in axes[0, 0].get_legend_handles_labels())
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=8, frameon=False)
    return figure


def _place(axis: Axes, tracks: Tracks, n: int, part: int) -> None:
    """One coordinate of one point; all three series are named, also where one is empty, so that legends agree."""
    found, smooth, filled = tracks.raw[:, n, part], tracks.points[:, n, part], tracks.filled[:, n]
    axis.plot(tracks.seconds, found, ".", color=ORANGE, markersize=4, label="found")
    axis.plot(tracks.seconds, smooth, color=BLUE, linewidth=1.4, label="smooth")
    ring: dict[str, Any] = {"markersize": 6, "markerfacecolor": "none", "markeredgecolor": RED}
    axis.plot(tracks.seconds[filled], smooth[filled], "o", label="filled, as hardly seen", **ring)


def against_truth(film: Film, names: Sequence[str], size: int) -> Figure:
    """x and y of a few joints of a labelled film, frame by frame: the truth, as found, and smooth.

    In % of the side of images of `size` pixels, 0 = the middle. The joints are those that `telling` takes.
    """
    chosen = telling(film.truth)
    figure, axes = page(2, len(chosen), 3.2, 1.9, sharex=True)
    frames, percent = np.arange(len(film.truth)), 100 * sides_per_unit(size)
    for column, n in zip(axes.T, chosen, strict=True):
        for axis, part, name in zip(column, range(2), ("x (% of the side)", "y (%, down)"), strict=True):
            truth, found, smooth = (percent * points[:, n, part] for points in film)
            axis.plot(frames, truth, color=GREY, linewidth=3.5, alpha=0.6, label="truth")
            axis.plot(frames, found, ".", color=ORANGE, markersize=4, label="found")
            axis.plot(frames, smooth, color=BLUE, linewidth=1.4, label="smooth")
            tidy(axis, "frame" if part else "", name if column[0] is axes[0, 0] else "")
        column[1].invert_yaxis()  # as in the picture, where y goes down
        column[0].set_title(plain(names[n].replace("_", " ")), fontsize=10, loc="left")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8, frameon=False
    )
    return figure


def telling(points: np.ndarray, count: int = FEW) -> list[int]:
    """Positions of up to `count` of points (T, N, 2), evenly from the one that moves least to that which moves most."""
    known = np.flatnonzero(np.isfinite(points).all(-1).any(0))
    moved = [float(np.nanstd(points[:, n], axis=0).sum()) for n in known]
    places = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return known[np.argsort(moved, kind="stable")[places]].tolist()


def steadiness(tracks: Tracks) -> Figure:
    """Jitter of each point, smooth beside as found, the least steady at the top; see `tracks.jitter`.

    In % of the side of the square that the model sees, per frame². What moves by itself has an acceleration, too.
    """
    scale = 100 / tracks.side
    found, smooth = (
        np.array([scale * jitter(points[:, [n]]) for n in range(len(tracks.names))])
        for points in (tracks.raw, tracks.points)
    )
    order = np.argsort(found, kind="stable")
    figure, axes = page(1, 1, 5.6, 0.9 + 0.2 * len(order))
    axis, places = axes[0, 0], np.arange(len(order))
    axis.barh(places, smooth[order], 0.6, color=BLUE, label="smooth")
    axis.plot(found[order], places, "d", color=ORANGE, markersize=6, markeredgecolor="white", label="found")
    axis.set_yticks(places, [plain(tracks.names[n]) for n in order])
    tidy(axis, "acceleration (% of the square's side per frame²)", "point")
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
