"""Figures of a training: batches, reconstructions, loss curves, and the state of a training as it goes."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    COLORS,
    GRAY,
    GREEN,
    Images,
    Links,
    add_legend,
    as_array,
    as_uint8,
    draw_image,
    draw_plane,
    draw_skeleton,
    label_text,
    style_axis,
    subplots,
)

LOSS_NAMES = {
    "loss": "total", "reconstruction": "reconstruction", "boundary": "boundary", "links": "change of link lengths",
    "separation": "separation", "length": "length of links", "equivariance": "equivariance", "pose": "pose recall",
    "tokens": "tokens", "position": "position", "velocity": "velocity",
}  # fmt: skip
DASHES = ("-", "--", ":", "-.")
MAX_LABELLED_BANKS = 20  # with more, every fifth has its number at the axis


def training_batch(images: Images, references: Images, columns: int = 8) -> Figure:
    """What a step sees: images above, the reference image of each below."""
    return _image_rows({"image": as_uint8(images), "reference": as_uint8(references)}, columns)


def reconstructions(
    images: Images, references: Images, link_maps: Images, reconstruction: Images, columns: int = 8
) -> Figure:
    """Rows: image, reference, link map (B, 1, S, S; each scaled to its own maximum), reconstruction."""
    maps = as_array(link_maps)
    maps = maps / np.maximum(maps.max((1, 2, 3), keepdims=True), 1e-9) * 2 - 1
    rows = {"image": images, "reference": references, "link map": maps, "reconstruction": reconstruction}
    return _image_rows({name: as_uint8(row) for name, row in rows.items()}, columns)


def _image_rows(rows: Mapping[str, np.ndarray], columns: int) -> Figure:
    columns = min(columns, *(len(images) for images in rows.values()))
    figure, axes = subplots(len(rows), columns, 1.35, 1.35)
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            draw_image(axis, image)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def training_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """The lines of metrics.jsonl: every loss against the step, one panel each; logarithmic where it falls tenfold."""
    names = [name for name in LOSS_NAMES if rows and name in rows[0]]
    figure, axes = subplots(1, max(1, len(names)), 2.3, 2.2)
    for axis, name, color in zip(axes[0], names, cycle(COLORS), strict=False):
        draw_curve(axis, rows, name, color=color)
    axes[0, 0].set_ylabel("loss (no unit)", fontsize=9)
    return figure


def variant_curves(variants: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Total loss and reconstruction loss of several variants: for each, the lines of metrics.jsonl of every seed.

    Each variant has a color, and from the eighth on another dash. Totals of variants with other loss weights differ for
    that reason alone; the reconstruction loss, which the prior has, is comparable between variants with the same
    features.
    """
    painted = any("reconstruction" in row for seeds in variants.values() for rows in seeds for row in rows)
    names = ("loss", "reconstruction") if painted else ("loss",)
    figure, axes = subplots(1, len(names), 4.4, 2.8)
    for axis, name in zip(axes[0], names, strict=True):
        for number, (variant, seeds) in enumerate(variants.items()):
            dash = DASHES[number // len(COLORS) % len(DASHES)]
            style: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "linestyle": dash, "alpha": 0.9}
            for seed, rows in enumerate(seeds):
                draw_curve(axis, rows, name, linewidth=1.2, label="" if seed else label_text(variant), **style)
        axis.set_yscale("log")
    axes[0, 0].set_ylabel("loss (no unit)", fontsize=9)
    add_legend(axes[0, -1])
    return figure


def draw_curve(axis: Axes, rows: Sequence[Mapping[str, float]], name: str, **style: Any) -> None:
    """One loss, by its name in LOSS_NAMES, against the step; logarithmic if it falls tenfold."""
    values = np.array([row.get(name, np.nan) for row in rows])
    axis.plot([row["step"] for row in rows], values, marker="o" * (len(rows) == 1), **{"linewidth": 1.5, **style})
    known = values[np.isfinite(values)]  # a part of the loss may fade out
    if len(known) and known.max() > 10 * known.min() > 0:
        axis.set_yscale("log")
    style_axis(axis, "step", "", LOSS_NAMES[name])
    axis.tick_params(axis="y", which="both", labelsize=7)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def training_state(
    rows: Sequence[Mapping[str, float]],
    points: np.ndarray,
    links: Links,
    strengths: Sequence[float],
    images: Images,
    reconstruction: Images,
    usage: np.ndarray,
    text: str,
) -> Figure:
    """Losses, the prior T (N, 2) with its links, two images with their reconstructions, and the codebook usage.

    rows of metrics.jsonl; images and reconstruction as `drawing.as_uint8` takes them; usage (banks,) the fraction of
    each bank's vectors in use, in [0, 1]; text is the title.
    """
    figure, axes = subplots(2, 8, 1.35, 1.6)
    figure.suptitle(text, fontsize=9, x=0.005, ha="left", color=BLACK)
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, [0, 1, 2, 3, 6, 7]].flat:
        axis.remove()
    names = [name for name in ("loss", "pose") if any(name in row for row in rows)]
    for cell, name, color in zip((grid[0, :2], grid[1, :2]), names, (BLUE, GREEN), strict=False):
        axis = figure.add_subplot(cell)
        draw_curve(axis, rows, name, color=color)
        axis.set_title("total loss" if name == "loss" else LOSS_NAMES[name], fontsize=9, loc="left")
    pose = figure.add_subplot(grid[:, 2:4])
    draw_plane(pose, "prior", ticks=False)
    draw_skeleton(pose, points, links, strengths, size=24, width=3)
    pairs = zip(as_uint8(images), as_uint8(reconstruction), strict=True)
    for row, pair in zip(axes[:, 4:6], pairs, strict=False):
        draw_image(row[0], pair[0], "image")
        draw_image(row[1], pair[1], "reconstruction")
    _draw_usage(figure.add_subplot(grid[:, 6:]), usage)
    return figure


def _draw_usage(axis: Axes, usage: np.ndarray) -> None:
    """A bar for each bank: the fraction of its vectors in use."""
    banks = np.arange(len(usage))
    axis.barh(banks, np.full(len(banks), 100.0), 0.8, color="#eeeeee")
    axis.barh(banks, 100 * usage, 0.8, color=BLUE)
    axis.set_yticks(banks[:: 1 if len(banks) <= MAX_LABELLED_BANKS else 5])
    axis.set_ylim(len(banks) - 0.4, -0.6)
    axis.set_xlim(0, 100)
    style_axis(axis, "vectors in use (%)", "bank")
    axis.tick_params(labelsize=7)
    axis.set_title(f"codebook usage: {100 * usage.mean():.0f} %", fontsize=9, color=BLACK, pad=4)
    axis.axvline(100 * float(usage.mean()), color=GRAY, linewidth=1)
