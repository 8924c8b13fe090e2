"""Figures of the occlusion experiment: curves, amounts, rounds, confidence, and the poses that the memory offers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.data.schema import error_unit
from pplkit.evaluation.memory_analysis import Prototypes, nearest_prototypes
from pplkit.models.prior.outputs import Iteration
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    Images,
    Links,
    add_legend,
    as_array,
    as_uint8,
    draw_image,
    draw_skeleton,
    set_title,
    style_axis,
    subplots,
)

KIND_TITLES = {
    "center": "center hidden (patches)", "random": "patches hidden (fraction)",
    "border": "a border hidden (fraction)", "things": "something in front (its side)",
}  # fmt: skip
PROCEDURES = {  # procedure and whether after the last round or the first: name, color, line
    ("published", False): ("a single pass", BLACK, "--"), ("published", True): ("published, last round", ORANGE, "-"),
    ("completed", False): ("completed", BLUE, "-"), ("completed", True): ("completed, told what is hidden", GREEN, ":"),
}  # fmt: skip


def _kinds(report: Mapping[str, Any]) -> list[str]:
    return [kind for kind in KIND_TITLES if any(row["kind"] == kind for row in report["rows"])]


def _select(report: Mapping[str, Any], **values: Any) -> list[dict[str, Any]]:
    """Rows of `occlusion_report` with these values."""
    return [row for row in report["rows"] if all(row[name] == value for name, value in values.items())]


def occlusion_curves(report: Mapping[str, Any], procedure: str = "published") -> Figure:
    """Error against the iteration, a line for each amount of `occlusion_report`; dashed: nothing hidden."""
    protocol = str(report["measure"]).removeprefix("error of protocol ")
    scale, unit = error_unit(protocol) if report["measure"] != protocol else (100.0, "distance (% of the image side)")
    kinds = _kinds(report)
    figure, axes = subplots(1, len(kinds), 4.4, 3.2, sharey=True)
    nothing = _select(report, kind="none", procedure=procedure, iteration=0)[0]["error"]
    for axis, kind in zip(axes[0], kinds, strict=True):
        rows = _select(report, kind=kind, procedure=procedure)
        amounts = sorted({row["amount"] for row in rows})
        colors = colormaps["viridis"](np.linspace(0.9, 0.05, max(2, len(amounts))))
        ends = []
        for amount, color in zip(amounts, colors, strict=False):
            values = [scale * row["error"] for row in rows if row["amount"] == amount]
            style = {"color": color, "linewidth": 1.8, "marker": "o", "markersize": 4}
            axis.plot(range(len(values)), values, label=f"{amount:g}", **style)
            ends.append(values[-1])
        axis.axhline(scale * nothing, color=BLACK, linestyle="--", linewidth=1.2, label="nothing")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        style_axis(axis, "iteration", unit if kind == kinds[0] else "", KIND_TITLES[kind])
        axis.tick_params(labelleft=True)
        order = [*np.argsort(-np.asarray(ends), kind="stable"), len(ends)]  # from above, as the lines end
        entries = ([part[k] for k in order] for part in axis.get_legend_handles_labels())
        add_legend(axis, *entries, title="hidden", title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def occlusion_amounts(report: Mapping[str, Any]) -> Figure:
    """Mean distance of all labels and of the hidden ones against the amount hidden, for every way of finding a pose.

    Bars: 95 % of the bootstrap's draws over the images.
    """
    kinds, last = _kinds(report), report["iterations"]
    figure, axes = subplots(2, len(kinds), 3.4, 2.6, sharey="row")
    for row, (labels, noun) in zip(axes, {"all": "all labels", "hidden": "hidden labels"}.items(), strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            for (procedure, end), (name, color, line) in PROCEDURES.items():
                answers = _select(report, kind=kind, procedure=procedure, iteration=last if end else 0)
                values = [(answer["amount"], *answer[labels]) for answer in answers if answer[labels]]
                if values:
                    amount, mean, low, high = np.array(values).T * np.array([[1], [100], [100], [100]])
                    bars = np.stack((mean - low, high - mean))
                    style = {"color": color, "linestyle": line, "linewidth": 1.6, "marker": "o", "markersize": 4}
                    axis.errorbar(amount, mean, bars, capsize=2, label=name, **style)
            style_axis(axis, KIND_TITLES[kind], f"{noun}\n(% of the image side)" if kind == kinds[0] else "", "")
        row[0].set_ylim(bottom=0)  # at the end: it stops the limits from growing
    add_legend(axes[0, -1], loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def confidence_figure(report: Mapping[str, Any]) -> Figure:
    """Calibration of the confidence, in eighths of the keypoints: distance, fraction hidden, expected distance."""
    figure, axes = subplots(1, 3, 3.2, 2.8)
    for procedure, confidence in report["confidence"].items():
        _, color, _ = PROCEDURES[procedure, procedure == "published"]
        bins = confidence["calibration"]
        table = {name: np.array([part[name] for part in bins]) for name in bins[0]}
        style = {"color": color, "marker": "o", "markersize": 4, "linewidth": 1.6, "label": procedure}
        axes[0, 0].plot(table["sure"], 100 * table["away"], **style)
        axes[0, 1].plot(table["sure"], table["hidden"], **style)
        if "expected" in table:
            axes[0, 2].plot(100 * table["expected"], 100 * table["away"], **style)
            most = 100 * max(table["expected"].max(), table["away"].max())
            axes[0, 2].plot([0, most], [0, most], color=BLACK, linestyle="--", linewidth=1.0)
    style_axis(axes[0, 0], "confidence", "distance from the complete pose\n(% of the image side)", "")
    style_axis(axes[0, 1], "confidence", "fraction hidden", "")
    style_axis(axes[0, 2], "expected distance (%)", "distance (%)", "")
    add_legend(axes[0, 0], loc="best", bbox_to_anchor=None)
    return figure


def occlusion_rounds(
    images: Images, rounds: Sequence[Iteration], links: Links, strengths: Sequence[float] | None = None
) -> Figure:
    """A row for each image: complete, as given to the model, then each round's pose on its input and reconstruction."""
    originals, inputs = as_uint8(images), as_uint8(rounds[0].images)
    figure, axes = subplots(len(originals), 2 + 2 * len(rounds), 1.12, 1.12)
    for n, row in enumerate(axes):
        draw_image(row[0], originals[n])
        draw_image(row[1], inputs[n])
        for answer, (left, right) in zip(rounds, row[2:].reshape(-1, 2), strict=True):
            draw_image(left, as_uint8(answer.images[n : n + 1])[0])
            draw_skeleton(left, as_array(answer.poses.keypoints[n]), links, strengths, size=7, width=1.5)
            if answer.reconstruction is None:
                right.set_visible(False)
            else:
                draw_image(right, as_uint8(answer.reconstruction[n : n + 1])[0])
    titles = ["complete", "given", *(f"{noun} {k}" for k in range(len(rounds)) for noun in ("pose", "decoded"))]
    for axis, title in zip(axes[0], titles, strict=True):
        set_title(axis, title)
    return figure


def memory_attraction(
    images: Images, poses: Images, reconstructions: Images, typical: Prototypes, links: Links
) -> Figure:
    """For each image its pose (n, N, 2), the memory's reconstruction of it, and the nearest prototype."""
    images, nearest = as_uint8(images), nearest_prototypes(typical, as_array(poses))
    figure, axes = subplots(3, len(images), 1.3, 1.3)
    for n, (column, k) in enumerate(zip(axes.T, nearest, strict=True)):
        parts = {
            "pose": poses[n],
            "reconstruction": reconstructions[n],
            f"prototype {k + 1}: {typical.fractions[k]:.0%}": typical.keypoints[k],
        }
        for axis, (title, points) in zip(column, parts.items(), strict=True):
            draw_image(axis, images[n], title)
            draw_skeleton(axis, as_array(points), links, size=7, width=1.5)
    return figure
