"""Figures of data, training and evaluation: arrays in, a matplotlib figure out. `posters` has those of the prior."""

from collections.abc import Mapping, Sequence
from itertools import cycle, zip_longest
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.data.schema import error_unit
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.viz.drawing import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    Links,
    Pictures,
    as_points,
    as_uint8,
    blank,
    keypoint_colours,
    page,
    picture,
    plain,
    plane,
    skeleton,
    tidy,
)

LOSS_NAMES = {
    "loss": "total",
    "reconstruction": "reconstruction",
    "boundary": "boundary",
    "links": "change of link lengths",
    "separation": "separation",
    "length": "length of links",
    "equivariance": "equivariance",
    "pose": "pose recall",
    "tokens": "tokens",
}


def contact_sheet(
    images: Pictures,
    keypoints: Pictures | None = None,
    links: Links = (),
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Images (n, S, S, 3), n at least 1, in rows of `columns`; with keypoints (n, J, 2) and their skeleton if given."""
    return poses_on_images(images, keypoints, links, titles=titles, columns=columns)


def poses_on_images(
    images: Pictures,
    keypoints: Pictures | None,
    links: Links,
    strengths: Sequence[float] | None = None,
    confidence: Pictures | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Keypoints (n, N, 2) with links of one strength each on images (n, S, S, 3).

    confidence (n, N) in [0, 1] fades keypoints that the model is less sure of than of its surest in these images.
    """
    pictures = as_uint8(images)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = page(rows, columns, 1.35, 1.35 if titles is None else 1.55)
    points = None if keypoints is None else as_points(keypoints)
    sure = None if confidence is None else as_points(confidence)
    for n, (axis, image) in enumerate(zip_longest(axes.flat, pictures)):
        if image is None:
            blank([axis])
            continue
        picture(axis, image, titles[n] if titles is not None else "")
        if points is not None:
            opacity = 1.0 if sure is None else 0.25 + 0.75 * sure[n] / max(float(sure.max()), 1e-9)
            skeleton(axis, points[n], links, strengths, opacity=opacity, width=2)
    return figure


def named_points(
    images: Pictures,
    points: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str] | None = None,
    squares: Sequence[int] = (),
) -> Figure:
    """Points (n, J, 2) on images, NaN where there is none, with a legend of their names.

    Those at the positions `squares`, such as what is on the right, are squares, so that a pair is told apart by more
    than colours.
    """
    figure = contact_sheet(images, titles=titles)
    legend = []
    for number, (name, colour) in enumerate(zip(names, keypoint_colours(len(names)), strict=True)):
        look: dict[str, Any] = {"marker": "s" if number in squares else "o", "color": colour, "edgecolors": "white"}
        here = zip(figure.axes, points[:, number], strict=False)
        dots = [axis.scatter(x, y, s=22, linewidths=0.6, zorder=3, **look) for axis, (x, y) in here]
        legend.append((dots[0], plain(name)))
    figure.legend(*zip(*legend, strict=True), loc="outside lower left", ncols=6, fontsize=8, frameon=False)
    return figure


def video_strips(images: Pictures, videos: np.ndarray, rows: int = 4, columns: int = 8) -> Figure:
    """The first frames of the first videos, a row each: images (n, S, S, 3), videos (n,) the video of each."""
    names = np.unique(np.asarray(videos))[:rows]
    figure, axes = page(len(names), columns, 1.35, 1.35)
    for row, name in zip(axes, names, strict=True):
        frames = np.flatnonzero(np.asarray(videos) == name)[:columns]
        for n, axis in enumerate(row):
            if n < len(frames):
                picture(axis, as_uint8(images[frames[n : n + 1]])[0])
            else:
                blank([axis])
        row[0].set_ylabel(f"video {name}", fontsize=8)
    return figure


def pose_spread(images: Pictures, keypoints: Pictures | None = None, links: Links = ()) -> Figure:
    """Mean image, spread of the pixels and, with labels (n, J, 2), the mean pose and where each label lies."""
    pictures = as_uint8(images)
    figure, axes = page(1, 2 if keypoints is None else 4, 2.4, 2.5)
    picture(axes[0, 0], pictures.mean(0).round().astype(np.uint8), "mean image")
    picture(axes[0, 1], pictures.std(0, dtype=np.float32).mean(-1), "spread of the pixels (white: most)")
    if keypoints is not None:
        points = as_points(keypoints)
        plane(axes[0, 2], "mean pose", ticks=False)
        skeleton(axes[0, 2], np.nanmean(points, axis=0), links, size=22)
        plane(axes[0, 3], f"labels of {len(points)} images", ticks=False)
        for number, colour in enumerate(keypoint_colours(points.shape[1])):
            axes[0, 3].scatter(*points[:, number].T, s=3, color=colour, alpha=0.25, linewidths=0)
    return figure


def training_batch(images: Pictures, references: Pictures, columns: int = 8) -> Figure:
    """What a step sees: images above, the reference image of each below."""
    return _rows({"image": as_uint8(images), "reference": as_uint8(references)}, columns)


def reconstructions(
    images: Pictures, references: Pictures, link_maps: Pictures, painted: Pictures, columns: int = 8
) -> Figure:
    """Rows: image, reference, link map (B, 1, S, S; each scaled to its own maximum), reconstruction."""
    maps = as_points(link_maps)
    maps = maps / np.maximum(maps.max((1, 2, 3), keepdims=True), 1e-9) * 2 - 1
    rows = {"image": images, "reference": references, "link map": as_points(maps), "painted": painted}
    return _rows({name: as_uint8(pictures) for name, pictures in rows.items()}, columns)


def _rows(rows: Mapping[str, np.ndarray], columns: int) -> Figure:
    columns = min(columns, *(len(images) for images in rows.values()))
    figure, axes = page(len(rows), columns, 1.35, 1.35)
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            picture(axis, image)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def training_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """The lines of metrics.jsonl: every loss against the step, one panel each; logarithmic where it falls tenfold."""
    names = [name for name in LOSS_NAMES if rows and name in rows[0]]
    figure, axes = page(1, max(1, len(names)), 2.3, 2.2)
    for axis, name, colour in zip(axes[0], names, cycle(COLOURS), strict=False):
        curve(axis, rows, name, colour)
    axes[0, 0].set_ylabel("loss (no unit)", fontsize=9)
    return figure


def compared_curves(variants: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Total loss and reconstruction of several variants: of each, the lines of metrics.jsonl of every seed.

    A variant has a colour, and from the eighth on another dash. Totals of variants that weigh losses otherwise differ
    for that alone; the reconstruction is the same measure for all that compare the same features.
    """
    figure, axes = page(1, 2, 4.4, 2.8)
    dashes = ("-", "--", ":", "-.")
    for axis, name in zip(axes[0], ("loss", "reconstruction"), strict=True):
        for number, (variant, seeds) in enumerate(variants.items()):
            look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1.2, "alpha": 0.9}
            look["linestyle"] = dashes[number // len(COLOURS) % len(dashes)]
            for seed, rows in enumerate(seeds):
                values = [row.get(name, np.nan) for row in rows]
                axis.plot(
                    [row["step"] for row in rows],
                    values,
                    label="" if seed else plain(variant),
                    marker="o" * (len(rows) == 1),
                    **look,
                )
        axis.set_yscale("log")
        tidy(axis, "step", "", LOSS_NAMES[name])
        axis.tick_params(axis="y", which="both", labelsize=7)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set_ylabel("loss (no unit)", fontsize=9)
    axes[0, 1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def curve(axis: Axes, rows: Sequence[Mapping[str, float]], name: str, colour: str) -> None:
    """One loss, by its name in LOSS_NAMES, against the step; logarithmic if it falls tenfold."""
    values = np.array([row.get(name, np.nan) for row in rows])
    axis.plot([row["step"] for row in rows], values, color=colour, linewidth=1.5, marker="o" * (len(rows) == 1))
    if np.nanmin(values) > 0 and np.nanmax(values) > 10 * np.nanmin(values):  # nan: a part that had faded out
        axis.set_yscale("log")
    tidy(axis, "step", "", LOSS_NAMES[name])
    axis.tick_params(axis="y", which="both", labelsize=7)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def error_bars(report: Mapping[str, Any]) -> Figure:
    """Error of the model beside that of the mean pose, for all test images and each class; see `evaluation_report`."""
    groups = {"all": report, **report.get("classes", {})}
    scale, unit = error_unit(report["protocol"])
    figure, axes = page(1, 1, 3.2 + 0.9 * len(groups), 2.8)
    axis, places = axes[0, 0], np.arange(len(groups))
    series = (("model", "error", BLUE, -0.2), ("mean pose", "mean_pose_error", GREY, 0.2))
    for label, key, colour, shift in series:
        values = [scale * group[key] for group in groups.values()]
        bars = axis.bar(places + shift, values, 0.38, color=colour, label=label)
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    names = [plain(name).split(".")[-1].replace("_", "\n") for name in groups]
    axis.set_xticks(places, names)
    axis.set_xlim(-0.7, len(groups) - 0.3)
    tidy(axis, "", unit)
    axis.margins(y=0.15)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def keypoint_errors(protocol: str, names: Sequence[str], errors: np.ndarray, mean_pose: np.ndarray) -> Figure:
    """Error of each labelled point (J,) beside that of the mean pose (J,), the worst at the top; NaN: no label."""
    scale, unit = error_unit(protocol)
    errors, mean_pose = scale * errors, scale * mean_pose
    known = np.flatnonzero(np.isfinite(errors))
    order = known[np.argsort(errors[known])]
    figure, axes = page(1, 1, 5.6, 0.9 + 0.22 * len(order))
    axis, places = axes[0, 0], np.arange(len(order))
    axis.barh(places, errors[order], 0.6, color=BLUE, label="model")
    axis.plot(mean_pose[order], places, "d", color=ORANGE, markersize=6, markeredgecolor="white", label="mean pose")
    axis.set_yticks(places, [plain(names[k]).replace("_", " ") for k in order])
    tidy(axis, unit, "")
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def coverage_bars(shares: Mapping[str, float]) -> Figure:
    """Shares in [0, 1] by name as horizontal bars in per cent."""
    figure, axes = page(1, 1, 5.6, 0.9 + 0.26 * len(shares))
    places = np.arange(len(shares))[::-1]
    values = [100 * value for value in shares.values()]
    bars = axes[0, 0].barh(places, values, 0.62, color=BLUE)
    axes[0, 0].bar_label(bars, fmt="%.0f", fontsize=8, padding=3)
    axes[0, 0].set_yticks(places, [name.replace("_", " ") for name in shares])
    axes[0, 0].set_xlim(0, 108)
    tidy(axes[0, 0], "share (%)", "")
    return figure


def best_and_worst(
    images: Pictures, predictions: np.ndarray, labels: np.ndarray, links: Links, count: int = 8
) -> Figure:
    """The `count` images with the least error above those with the greatest; error in % of the image side.

    images (n, S, S, 3); predictions and labels (n, J, 2), NaN where unknown. Orange: label, blue: prediction.
    """
    distances = np.linalg.norm(predictions - labels, axis=-1) * sides_per_unit(images.shape[1])
    known = np.flatnonzero(np.isfinite(distances).any(1))
    errors = 100 * np.nanmean(distances[known], axis=1)
    order = known[np.argsort(errors, kind="stable")]
    count = min(count, len(order))
    figure, axes = page(2, count, 1.35, 1.55)
    errors = np.sort(errors)
    for row, chosen, shown in ((axes[0], order, errors), (axes[1], order[::-1], errors[::-1])):
        for axis, sample, error in zip(row, chosen, shown, strict=False):
            picture(axis, as_uint8(images[sample : sample + 1])[0], f"{error:.1f} %")
            skeleton(axis, labels[sample], links, colour=ORANGE, size=0, width=2)
            skeleton(axis, predictions[sample], links, size=8, width=1.6)
    axes[0, 0].set_ylabel("best", fontsize=9)
    axes[1, 0].set_ylabel("worst", fontsize=9)
    return figure
