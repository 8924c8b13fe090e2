"""Figures of the occlusion experiment: curves, amounts, rounds, confidence, and the poses that the memory offers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pplkit.data.schema import error_unit
from pplkit.evaluation.memory_analysis import Prototypes, nearest_to
from pplkit.models.prior.outputs import Iteration
from pplkit.viz.drawing import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    Links,
    Pictures,
    as_points,
    as_uint8,
    page,
    picture,
    skeleton,
    tidy,
)

TITLES = {
    "center": "centre hidden (patches a side)", "random": "random patches hidden (share)",
    "border": "a border hidden (share)", "things": "something in front (its side)",
}  # fmt: skip
WAYS = {  # procedure and whether after the last round or the first: name, colour, line
    ("published", False): ("a single pass", BLACK, "--"), ("published", True): ("published, last round", ORANGE, "-"),
    ("completed", False): ("completed", BLUE, "-"), ("completed", True): ("completed, told what is hidden", GREEN, ":"),
}  # fmt: skip


def _kinds(report: Mapping[str, Any]) -> list[str]:
    return [kind for kind in TITLES if any(row["kind"] == kind for row in report["rows"])]


def chosen(report: Mapping[str, Any], **values: Any) -> list[dict[str, Any]]:
    """Rows of `occlusion_report` with these values."""
    return [row for row in report["rows"] if all(row[name] == value for name, value in values.items())]


def occlusion_curves(report: Mapping[str, Any], procedure: str = "published") -> Figure:
    """Error against the iteration, a line for each amount of `occlusion_report`; dashed: nothing hidden."""
    protocol = str(report["measure"]).removeprefix("error of protocol ")
    scale, unit = error_unit(protocol) if report["measure"] != protocol else (100.0, "distance (% of the image side)")
    kinds = _kinds(report)
    figure, axes = page(1, len(kinds), 4.4, 3.2, sharey=True)
    nothing = chosen(report, kind="none", procedure=procedure, iteration=0)[0]["error"]
    for axis, kind in zip(axes[0], kinds, strict=True):
        rows = chosen(report, kind=kind, procedure=procedure)
        amounts = sorted({row["amount"] for row in rows})
        colours = colormaps["viridis"](np.linspace(0.9, 0.05, max(2, len(amounts))))
        ends = []
        for amount, colour in zip(amounts, colours, strict=False):
            values = [scale * row["error"] for row in rows if row["amount"] == amount]
            style = {"color": colour, "linewidth": 1.8, "marker": "o", "markersize": 4}
            axis.plot(range(len(values)), values, label=f"{amount:g}", **style)
            ends.append(values[-1])
        axis.axhline(scale * nothing, color=BLACK, linestyle="--", linewidth=1.2, label="nothing")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axis, "iteration", unit if kind == kinds[0] else "", TITLES[kind])
        axis.tick_params(labelleft=True)
        _legend(axis, "hidden", ends)
    return figure


def _legend(axis: Axes, title: str, ends: Sequence[float]) -> None:
    """Beside the axis, lines in the order of their `ends`, from above; one line more stays last."""
    handles, labels = axis.get_legend_handles_labels()
    last = [*np.argsort(-np.asarray(ends), kind="stable"), len(handles) - 1]
    axis.legend(
        [handles[k] for k in last],
        [labels[k] for k in last],
        fontsize=8,
        frameon=False,
        title=title,
        title_fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )


def occlusion_amounts(report: Mapping[str, Any]) -> Figure:
    """Mean distance of all labels and of the hidden ones against the amount hidden, for every way of finding a pose.

    Bars: 95 % of the bootstrap's draws over the images.
    """
    kinds, last = _kinds(report), report["iterations"]
    figure, axes = page(2, len(kinds), 3.4, 2.6, sharey="row")
    for row, (which, noun) in zip(axes, {"all": "all labels", "hidden": "hidden labels"}.items(), strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            for (procedure, end), (name, colour, line) in WAYS.items():
                rows = chosen(report, kind=kind, procedure=procedure, iteration=last if end else 0)
                found = [(one["amount"], *one[which]) for one in rows if one[which]]
                if found:
                    amount, mean, low, high = np.array(found).T * np.array([[1], [100], [100], [100]])
                    bars = np.stack((mean - low, high - mean))
                    style = {"color": colour, "linestyle": line, "linewidth": 1.6, "marker": "o", "markersize": 4}
                    axis.errorbar(amount, mean, bars, capsize=2, label=name, **style)
            tidy(axis, TITLES[kind], f"{noun}\n(% of the image side)" if kind == kinds[0] else "", "")
        row[0].set_ylim(bottom=0)  # at the end: it stops the limits from growing
    axes[0, -1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def confidence_figure(report: Mapping[str, Any]) -> Figure:
    """What confidence is worth, in eighths of the keypoints: distance, share hidden, and expected beside found."""
    figure, axes = page(1, 3, 3.2, 2.8)
    for procedure, about in report["confidence"].items():
        _, colour, _ = WAYS[procedure, procedure == "published"]
        table = {name: np.array([part[name] for part in about["calibration"]]) for name in about["calibration"][0]}
        options = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1.6, "label": procedure}
        axes[0, 0].plot(table["sure"], 100 * table["away"], **options)
        axes[0, 1].plot(table["sure"], table["hidden"], **options)
        if "expected" in table:
            axes[0, 2].plot(100 * table["expected"], 100 * table["away"], **options)
            most = 100 * max(table["expected"].max(), table["away"].max())
            axes[0, 2].plot([0, most], [0, most], color=BLACK, linestyle="--", linewidth=1.0)
    tidy(axes[0, 0], "confidence", "distance from the complete pose\n(% of the image side)", "")
    tidy(axes[0, 1], "confidence", "share that is hidden", "")
    tidy(axes[0, 2], "distance expected (%)", "distance found (%)", "")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def occlusion_rounds(
    images: Pictures, rounds: Sequence[Iteration], links: Links, strengths: Sequence[float] | None = None
) -> Figure:
    """A row for each image: as it was, as it was given, then each round's pose on its input and what it painted."""
    originals, given = as_uint8(images), as_uint8(rounds[0].images)
    columns = 2 + 2 * len(rounds)
    figure, axes = page(len(originals), columns, 1.12, 1.12)
    for n, row in enumerate(axes):
        picture(row[0], originals[n])
        picture(row[1], given[n])
        for k, (one, pair) in enumerate(zip(rounds, row[2:].reshape(-1, 2), strict=True)):
            picture(pair[0], as_uint8(one.images[n : n + 1])[0])
            skeleton(pair[0], as_points(one.poses.keypoints[n]), links, strengths, size=7, width=1.5)
            if one.reconstruction is not None:
                picture(pair[1], as_uint8(one.reconstruction[n : n + 1])[0])
            if n == 0:
                pair[0].set_title(f"pose {k}", fontsize=8, color=BLACK, pad=3)
                pair[1].set_title(f"painted {k}", fontsize=8, color=BLACK, pad=3)
    axes[0, 0].set_title("complete", fontsize=8, color=BLACK, pad=3)
    axes[0, 1].set_title("given", fontsize=8, color=BLACK, pad=3)
    return figure


def drawn_to(images: Pictures, poses: Pictures, recalled: Pictures, kept: Prototypes, links: Links) -> Figure:
    """For each image its pose (n, N, 2), what the memory makes of it, and the nearest of its prototypes."""
    pictures, nearest = as_uint8(images), nearest_to(kept, as_points(poses))
    figure, axes = page(3, len(pictures), 1.3, 1.3)
    for n, column in enumerate(axes.T):
        parts = {"pose": poses[n], "from memory": recalled[n], "prototype": kept.keypoints[nearest[n]]}
        for axis, (name, points) in zip(column, parts.items(), strict=True):
            picture(axis, pictures[n])
            skeleton(axis, as_points(points), links, size=7, width=1.5)
            title = f"{name} {nearest[n] + 1}: {kept.shares[nearest[n]]:.0%}" if name == "prototype" else name
            axis.set_title(title, fontsize=8, color=BLACK, pad=3)
    return figure
