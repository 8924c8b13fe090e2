"""The results of a batch: summary.csv, and index.html, one file that a browser opens without a server."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import write_text
from pplkit.core.words import quantity
from pplkit.experiments.ablations import FRACTIONS, UNITS
from pplkit.experiments.html_page import data_address, html_page
from pplkit.experiments.methods import PRIOR, TRAINED
from pplkit.experiments.notebooks import RESULTS, numbers
from pplkit.experiments.run_card import CARD
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.run_folder import RunFolder
from pplkit.viz.drawing import image_bytes
from pplkit.viz.prior import priors_figure
from pplkit.viz.training import variant_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("dataset", "variant", "seed", "status", "reason", "seconds", "run", "method")
"""The first columns of summary.csv; the numbers of the results follow, each under <result>.<name>."""
ERRORS = {
    "evaluation.error": "error",
    "evaluation.mean_pose_error": "mean pose's",
    "occlusion.unoccluded.completed": "completed, nothing hidden",
    "occlusion.occluded.published": "a single pass, parts hidden",
    "occlusion.occluded.completed": "completed, parts hidden",
}
OTHERS = {
    "evaluation.relative_error": ("error / mean pose's", 1.0, 3),
    **{f"evaluation.{name}": (title, 100.0, 1) for name, title in FRACTIONS.items()},
    "evaluation.films.jitter_left": ("jitter left in smooth tracks", 1.0, 2),
    "training.loss": ("last loss", 1.0, 3),
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222222; background: #ffffff; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } a { color: #0072B2 }
details { margin-top: 2.5rem } summary { cursor: pointer } summary h2 { display: inline }
div { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #d0d0d0; vertical-align: top }
th { background: #f4f4f4 } td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
td.reason { overflow-wrap: anywhere; min-width: 18rem } img { max-width: 100% }
.finished { color: #0072B2 } .failed { color: #B34700; font-weight: bold } .missing { color: #5a5a5a }
"""
MARKS = {"finished": "✓", "failed": "✗", "missing": "–"}  # beside the colours, which not everybody sees


@dataclass(frozen=True)
class Outcome:
    """One run of a batch: its status is "finished", "failed" with a reason, or "missing"."""

    dataset: str
    variant: str
    seed: int
    run: Path
    status: str
    reason: str
    seconds: float
    notebooks: tuple[str, ...]
    method: str = PRIOR


def write_report(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write summary.csv and index.html of the finished runs, each whole or as before; PplkitError if that fails."""
    results = [_results(outcome) for outcome in outcomes]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "summary.csv", summary(outcomes, results))
        write_text(folder / "index.html", page_of(folder, outcomes, results))
    except OSError as error:
        raise PplkitError(
            f"the report in {folder} cannot be written ({reason(error)}): make room, then call again."
        ) from None


def _results(outcome: Outcome) -> dict[str, Any]:
    """The results of a finished run by dotted name, and its protocol."""
    values: dict[str, Any] = {}
    for result in RESULTS if outcome.status == "finished" else ():
        if (outcome.run / f"{result}.json").is_file():
            content = RunFolder(outcome.run).read(f"{result}.json")
            values |= {f"{result}.{name}": value for name, value in numbers(content).items()}
            texts = ("protocol", "measure", "baseline")
            values |= {name: content[name] for name in texts if isinstance(content.get(name), str)}
    return values


def summary(outcomes: Sequence[Outcome], results: Sequence[Mapping[str, Any]]) -> str:
    """A row for each run as CSV, with a column for each number that any of them has."""
    names = list(dict.fromkeys(name for result in results for name in result))
    text = io.StringIO()
    table = csv.DictWriter(text, [*COLUMNS, *names], restval="", lineterminator="\n")
    table.writeheader()
    for outcome, result in zip(outcomes, results, strict=True):
        row = {name: getattr(outcome, name) for name in (*COLUMNS[:5], "method")}
        table.writerow({**row, "seconds": f"{outcome.seconds:.1f}", "run": outcome.run.name, **result})
    return text.getvalue()


def page_of(folder: Path, outcomes: Sequence[Outcome], results: Sequence[Mapping[str, Any]]) -> str:
    """The page as HTML; links start at `folder`. Whatever comes from outside is escaped."""
    runs = list(zip(outcomes, results, strict=True))
    datasets = list(dict.fromkeys(outcome.dataset for outcome in outcomes))
    states = ", ".join(f"{sum(outcome.status == state for outcome in outcomes)} {state}" for state in MARKS)
    parts = [
        f"<h1>{escape(folder.name)}</h1><p>{quantity(len(outcomes), 'run')}: {states}.",
        "Mean ± standard deviation (n - 1) of the finished seeds; their number in brackets.</p>",
        "<h2>In short</h2>",
        _beside_baselines(runs) if any(each.method != PRIOR for each in outcomes) else _overview(runs, datasets),
    ]
    for dataset in datasets:
        own = [(outcome, result) for outcome, result in runs if outcome.dataset == dataset]
        parts += [f"<details open><summary><h2>{escape(dataset)}</h2></summary>"]
        for method in dict.fromkeys(outcome.method for outcome, _ in own):
            alike = [(outcome, result) for outcome, result in own if outcome.method == method]
            title = dataset if method == PRIOR else f"{dataset}, {method}"
            parts += [_measures(alike) if method == PRIOR else _lines(alike), *_figures(title, alike)]
        parts += ["</details>"]
    parts += ["<h2>Runs</h2>", _runs(folder, outcomes)]
    return html_page(folder.name, STYLE, parts)


Runs = Sequence[tuple[Outcome, Mapping[str, Any]]]


def _overview(runs: Runs, datasets: Sequence[str]) -> str:
    """Variants x data sets: the error relative to the mean pose's or, for data without labels, the last loss."""
    unlabelled = {outcome.dataset for outcome, result in runs if "training.loss" in result}
    unlabelled -= {outcome.dataset for outcome, result in runs if "evaluation.relative_error" in result}
    rows = []
    for variant in _variants(runs):
        cells = []
        for dataset in datasets:
            own = [result for outcome, result in runs if (outcome.dataset, outcome.variant) == (dataset, variant)]
            name = "training.loss" if dataset in unlabelled else "evaluation.relative_error"
            cells.append(_number(mean_and_deviation(own, name, 1.0, 3)))
        rows.append([_text(variant), *cells])
    heads = [f"{dataset}: " + ("last loss" if dataset in unlabelled else "error / mean pose's") for dataset in datasets]
    return _table(["variant", *heads], rows)


def _beside_baselines(runs: Runs) -> str:
    """Each data set, method and variant with its own error beside that of its simplest baseline."""
    rows = []
    for key in dict.fromkeys((outcome.dataset, outcome.method, outcome.variant) for outcome, _ in runs):
        own = [result for one, result in runs if (one.dataset, one.method, one.variant) == key]
        first = next((result for result in own if "evaluation.error" in result), {})
        unit = UNITS.get(first.get("protocol", ""), "")
        measure = first.get("measure", f"error{unit}" if first else "")
        names = ("evaluation.error", "evaluation.baseline_error", "evaluation.mean_pose_error")
        scale = 100.0 if unit == ", %" else 1.0
        error, rival, pose = (mean_and_deviation(own, name, scale, 2) for name in names)
        ratio = mean_and_deviation(own, "evaluation.relative_error", 1.0, 3)
        baseline = first.get("baseline", "mean pose" if pose else "")
        numbers = (_number(text) for text in (error, rival or pose, ratio))
        rows.append([*map(_text, (*key, measure)), *numbers, _text(baseline)])
    heads = ["data set", "method", "variant", "measure", "error", "baseline's", "error / baseline's", "baseline"]
    return _table(heads, rows)


def _lines(runs: Runs) -> str:
    """The error of each variant of a method other than the prior, beside those of all its baselines."""
    start = "evaluation.errors."
    names = list(dict.fromkeys(name for _, result in runs for name in result if name.startswith(start)))
    measure = next((result["measure"] for _, result in runs if "measure" in result), "")
    rows = []
    for variant in _variants(runs):
        own = [result for outcome, result in runs if outcome.variant == variant]
        rows.append([_text(variant), *(_number(mean_and_deviation(own, name, 1.0, 2)) for name in names)])
    titles = [name.removeprefix(start) for name in names]
    heads = [f"{measure}: {title}" if title == TRAINED else title for title in titles]
    return _table(["variant", *heads], rows)


def _measures(runs: Runs) -> str:
    """Every measure that a run of one data set has, for each variant of the prior."""
    protocol = next((result["protocol"] for _, result in runs if "protocol" in result), "")
    unit = UNITS.get(protocol, "")
    errors = {name: (title + unit, 100.0 if unit == ", %" else 1.0, 2) for name, title in ERRORS.items()}
    present = set().union(*(result for _, result in runs))
    columns = {name: column for name, column in {**errors, **OTHERS}.items() if name in present}
    rows = []
    for variant in _variants(runs):
        own = [result for outcome, result in runs if outcome.variant == variant]
        cells = [_number(mean_and_deviation(own, name, *column[1:])) for name, column in columns.items()]
        rows.append([_text(variant), *cells])
    return _table(["variant", *(title for title, _, _ in columns.values())], rows)


def mean_and_deviation(results: Iterable[Mapping[str, Any]], name: str, scale: float, digits: int) -> str:
    """Mean ± standard deviation (n - 1) of a number over results, and how many have it; "" if none has."""
    values = scale * np.array([result[name] for result in results if name in result], float)
    if not len(values):
        return ""
    deviation = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{deviation} ({len(values)})"


def _figures(dataset: str, runs: Runs) -> list[str]:
    """The curves of the variants of a data set, and the prior of each run."""
    done = [outcome for outcome, _ in runs if outcome.status == "finished"]
    curves: dict[str, list[list[dict[str, Any]]]] = {}
    for outcome in done:
        if rows := RunFolder(outcome.run).rows("metrics.jsonl"):
            curves.setdefault(outcome.variant, []).append(rows)
    files = {f"{outcome.variant}, seed {outcome.seed}": outcome.run / "prior.json" for outcome in done}
    priors = {name: PosePrior.load(file) for name, file in files.items() if file.exists()}
    images = []
    if curves:
        images.append(_image(variant_curves(curves), "svg", f"Training curves of {dataset}"))
    if priors:
        images.append(_image(priors_figure(priors), "png", f"Priors learned on {dataset}"))
    return images


def _image(figure: "Figure", kind: str, title: str) -> str:
    """The figure as HTML; the same runs give the same page."""
    address = data_address(image_bytes(figure, kind), kind)
    return f'<h3>{escape(title)}</h3><div><img alt="{escape(title)}" src="{address}"></div>'


def _runs(folder: Path, outcomes: Sequence[Outcome]) -> str:
    rows = []
    for outcome in outcomes:
        copies = {name: outcome.run / "notebooks" / f"{name}.ipynb" for name in outcome.notebooks}
        copies["model card"] = outcome.run / CARD
        links = [_link(folder, file, name) for name, file in copies.items() if file.exists()]
        status = f'<td class="{escape(outcome.status)}">{MARKS[outcome.status]} {escape(outcome.status)}</td>'
        name = f"<td>{_link(folder, outcome.run, outcome.run.name)}</td>"
        minutes = _number(f"{outcome.seconds / 60:.1f}" if outcome.seconds else "")
        reason = f'<td class="reason">{escape(outcome.reason)}</td>'
        rows.append([name, status, minutes, f"<td>{' '.join(links)}</td>", reason])
    return _table(["run", "status", "minutes", "executed notebooks or card", "reason"], rows)


def _link(folder: Path, target: Path, text: str) -> str:
    """A link relative to the page, so that runs/ can be copied as a whole; text alone for a missing target."""
    if not target.exists():
        return escape(text)
    address = quote(Path(os.path.relpath(target, folder)).as_posix())
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def _variants(runs: Runs) -> list[str]:
    return list(dict.fromkeys(outcome.variant for outcome, _ in runs))


def _text(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(text: str) -> str:
    return f'<td class="number">{escape(text)}</td>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Heads as text, cells as HTML."""
    head = "".join(f"<th>{escape(title)}</th>" for title in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<div><table><tr>{head}</tr>\n{body}</table></div>"
