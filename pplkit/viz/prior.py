"""Figures of the prior and the memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    ORANGE,
    Images,
    Links,
    as_uint8,
    draw_image,
    draw_plane,
    draw_skeleton,
    strong_links,
    style_axis,
    subplots,
)


def prior_figure(prior: PosePrior, weights: bool = True) -> Figure:
    """The prior V = (T, W): numbered keypoints with the strong links, their width by weight, beside all `weights`."""
    figure, axes = subplots(1, 1 + weights, 4.2, 3.9)
    draw_plane(axes[0, 0], "keypoint prior T and strong links", ticks=weights)
    draw_skeleton(axes[0, 0], prior.keypoints, *strong_links(prior), size=36, width=4, numbers=True)
    if weights:
        draw_connectivity(figure, axes[0, 1], prior)
    return figure


def draw_connectivity(figure: Figure, axis: Axes, prior: PosePrior, threshold: float = 0.0) -> None:
    """The weights W as a heat map; gray those below `threshold` of the strongest, a line in the color bar."""
    count, most = len(prior.keypoints), float(prior.connectivity.max())
    colors = colormaps["Blues"].with_extremes(bad="#dddddd")
    heat = axis.imshow(np.ma.masked_less(prior.connectivity, threshold * most), cmap=colors, vmin=0)
    heat.set_clim(0, most)
    ticks = range(0, count, 1 if count <= 20 else 5)
    axis.set(xticks=ticks, yticks=ticks, xlabel="keypoint", ylabel="keypoint")
    axis.tick_params(labelsize=7)
    title = "connectivity prior W" + f" (gray: < {threshold:.2f})" * (threshold > 0)
    axis.set_title(title, fontsize=9, color=BLACK, pad=4)
    bar = figure.colorbar(heat, ax=axis, shrink=0.8)
    bar.set_label("link weight", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if threshold:
        bar.ax.axhline(threshold * most, color=ORANGE, linewidth=2)


def prior_evolution(rows: Sequence[Mapping[str, Any]], count: int = 6, columns: int = 6) -> Figure:
    """The prior at `count` times during training; rows of prior_history.jsonl (step, keypoints, connectivity)."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    priors = {
        f"step {rows[k]['step']}": PosePrior(np.array(rows[k]["keypoints"]), np.array(rows[k]["connectivity"]))
        for k in chosen
    }
    return priors_figure(priors, columns)


def priors_figure(priors: Mapping[str, PosePrior], columns: int = 6) -> Figure:
    """Several priors by name, each as a skeleton, so that variants can be compared."""
    figure, axes = subplots(-(-len(priors) // columns), min(columns, len(priors)), 1.9, 2.1)
    for axis, (name, prior) in zip(axes.flat, priors.items(), strict=False):
        draw_plane(axis, name, ticks=False)
        draw_skeleton(axis, prior.keypoints, *strong_links(prior), size=12, width=2.4)
    for axis in axes.ravel()[len(priors) :]:
        axis.set_visible(False)
    return figure


def bank_usage(usage: np.ndarray) -> Figure:
    """Codebook usage (banks, vectors): how often the vectors of each bank occur, every bank's sorted left to right."""
    banks, vectors = usage.shape
    figure, axes = subplots(1, 2, 4.0, 1.2 + 0.11 * banks, width_ratios=(2, 1))
    axis, extent = axes[0, 0], (0.5, vectors + 0.5, banks - 0.5, -0.5)
    heat = axis.imshow(100 * np.sort(usage, axis=1)[:, ::-1], cmap="Blues", vmin=0, aspect="auto", extent=extent)
    axis.set_xlabel("vectors of the bank, most used first", fontsize=9)
    axis.set_ylabel("bank", fontsize=9)
    axis.tick_params(labelsize=8)
    bar = figure.colorbar(heat, ax=axis)
    bar.set_label("images (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes[0, 1].barh(np.arange(banks), (usage > 0).sum(1), 0.7, color=BLUE)
    axes[0, 1].set_ylim(banks - 0.5, -0.5)
    axes[0, 1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style_axis(axes[0, 1], f"vectors used (of {vectors})", "bank")
    return figure


def bank_effects(
    banks: Sequence[int], poses: Sequence[np.ndarray], usage: Sequence[np.ndarray], links: Links
) -> Figure:
    """What each of some banks controls: the prior under each of its vectors, drawn over one another.

    For every bank: poses (vectors, N, 2) and usage (vectors,); only used vectors are drawn, and the more often one is
    used the stronger its lines.
    """
    figure, axes = subplots(1, len(banks), 2.2, 2.5)
    for axis, bank, pose, often in zip(axes[0], banks, poses, usage, strict=True):
        used = np.flatnonzero(often > 0)
        draw_plane(axis, f"bank {bank} ({len(used)} of {len(often)} used)", ticks=False)
        colors = colormaps["viridis"](np.linspace(0, 0.88, len(used)))
        order = used[np.argsort(pose[used].mean(1) @ np.ones(2), kind="stable")]
        for vector, color in zip(order, colors, strict=True):
            style: dict[str, Any] = {"color": color, "alpha": float(0.25 + 0.65 * often[vector] / often.max())}
            for link in links:
                axis.plot(*pose[vector][list(link)].T, linewidth=1.3, solid_capstyle="round", **style)
            axis.scatter(*pose[vector].T, s=7, linewidths=0, zorder=3, **style)
    return figure


def prototypes_figure(typical: Prototypes, images: Images, links: Links, strengths: Sequence[float]) -> Figure:
    """Typical poses with the fraction of the images each stands for, above an image (k, S, S, 3) of each."""
    figure, axes = subplots(2, len(typical.fractions), 1.35, 1.45)
    for column, points, fraction, image in zip(
        axes.T, typical.keypoints, typical.fractions, as_uint8(images), strict=True
    ):
        draw_plane(column[0], f"{100 * fraction:.0f} %", ticks=False)
        draw_skeleton(column[0], points, links, strengths, size=10, width=2)
        draw_image(column[1], image)
    return figure
