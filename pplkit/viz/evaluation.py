"""Figures of the evaluation: errors beside the mean pose's, coverage, the best and worst images, ablations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pplkit.data.schema import error_unit
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    GRAY,
    ORANGE,
    Images,
    Links,
    add_legend,
    as_uint8,
    draw_image,
    draw_skeleton,
    label_text,
    style_axis,
    subplots,
)


def error_bars(report: Mapping[str, Any]) -> Figure:
    """Error of the model beside that of the mean pose, for all test images and each class; see `evaluation_report`."""
    groups = {"all": report, **report.get("classes", {})}
    scale, unit = error_unit(report["protocol"])
    figure, axes = subplots(1, 1, 3.2 + 0.9 * len(groups), 2.8)
    axis, places = axes[0, 0], np.arange(len(groups))
    series = (("model", "error", BLUE, -0.2), ("mean pose", "mean_pose_error", GRAY, 0.2))
    for label, key, color, shift in series:
        values = [scale * group[key] for group in groups.values()]
        bars = axis.bar(places + shift, values, 0.38, color=color, label=label)
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    axis.set_xticks(places, [label_text(name).split(".")[-1].replace("_", "\n") for name in groups])
    axis.set_xlim(-0.7, len(groups) - 0.3)
    style_axis(axis, "", unit)
    axis.margins(y=0.15)
    add_legend(axis)
    return figure


def keypoint_errors(protocol: str, names: Sequence[str], errors: np.ndarray, mean_pose: np.ndarray) -> Figure:
    """Error of each labelled point (J,) beside that of the mean pose (J,), the worst at the top; NaN: no label."""
    scale, unit = error_unit(protocol)
    known = np.flatnonzero(np.isfinite(errors))
    order = known[np.argsort(errors[known])]
    figure, axes = subplots(1, 1, 5.6, 0.9 + 0.22 * len(order))
    axis, places = axes[0, 0], np.arange(len(order))
    axis.barh(places, scale * errors[order], 0.6, color=BLUE, label="model")
    style: dict[str, Any] = {"color": ORANGE, "markersize": 6, "markeredgecolor": "white"}
    axis.plot(scale * mean_pose[order], places, "d", label="mean pose", **style)
    axis.set_yticks(places, [label_text(names[k]).replace("_", " ") for k in order])
    style_axis(axis, unit, "")
    add_legend(axis)
    return figure


def coverage_bars(fractions: Mapping[str, float]) -> Figure:
    """Fractions in [0, 1] by name as horizontal bars in per cent."""
    figure, axes = subplots(1, 1, 5.6, 0.9 + 0.26 * len(fractions))
    axis, places = axes[0, 0], np.arange(len(fractions))[::-1]
    axis.bar_label(
        axis.barh(places, [100 * value for value in fractions.values()], 0.62, color=BLUE),
        fmt="%.0f", fontsize=8, padding=3,
    )  # fmt: skip
    axis.set_yticks(places, [name.replace("_", " ") for name in fractions])
    axis.set_xlim(0, 108)
    style_axis(axis, "fraction (%)", "")
    return figure


def best_and_worst(images: Images, predictions: np.ndarray, labels: np.ndarray, links: Links, count: int = 8) -> Figure:
    """The `count` images with the least error above those with the greatest; error in % of the image side.

    images (n, S, S, 3); predictions and labels (n, J, 2), NaN where unknown. Orange: label, blue: prediction.
    """
    distances = np.linalg.norm(predictions - labels, axis=-1) * sides_per_unit(images.shape[1])
    known = np.flatnonzero(np.isfinite(distances).any(1))
    errors = 100 * np.nanmean(distances[known], axis=1)
    order = np.argsort(errors, kind="stable")
    figure, axes = subplots(2, min(count, len(order)), 1.35, 1.55)
    for row, name, ranks in ((axes[0], "best", order), (axes[1], "worst", order[::-1])):
        for axis, rank in zip(row, ranks, strict=False):
            sample = known[rank]
            draw_image(axis, as_uint8(images[sample : sample + 1])[0], f"{errors[rank]:.1f} %")
            draw_skeleton(axis, labels[sample], links, color=ORANGE, size=0, width=2)
            draw_skeleton(axis, predictions[sample], links, size=8, width=1.6)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def ablation_points(result: Mapping[str, Any], measure: str = "relative_error") -> Figure:
    """A line for each variant of `ablations.compare`: every seed as a point, mean and standard deviation beside it."""
    rows = {name: row[measure] for name, row in result["rows"].items() if measure in row}
    figure, axes = subplots(1, 1, 6.0, 1.0 + 0.32 * max(1, len(rows)))
    axis = axes[0, 0]
    for y, values in enumerate(rows.values()):
        axis.errorbar(values["mean"], y, xerr=values["std"] or 0, fmt="D", color=BLUE, markersize=5, capsize=3)
        axis.scatter(values["seeds"], np.full(len(values["seeds"]), y), s=14, color=BLACK, zorder=3, alpha=0.6)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    style_axis(axis, "error / error of the mean pose" if measure == "relative_error" else measure.replace("_", " "), "")
    return figure
