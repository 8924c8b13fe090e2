"""The training at a glance, as it goes: arrays in, a matplotlib figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pplkit.viz.drawing import BLACK, BLUE, GREEN, GREY, Links, Pictures, as_uint8, page, picture, plane, skeleton, tidy
from pplkit.viz.images import LOSS_NAMES, curve

EVERY_BANK = 20  # up to so many banks each has its number at the axis


def training_state(
    rows: Sequence[Mapping[str, float]],
    points: np.ndarray,
    links: Links,
    strengths: Sequence[float],
    images: Pictures,
    painted: Pictures,
    in_use: np.ndarray,
    text: str,
) -> Figure:
    """Losses, the prior T (N, 2) with its links, two images with what is painted for them, and the memory's use.

    rows of metrics.jsonl; images and painted as `drawing.as_uint8` takes them; in_use (banks,) the share of each bank's
    vectors in use, in [0, 1]; text is the title.
    """
    figure, axes = page(2, 8, 1.35, 1.6)
    figure.suptitle(text, fontsize=9, x=0.005, ha="left", color=BLACK)
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, [0, 1, 2, 3, 6, 7]].flat:
        axis.remove()
    names = [name for name in ("loss", "pose") if any(name in row for row in rows)]
    for place, name, colour in zip((grid[0, :2], grid[1, :2]), names, (BLUE, GREEN), strict=False):
        axis = figure.add_subplot(place)
        curve(axis, rows, name, colour)
        axis.set_title("total loss" if name == "loss" else LOSS_NAMES[name], fontsize=9, loc="left")
    pose = figure.add_subplot(grid[:, 2:4])
    plane(pose, "prior", ticks=False)
    skeleton(pose, points, links, strengths, size=24, width=3)
    sheets = zip(as_uint8(images), as_uint8(painted), strict=True)
    for row, (image, paint) in zip(axes[:, 4:6], sheets, strict=False):
        picture(row[0], image, "image")
        picture(row[1], paint, "painted")
    _memory(figure.add_subplot(grid[:, 6:]), in_use)
    return figure


def _memory(axis: Axes, in_use: np.ndarray) -> None:
    """A bar for each bank: the share of its vectors in use."""
    banks = np.arange(len(in_use))
    axis.barh(banks, np.full(len(banks), 100.0), 0.8, color="#eeeeee")
    axis.barh(banks, 100 * in_use, 0.8, color=BLUE)
    every = 1 if len(banks) <= EVERY_BANK else 5
    axis.set_yticks(banks[::every])
    axis.set_ylim(len(banks) - 0.4, -0.6)
    axis.set_xlim(0, 100)
    tidy(axis, "vectors in use (%)", "bank")
    axis.tick_params(labelsize=7)
    axis.set_title(f"memory: {100 * in_use.mean():.0f} % in use", fontsize=9, color=BLACK, pad=4)
    axis.axvline(100 * float(in_use.mean()), color=GREY, linewidth=1)
