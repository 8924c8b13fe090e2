"""What went wrong in a training, in words, and what to try: `pplkit doctor RUN`, and a cell of notebook 02."""

import math
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pplkit import symptoms
from pplkit.config import Config
from pplkit.dataset import Dataset
from pplkit.findings import CHECKS, Numbers
from pplkit.journal import INSPECTED
from pplkit.model import PosePriorLearner
from pplkit.runs import RunFolder, load, write_json
from pplkit.schedules import thickness

ENOUGH = 16  # images of a test split that is looked at, instead of the training images
COLUMNS = {"finding": 16, "number": 32, "what it means": 36, "what to try": 40}  # and their widths


def diagnose(run: str | os.PathLike[str], data: Dataset, device: str = "cpu") -> dict[str, Any]:
    """Look at a run and the data that it was trained on; returns what it also writes to <run>/doctor.json.

    `findings`, causes first: see `findings`. `numbers`: all that was measured, see `symptoms`. A run that ended before
    its first checkpoint is judged by its curves alone. Raises PplkitError if the folder holds no run.
    """
    folder = RunFolder(Path(run))
    config = folder.config()
    numbers, step = symptoms.of_data(data), 0
    made_by: dict[str, Any] = {"run": folder.path.name}
    if trained := bool(folder.checkpoints()):
        model = load(folder.path, device)
        made_by |= model.made_by
        step = made_by["step"]
        numbers |= measured(model, data, step)
    if (folder.path / "metrics.jsonl").exists() or not trained:  # weights from elsewhere have no curves
        gave_up = (folder.path / INSPECTED).exists()
        numbers |= symptoms.of_training(config, folder.rows("metrics.jsonl"), step, gave_up)
    numbers = {name: value for name, value in numbers.items() if math.isfinite(value)}
    report = {"made_by": made_by, "findings": findings(config, numbers), "numbers": numbers}
    write_json(folder.path / "doctor.json", report)
    return report


def measured(model: PosePriorLearner, data: Dataset, step: int) -> symptoms.Numbers:
    """All numbers of `symptoms` that need the model, of `step` steps, on test images where there are any that fit."""
    config = model.config
    if broken := symptoms.not_finite(model):
        return {"broken_weights": broken}
    model.thickness = thickness(config, step)  # as the decoder knows it
    train = data["train"]
    test = data["test"] if "test" in data and len(data["test"]) >= ENOUGH else train
    shown = train if config.reference == "frame" and test.videos is None else test  # single images have no other frame
    prior = model.prior()
    return (
        symptoms.of_links(prior.connectivity, prior.links(), model.thickness, config.image_size)
        | symptoms.of_keypoints(model, test)
        | symptoms.of_paintings(model, train, shown, step)
    )


def findings(config: Config, numbers: Numbers) -> list[dict[str, Any]]:
    """The faults that numbers show, but for those that another one explains.

    Each with its `name`, the `number` and what that `says`, the limit it is beyond (`most` or `least`), what it `means`
    and what to `try`.
    """
    failed = [check for check in CHECKS if check.fails(config, numbers)]
    explained = {name for check in failed for name in check.explains}
    return [
        {
            "name": check.name,
            "number": numbers[check.number],
            "says": check.says,
            **{bound: limit for bound in ("most", "least") if (limit := getattr(check, bound)) is not None},
            "means": check.means,
            "try": check.tries.format(**config.to_dict()),
        }
        for check in failed
        if check.name not in explained
    ]


def table(report: Mapping[str, Any]) -> list[str]:
    """Lines of text: a row for each finding of a report, or one sentence if there are none."""
    if not report["findings"]:
        return [f"No findings: {len(report['numbers'])} numbers are as in runs that went well."]
    lines = _row(list(COLUMNS)) + _row(["-" * width for width in COLUMNS.values()])
    for found in report["findings"]:
        bound = "most" if "most" in found else "least"
        value = f"{found['number']:.0f}" if abs(found["number"]) >= 1000 else f"{found['number']:.3g}"
        number = f"{value} (at {bound} {found[bound]:g}): {found['says']}"
        lines += _row([found["name"], number, found["means"], found["try"]]) + [""]
    return lines[:-1]


def _row(cells: list[str]) -> list[str]:
    """One row of the table, its cells wrapped to the columns' widths."""
    parts = [textwrap.wrap(cell, width) for cell, width in zip(cells, COLUMNS.values(), strict=True)]
    height = max(map(len, parts))
    padded = [part + [""] * (height - len(part)) for part in parts]
    rows = zip(*padded, strict=True)
    return ["  ".join(f"{text:{w}}" for text, w in zip(row, COLUMNS.values(), strict=True)).rstrip() for row in rows]
