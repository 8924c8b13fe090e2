"""What every figure is drawn with: a page of axes, images and skeletons in [-1, 1], colours, and the one `save`.

Figures are made without pyplot, so none is kept open behind the scenes and none is shown twice. Colours are those of
Okabe and Ito, which people with colour-blind eyes can tell apart.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from torch import Tensor

from pplkit.core.files import atomic_path

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, BLACK = "#56B4E9", "#CC79A7", "#8a8a8a", "#222222"
COLOURS = (BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK)
DPI = 100
LONGEST = 60  # letters of a name
Pictures = np.ndarray | Tensor
Links = Sequence[tuple[int, int]]


def page(rows: int, columns: int, width: float = 1.5, height: float = 1.5, **options: Any) -> tuple[Figure, np.ndarray]:
    """A white figure and its axes (rows, columns); width and height of one panel in inches."""
    figure = Figure(figsize=(columns * width, rows * height), dpi=DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def plain(text: str) -> str:
    """A name for a figure that shows as it is written: one with two dollar signs is no formula; a long one is cut."""
    return (text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…").replace("$", r"\$")


def save(figure: Figure, run: str | os.PathLike[str], name: str) -> Figure:
    """Write <run>/figures/<name>.png, complete or not at all, and return the figure to be shown."""
    folder = Path(run) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{name}.png") as partial:
        figure.savefig(partial, dpi=DPI, format="png")
    return figure


def as_uint8(images: Pictures) -> np.ndarray:
    """uint8 (n, S, S, 3) as they are; float (n, C, S, S) in [-1, 1], C = 1 or 3, as uint8 (n, S, S, 3)."""
    if isinstance(images, Tensor):
        images = images.detach().float().cpu().numpy()
    if images.dtype == np.uint8:
        return images
    colours = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    return ((colours.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def as_points(points: Pictures) -> np.ndarray:
    """Keypoints (..., 2) as a NumPy array."""
    return points.detach().float().cpu().numpy() if isinstance(points, Tensor) else np.asarray(points)


def picture(axis: Axes, image: np.ndarray, title: str = "") -> None:
    """One image (S, S, 3) uint8 or (S, S) with coordinates: the centres of its first and last pixels at -1 and +1."""
    half = 1 / (len(image) - 1)  # of a pixel
    smooth = "nearest" if len(image) <= 64 else "antialiased"
    axis.imshow(image, extent=(-1 - half, 1 + half, 1 + half, -1 - half), interpolation=smooth, cmap="gray")
    axis.set(xlim=(-1 - half, 1 + half), ylim=(1 + half, -1 - half), xticks=[], yticks=[])
    for side in axis.spines.values():
        side.set_visible(False)
    if title:
        axis.set_title(plain(title), fontsize=8, color=BLACK, pad=3)


def plane(axis: Axes, title: str = "", ticks: bool = True) -> None:
    """An empty image plane: x to the right, y down, both in [-1, 1], equal scales."""
    axis.set(xlim=(-1.05, 1.05), ylim=(1.05, -1.05), aspect="equal")
    if ticks:
        axis.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel="x (half image widths)", ylabel="y (down)")
        axis.tick_params(labelsize=8)
        axis.grid(color="#e6e6e6", linewidth=0.6)
        axis.set_axisbelow(True)
    else:
        axis.set(xticks=[], yticks=[])
    for side in axis.spines.values():
        side.set_color("#c8c8c8")
    if title:
        axis.set_title(plain(title), fontsize=9, color=BLACK, pad=4)


def keypoint_colours(count: int) -> np.ndarray:
    """One colour (count, 4) for each keypoint, the same in every figure."""
    return colormaps["plasma"](np.linspace(0, 0.93, count))


def skeleton(
    axis: Axes,
    points: np.ndarray,
    links: Links = (),
    strengths: Sequence[float] | None = None,
    *,
    size: float = 14,
    width: float = 2.4,
    colour: str = BLUE,
    opacity: float | np.ndarray = 1.0,
    numbers: bool = False,
) -> None:
    """Keypoints (N, 2) and their links; strengths in [0, 1] (default 1) set the width and opacity of each link.

    `size` of a keypoint in square points, `width` of the strongest link in points, `opacity` of the keypoints (one, or
    one each). White rims keep both legible on any picture. Keypoints that are NaN are left out.
    """
    strengths = [1.0] * len(links) if strengths is None else strengths
    for (i, j), strength in sorted(zip(links, strengths, strict=True), key=lambda pair: pair[1]):
        line, opaque = width * (0.15 + 0.85 * strength), 0.15 + 0.85 * strength
        # The rims lie below all links, so that none cuts another.
        axis.plot(*points[[i, j]].T, color="white", linewidth=line + 1, alpha=0.8 * opaque, zorder=2)
        axis.plot(*points[[i, j]].T, color=colour, linewidth=line, alpha=opaque, zorder=2.5, solid_capstyle="round")
    if size:
        dots: dict[str, Any] = {"s": size, "alpha": opacity, "edgecolors": "white", "linewidths": 0.6}
        axis.scatter(points[:, 0], points[:, 1], c=keypoint_colours(len(points)), zorder=3, **dots)
    if numbers:
        _numbers(axis, points)


def _numbers(axis: Axes, points: np.ndarray) -> None:
    """Each keypoint's index beside it, on the side away from its neighbours."""
    for number, point in enumerate(points):
        away = point - np.delete(points, number, axis=0)
        near = np.square(away).sum(1, keepdims=True) + 1e-3
        direction = (away / near**1.5).sum(0)
        offset = 9 * direction / max(float(np.linalg.norm(direction)), 1e-9)  # in points, y up
        rim = [Stroke(linewidth=2, foreground="white"), Normal()]
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": BLACK, "path_effects": rim}
        axis.annotate(str(number), point, (offset[0], -offset[1]), textcoords="offset points", zorder=4, **style)


def tidy(axis: Axes, x: str, y: str, title: str = "") -> None:
    """Labels, a light grid, no box."""
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if title:
        axis.set_title(plain(title), fontsize=10, color=BLACK, loc="left")


def blank(axes: Sequence[Axes] | np.ndarray) -> None:
    """Hide panels that nothing is drawn in."""
    for axis in np.ravel(np.asarray(axes, dtype=object)):
        axis.set_visible(False)
