"""One table of variants of a lifter, trained alike and scored on the same clips beside the baselines."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.evaluation.lifting import Clip, Method, lifting_method, mean_errors
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.variants import LIFTING_VARIANTS, lifting_variant
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_lifter import load_lifter
from pplkit.training.tasks.lifting import Windows, train_lifter

Conditions = Mapping[str, Sequence[Clip]]  # clips by what was done to their keypoints


def compare_lifters(
    config: LiftingConfig,
    source: Windows | Path,
    conditions: Conditions,
    variants: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    baselines: Mapping[str, Method],
    callback: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every variant with every seed in <folder>/<variant>-<seed>, score all, write lifting_ablations.json.

    Finished trainings in the folder are kept. Rows hold, for each condition, MPJPE in mm of each seed; `steps` are the
    same for all variants, `seconds` what a training took. `callback` is called with the name of each training before
    it. Raises PplkitError for an unknown variant, and as `train_lifter` does.
    """
    if not variants or not seeds:
        raise PplkitError("variants and seeds must each name at least one: give lists such as ['preset'] and [0].")
    configs = {name: lifting_variant(config, name) for name in variants}
    rows: dict[str, Any] = {}
    for name, method in baselines.items():
        rows[name] = {"means": "baseline", **{key: [_error(method, clips)] for key, clips in conditions.items()}}
    for name, changed in configs.items():
        row: dict[str, Any] = {"means": LIFTING_VARIANTS[name].means, "seconds": []}
        for seed in seeds:
            if callback:
                callback(f"{name}, seed {seed}")
            run = folder / f"{name.replace(' ', '_')}-{seed}"
            train_lifter(changed.replace(seed=seed), source, run, bar=False)
            method = lifting_method(load_lifter(run))
            for key, clips in conditions.items():
                row.setdefault(key, []).append(_error(method, clips))
            row["seconds"].append(RunFolder(run).read("training.json")["seconds"])
        rows[name] = row
    result = {"steps": config.steps, "seeds": list(seeds), "conditions": list(conditions), "rows": rows}
    write_json(folder / "lifting_ablations.json", result)
    return result


def _error(method: Method, clips: Sequence[Clip]) -> float:
    return mean_errors(method, clips).mpjpe


def lifter_table(result: Mapping[str, Any]) -> str:
    """The rows of `compare_lifters` as a table in Markdown: MPJPE in mm, mean ± deviation (n - 1) over the seeds."""
    heads = ["variant", "meaning", *(f"{name}, mm" for name in result["conditions"]), "seconds"]
    lines = [heads, ["---"] * len(heads)]
    for name, row in result["rows"].items():
        cells = [_cell(row[condition], 1) for condition in result["conditions"]]
        lines.append([name, row["means"], *cells, _cell(row.get("seconds", []), 0)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
