"""What every figure is drawn with: axes, images and skeletons in [-1, 1], colors, and the one `save`.

Figures are made without pyplot, so none is kept open and none is shown twice. Colors are those of Okabe and Ito, which
color-blind people can tell apart.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from torch import Tensor

from pplkit.core.files import write_bytes
from pplkit.models.prior.pose_prior import PosePrior

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GRAY, BLACK = "#56B4E9", "#CC79A7", "#8a8a8a", "#222222"
COLORS = (BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK)
DPI = 100
MAX_LABEL_LETTERS = 60
Images = np.ndarray | Tensor
Links = Sequence[tuple[int, int]]


def subplots(
    rows: int, columns: int, width: float = 1.5, height: float = 1.5, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A white figure and its axes (rows, columns); width and height of one panel in inches."""
    figure = Figure(figsize=(columns * width, rows * height), dpi=DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def label_text(text: str) -> str:
    """A name as a label: cut if it is long, and no formula where it has dollar signs."""
    return (text if len(text) <= MAX_LABEL_LETTERS else f"{text[: MAX_LABEL_LETTERS - 1]}…").replace("$", r"\$")


def image_bytes(figure: Figure, kind: str = "png") -> bytes:
    """The figure as an image file, `kind` "png" or "svg"; equal figures give equal bytes."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "pplkit"}):  # an SVG has random names and a date otherwise
        figure.savefig(file, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def save(figure: Figure, run: str | os.PathLike[str], name: str) -> Figure:
    """Write <run>/figures/<name>.png, complete or not at all, and return the figure to be shown.

    Raises PplkitError if it cannot be written.
    """
    folder = Path(run) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{name}.png", image_bytes(figure))
    return figure


def as_uint8(images: Images) -> np.ndarray:
    """uint8 (n, S, S, 3) as they are; float (n, C, S, S) in [-1, 1], C = 1 or 3, as uint8 (n, S, S, 3)."""
    images = as_array(images)
    if images.dtype == np.uint8:
        return images
    colors = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    return ((colors.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def as_array(values: Images) -> np.ndarray:
    """A NumPy array of the same shape, float32 if `values` are a tensor."""
    return values.detach().float().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def draw_image(axis: Axes, image: np.ndarray, title: str = "") -> None:
    """One image (S, S, 3) uint8 or (S, S) with coordinates: the centers of its first and last pixels at -1 and +1."""
    half = 1 / (len(image) - 1)  # of a pixel
    interpolation = "nearest" if len(image) <= 64 else "antialiased"
    axis.imshow(image, extent=(-1 - half, 1 + half, 1 + half, -1 - half), interpolation=interpolation, cmap="gray")
    axis.set(xlim=(-1 - half, 1 + half), ylim=(1 + half, -1 - half), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    set_title(axis, title)


def draw_plane(axis: Axes, title: str = "", ticks: bool = True) -> None:
    """An empty image plane: x to the right, y down, both in [-1, 1], equal scales."""
    axis.set(xlim=(-1.05, 1.05), ylim=(1.05, -1.05), aspect="equal", xticks=[], yticks=[])
    if ticks:
        axis.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel="x (half image widths)", ylabel="y (down)")
        axis.tick_params(labelsize=8)
        axis.grid(color="#e6e6e6", linewidth=0.6)
        axis.set_axisbelow(True)
    axis.spines[:].set_color("#c8c8c8")
    set_title(axis, title, 9)


def set_title(axis: Axes, title: str, size: float = 8) -> None:
    """A title above a panel, if there is any."""
    if title:
        axis.set_title(label_text(title), fontsize=size, color=BLACK, pad=3)


def keypoint_colors(count: int) -> np.ndarray:
    """One color (count, 4) for each keypoint, the same in every figure."""
    return colormaps["plasma"](np.linspace(0, 0.93, count))


def strong_links(prior: PosePrior, fraction: float | None = None) -> tuple[list[tuple[int, int]], list[float]]:
    """The strong links of a prior, or those of at least `fraction` of the strongest, and their strengths in [0, 1]."""
    links = prior.links() if fraction is None else prior.links(fraction)
    return links, [prior.strength(link) for link in links]


def draw_skeleton(
    axis: Axes,
    points: np.ndarray,
    links: Links = (),
    strengths: Sequence[float] | None = None,
    *,
    size: float = 14,
    width: float = 2.4,
    color: str = BLUE,
    opacity: float | np.ndarray = 1.0,
    numbers: bool = False,
) -> None:
    """Keypoints (N, 2) and their links; strengths in [0, 1] (default 1) set the width and opacity of each link.

    `size` of a keypoint in square points, `width` of the strongest link in points, `opacity` of the keypoints (one for
    all, or one each). White rims keep both legible on any image. Keypoints that are NaN are left out.
    """
    strengths = [1.0] * len(links) if strengths is None else strengths
    for (i, j), strength in sorted(zip(links, strengths, strict=True), key=lambda pair: pair[1]):
        line, alpha = width * (0.15 + 0.85 * strength), 0.15 + 0.85 * strength
        # The rims lie below all links, so that none cuts another.
        axis.plot(*points[[i, j]].T, color="white", linewidth=line + 1, alpha=0.8 * alpha, zorder=2)
        axis.plot(*points[[i, j]].T, color=color, linewidth=line, alpha=alpha, zorder=2.5, solid_capstyle="round")
    if size:
        dots: dict[str, Any] = {"s": size, "alpha": opacity, "edgecolors": "white", "linewidths": 0.6}
        axis.scatter(points[:, 0], points[:, 1], c=keypoint_colors(len(points)), zorder=3, **dots)
    if numbers:
        _draw_numbers(axis, points)


def _draw_numbers(axis: Axes, points: np.ndarray) -> None:
    """Each keypoint's index beside it, on the side away from its neighbours."""
    for number, point in enumerate(points):
        offsets = point - np.delete(points, number, axis=0)
        near = np.square(offsets).sum(1, keepdims=True) + 1e-3
        direction = (offsets / near**1.5).sum(0)
        x, y = 9 * direction / max(float(np.linalg.norm(direction)), 1e-9)  # in points, y up
        rim = [Stroke(linewidth=2, foreground="white"), Normal()]
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": BLACK, "path_effects": rim}
        axis.annotate(str(number), point, (x, -y), textcoords="offset points", zorder=4, **style)


def style_axis(axis: Axes, x: str, y: str, title: str = "") -> None:
    """Labels, a light grid, no box."""
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if title:
        axis.set_title(label_text(title), fontsize=10, color=BLACK, loc="left")


def add_legend(axis: Axes, *entries: Any, **options: Any) -> None:
    """A legend without a box, beside the axis on the right unless options say otherwise."""
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    axis.legend(*entries, **{"fontsize": 8, "frameon": False, **beside, **options})
