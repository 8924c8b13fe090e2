"""One table of variants: every one trained on the same images, steps and seeds, and scored by the same protocol."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import Diverged, PplkitError
from pplkit.core.files import write_json
from pplkit.data.dataset import Dataset
from pplkit.evaluation.report import evaluation_report
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import VARIANTS, labelled_prior, variant
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.tasks.prior import train

FRACTIONS = {
    "keypoints_on_object": "keypoints on object, %",
    "links_on_object": "links on object, %",
    "skeleton_covered": "skeleton covered, %",
    "unused_vectors": "vectors unused, %",
    "prior_share": "pose by bending T, %",
}
UNITS = {"h36m": ", %", "cub": ", %", "taichi": ", pixels"}  # of a protocol's error; % of the image side


def compare(
    config: Config,
    data: Dataset,
    variants: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    device: str = "auto",
    callback: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every variant of `config` with every seed in <folder>/<variant>-<seed>, score all, write ablations.json.

    Finished trainings in the folder are kept, so that a comparison can be interrupted and extended. A training that
    ends because its loss is no longer finite is a result and has a place in the table. `callback` is called with the
    name of each training before it. Raises PplkitError for an unknown variant, or data without labels, before anything
    is trained.
    """
    if not variants or not seeds:
        raise PplkitError("variants and seeds must each name at least one: give lists such as ['ppl'] and [0].")
    if data.protocol == "pictures" or data.labelled.keypoints is None:
        raise PplkitError(f"{data.path} has no labels to score variants by: choose a data set with labels.")
    prior = folder / "predefined.json"
    configs = {name: variant(config, name, str(prior)) for name in variants}
    if any(changed.predefined for changed in configs.values()):
        predefined = labelled_prior(data, config.keypoints)
        folder.mkdir(parents=True, exist_ok=True)
        predefined.save(prior)
    rows: dict[str, Any] = {}
    mean: dict[str, float] = {}
    for name, changed in configs.items():
        reports = []
        for seed in seeds:
            if callback:
                callback(f"{name}, seed {seed}")
            reports.append(_report(changed.replace(seed=seed), data, folder / f"{name}-{seed}", device))
        mean = next((_errors(report, "mean_pose_error") for report in reports if "error" in report), mean)
        rows[name] = _row(name, reports)
    result = {"data": data.name, "protocol": data.protocol, "steps": config.steps, "seeds": list(seeds)}
    result |= {"mean_pose": mean, "rows": rows}
    write_json(folder / "ablations.json", result)
    return result


def _report(config: Config, data: Dataset, run: Path, device: str) -> dict[str, Any]:
    """The evaluation of one training, from the run folder if it is there."""
    try:
        train(config, data, run, device=device, bar=False)
    except Diverged as error:
        return {"diverged": str(error)}
    if (run / "evaluation.json").exists():
        report = RunFolder(run).read("evaluation.json", "made_by")
        if report["made_by"].get("step") == config.steps:
            return report
    report = evaluation_report(load(run), data)
    write_json(run / "evaluation.json", report)
    return report


def _errors(report: Mapping[str, Any], key: str = "error") -> dict[str, float]:
    """The error of all test images and of each class."""
    return {"error": report[key], **{f"error {name}": part[key] for name, part in report.get("classes", {}).items()}}


def _row(name: str, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of each measure by seed, with mean and standard deviation (n - 1) of the seeds that did not diverge."""
    row: dict[str, Any] = {"means": VARIANTS[name].means, "published": VARIANTS[name].published}
    row["diverged"] = sum("diverged" in report for report in reports)
    scored = [{**report, **_errors(report)} for report in reports if "diverged" not in report]
    for measure in ("relative_error", *(_errors(scored[0]) if scored else ()), *FRACTIONS):
        values = [float(report[measure]) for report in scored if measure in report]
        if values:
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row[measure] = {"seeds": values, "mean": float(np.mean(values)), "std": std}
    return row


def table_text(result: Mapping[str, Any]) -> str:
    """The rows of `compare`, and the mean pose, as a table in Markdown with a line that explains its numbers."""
    unit = UNITS.get(result["protocol"], "")
    errors = {name: (f"{name.split('.')[0]}{unit}", 100 if unit == ", %" else 1, 1) for name in result["mean_pose"]}
    columns = {"relative_error": ("error / mean pose's", 1, 3), **errors}
    columns |= {share: (head, 100, 1) for share, head in FRACTIONS.items()}
    shown = {name: how for name, how in columns.items() if any(name in row for row in result["rows"].values())}
    lines = [["variant", *(head for head, _, _ in shown.values()), "diverged", "published (other data, other scale)"]]
    lines.append(["---"] * len(lines[0]))
    lines.append(["mean pose", *(_cell(_mean_pose(result, name), *how[1:]) for name, how in shown.items()), "", "none"])
    for name, row in result["rows"].items():
        cells = [_cell(row.get(measure), *how[1:]) for measure, how in shown.items()]
        lines.append([name, *cells, str(row["diverged"] or ""), row["published"]])
    table = "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)
    seeds = f"{len(result['seeds'])} seeds: mean ± standard deviation" if len(result["seeds"]) > 1 else "one seed"
    return (
        f"{table}\n\n{_escaped(result['data'])}, {result['steps']} steps, {seeds}. The published errors are of models "
        "of published size with VGG features, trained longer, H36M, Taichi and CUB on those sets: **data and scale "
        "differ**, so compare their order and not their size. A fixed or predefined prior comes from training labels."
    )


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: classes and data sets may be called anything."""
    return re.sub(r"([\\`*\[\]|$])", r"\\\1", escape(text, quote=False))


def _mean_pose(result: Mapping[str, Any], measure: str) -> dict[str, Any] | None:
    """The mean pose's value, which no seed changes."""
    values = {"relative_error": 1.0, **result["mean_pose"]}
    return {"mean": values[measure], "std": None} if measure in values else None


def _cell(values: Mapping[str, Any] | None, scale: float, digits: int) -> str:
    if values is None:
        return ""
    deviation = "" if values["std"] is None else f" ± {scale * values['std']:.{digits}f}"
    return f"{scale * values['mean']:.{digits}f}{deviation}"
