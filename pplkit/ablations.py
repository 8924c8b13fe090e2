"""One table of variants: every one trained on the same images, steps and seeds, and scored by the same protocol."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.baselines import VARIANTS, labelled_prior, variant
from pplkit.config import Config
from pplkit.dataset import Dataset
from pplkit.errors import Diverged, PplkitError
from pplkit.reports import evaluation_report
from pplkit.runs import RunFolder, load, write_json
from pplkit.training import train

MEASURES = ("relative_error", "keypoints_on_object", "links_on_object", "skeleton_covered", "unused_vectors")


def compare(
    config: Config,
    data: Dataset,
    variants: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    device: str = "auto",
    watch: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every variant of `config` with every seed in <folder>/<variant>-<seed>, score all, write ablations.json.

    What is finished in the folder is not trained again, so a comparison can be interrupted, and extended. A training
    that ends because its loss is no longer finite is a result and stands in the table as such. `watch` is told what
    begins. Raises PplkitError for an unknown variant, or data without labels, before anything is trained.
    """
    if not variants or not seeds:
        raise PplkitError("variants and seeds must each name at least one: give lists such as ['ppl'] and [0].")
    if data.protocol == "pictures" or data["train"].keypoints is None:
        raise PplkitError(f"{data.path} has no labels to score variants by: choose a data set with labels.")
    prior = folder / "predefined.json"
    configs = {name: variant(config, name, str(prior)) for name in variants}
    if any(changed.predefined for changed in configs.values()):
        predefined = labelled_prior(data, config.keypoints)
        folder.mkdir(parents=True, exist_ok=True)
        predefined.save(prior)
    rows, mean = {}, None
    for name, changed in configs.items():
        reports = []
        for seed in seeds:
            if watch:
                watch(f"{name}, seed {seed}")
            reports.append(_report(changed.replace(seed=seed), data, folder / f"{name}-{seed}", device))
        mean = next((report["mean_pose_error"] for report in reports if "error" in report), mean)
        rows[name] = _row(name, reports)
    result = {
        "data": data.name,
        "protocol": data.protocol,
        "steps": config.steps,
        "seeds": list(seeds),
        "mean_pose_error": mean,
        "rows": rows,
    }
    write_json(folder / "ablations.json", result)
    return result


def _report(config: Config, data: Dataset, run: Path, device: str) -> dict[str, Any]:
    """The evaluation of one training, from the run folder if it is finished there."""
    done = RunFolder(run)
    try:
        train(config, data, run, device=device, bar=False)
    except Diverged as error:
        return {"diverged": str(error)}
    if (run / "evaluation.json").exists() and done.read("evaluation.json")["made_by"]["step"] == config.steps:
        return dict(done.read("evaluation.json"))
    report = evaluation_report(load(run), data)
    write_json(run / "evaluation.json", report)
    return report


def _row(name: str, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of each measure by seed, with mean and standard deviation (n - 1) of the seeds that did not diverge."""
    row: dict[str, Any] = {"means": VARIANTS[name].means, "published": VARIANTS[name].published}
    row["diverged"] = sum("diverged" in report for report in reports)
    for measure in MEASURES:
        values = [float(report[measure]) for report in reports if measure in report]
        if values:
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row[measure] = {"seeds": values, "mean": float(np.mean(values)), "std": spread}
    return row


def table_text(result: Mapping[str, Any]) -> str:
    """The rows of `compare` as a table in Markdown; errors relative to the mean pose's, shares in per cent."""
    heads = {"relative_error": "error / mean pose's", "keypoints_on_object": "keypoints on object, %"}
    heads |= {"links_on_object": "links on object, %", "skeleton_covered": "skeleton covered, %"}
    heads |= {"unused_vectors": "vectors unused, %"}
    shown = [measure for measure in MEASURES if any(measure in row for row in result["rows"].values())]
    lines = [["variant", *(heads[measure] for measure in shown), "diverged", "published"]]
    for name, row in result["rows"].items():
        cells = [_cell(row.get(measure), 1 if measure == "relative_error" else 100) for measure in shown]
        lines.append([name, *cells, str(row["diverged"] or ""), row["published"]])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(values: Mapping[str, Any] | None, scale: float) -> str:
    if values is None:
        return ""
    digits = 3 if scale == 1 else 1
    spread = "" if values["std"] is None else f" ± {scale * values['std']:.{digits}f}"
    return f"{scale * values['mean']:.{digits}f}{spread}"
