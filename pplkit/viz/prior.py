"""Figures of the prior and the memory, and of the objects that were found: a matplotlib figure out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.data.dataset import Dataset
from pplkit.data.images import read_image
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    ORANGE,
    Links,
    Pictures,
    as_uint8,
    blank,
    page,
    picture,
    plane,
    skeleton,
    tidy,
)


def prior_figure(prior: PosePrior) -> Figure:
    """The prior V = (T, W): numbered keypoints with the strong links, their width by weight, beside all weights."""
    figure, axes = page(1, 2, 4.2, 3.9)
    plane(axes[0, 0], "keypoint prior T and strong links")
    skeleton(axes[0, 0], prior.keypoints, *_linked(prior), size=36, width=4, numbers=True)
    connectivity(figure, axes[0, 1], prior)
    return figure


def connectivity(figure: Figure, axis: Axes, prior: PosePrior, share: float = 0.0) -> None:
    """The weights W as a heat map; grey those below `share` of the strongest, where the colour bar has a line."""
    count, least = len(prior.keypoints), share * float(prior.connectivity.max())
    colours = colormaps["Blues"].with_extremes(bad="#dddddd")
    heat = axis.imshow(np.ma.masked_less(prior.connectivity, least), cmap=colours, vmin=0)
    heat.set_clim(0, float(prior.connectivity.max()))
    every = 1 if count <= 20 else 5
    axis.set(xticks=range(0, count, every), yticks=range(0, count, every), xlabel="keypoint", ylabel="keypoint")
    axis.tick_params(labelsize=7)
    axis.set_title("connectivity prior W" + f" (grey: < {share:.2f})" * (share > 0), fontsize=9, color=BLACK, pad=4)
    bar = figure.colorbar(heat, ax=axis, shrink=0.8)
    bar.set_label("link weight", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if share:
        bar.ax.axhline(least, color=ORANGE, linewidth=2)


def _linked(prior: PosePrior) -> tuple[list[tuple[int, int]], list[float]]:
    links = prior.links()
    return links, [prior.strength(link) for link in links]


def prior_evolution(rows: Sequence[Mapping[str, Any]], count: int = 6) -> Figure:
    """The prior at `count` times spread over training; rows of prior_history.jsonl (step, keypoints, connectivity)."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    figure, axes = page(1, len(chosen), 1.7, 1.9)
    for axis, row in zip(axes[0], (rows[k] for k in chosen), strict=True):
        prior = PosePrior(np.array(row["keypoints"]), np.array(row["connectivity"]))
        plane(axis, f"step {row['step']}", ticks=False)
        skeleton(axis, prior.keypoints, *_linked(prior), size=12, width=2.4)
    return figure


def bank_usage(shares: np.ndarray) -> Figure:
    """How often the vectors of each bank are taken: shares (banks, vectors), every bank's sorted from left to right."""
    ordered = 100 * np.sort(shares, axis=1)[:, ::-1]
    used = (shares > 0).sum(1)
    figure, axes = page(1, 2, 4.0, 1.2 + 0.11 * len(shares), width_ratios=(2, 1))
    axis, banks = axes[0, 0], np.arange(len(shares))
    heat = axis.imshow(
        ordered, cmap="Blues", vmin=0, aspect="auto", extent=(0.5, shares.shape[1] + 0.5, len(shares) - 0.5, -0.5)
    )
    axis.set_xlabel("vectors of the bank, most used first", fontsize=9)
    axis.set_ylabel("bank", fontsize=9)
    axis.tick_params(labelsize=8)
    bar = figure.colorbar(heat, ax=axis)
    bar.set_label("share of the images (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes[0, 1].barh(banks, used, 0.7, color=BLUE)
    axes[0, 1].set_ylim(len(shares) - 0.5, -0.5)
    axes[0, 1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    tidy(axes[0, 1], f"vectors used (of {shares.shape[1]})", "bank")
    return figure


def bank_effects(
    banks: Sequence[int], poses: Sequence[np.ndarray], shares: Sequence[np.ndarray], links: Links
) -> Figure:
    """What each of some banks controls: the prior under each of its vectors, drawn over one another.

    For every bank: poses (vectors, N, 2) and shares (vectors,); only vectors that are used are drawn, and the more
    often one is used the stronger its lines.
    """
    figure, axes = page(1, len(banks), 2.2, 2.5)
    for axis, bank, pose, share in zip(axes[0], banks, poses, shares, strict=True):
        used = np.flatnonzero(share > 0)
        plane(axis, f"bank {bank} ({len(used)} of {len(share)} used)", ticks=False)
        colours = colormaps["viridis"](np.linspace(0, 0.88, len(used)))
        order = used[np.argsort(pose[used].mean(1) @ np.ones(2), kind="stable")]
        for vector, colour in zip(order, colours, strict=True):
            opacity = float(0.25 + 0.65 * share[vector] / share.max())
            for link in links:
                axis.plot(
                    *pose[vector][list(link)].T, color=colour, linewidth=1.3, alpha=opacity, solid_capstyle="round"
                )
            axis.scatter(*pose[vector].T, s=7, color=colour, alpha=opacity, linewidths=0, zorder=3)
    return figure


def prototypes_figure(found: Prototypes, images: Pictures, links: Links, strengths: Sequence[float]) -> Figure:
    """Typical poses with the share of the images each stands for, above an image (k, S, S, 3) that takes each."""
    figure, axes = page(2, len(found.shares), 1.35, 1.45)
    pictures = as_uint8(images)
    for column, (points, share, image) in enumerate(zip(found.keypoints, found.shares, pictures, strict=True)):
        plane(axes[0, column], f"{100 * share:.0f} %", ticks=False)
        skeleton(axes[0, column], points, links, strengths, size=10, width=2)
        picture(axes[1, column], image)
    return figure


def ablation_points(result: Mapping[str, Any], measure: str = "relative_error") -> Figure:
    """A line for each variant of `ablations.compare`: every seed as a point, mean and standard deviation beside it."""
    rows = {name: row for name, row in result["rows"].items() if measure in row}
    figure, axes = page(1, 1, 6.0, 1.0 + 0.32 * max(1, len(rows)))
    axis = axes[0, 0]
    for place, row in enumerate(rows.values()):
        values = row[measure]
        axis.errorbar(values["mean"], place, xerr=values["std"] or 0, fmt="D", color=BLUE, markersize=5, capsize=3)
        axis.scatter(values["seeds"], np.full(len(values["seeds"]), place), s=14, color=BLACK, zorder=3, alpha=0.6)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    tidy(axis, "error / error of the mean pose" if measure == "relative_error" else measure.replace("_", " "), "")
    return figure


def priors_figure(priors: Mapping[str, PosePrior], columns: int = 6) -> Figure:
    """Several priors by name, each as a skeleton, so that variants can be compared."""
    figure, axes = page(-(-len(priors) // columns), min(columns, len(priors)), 1.9, 2.1)
    for axis, (name, prior) in zip(axes.flat, priors.items(), strict=False):
        plane(axis, name, ticks=False)
        skeleton(axis, prior.keypoints, *_linked(prior), size=12, width=2.4)
    blank(axes.ravel()[len(priors) :])
    return figure


def objects_found(data: Dataset) -> Figure | None:
    """Whole frames with the squares that a preparation with crop="object" cut out; None for other data sets."""
    sheet = data.path / "objects.png"
    if data.options.get("crop") != "object" or not sheet.exists():
        return None
    image = read_image(sheet)
    figure, axes = page(1, 1, image.width / 100, image.height / 100)
    axes[0, 0].imshow(image)
    axes[0, 0].set_axis_off()
    return figure
