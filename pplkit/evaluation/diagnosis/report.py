"""What went wrong in a training, in words, and what to try: `pplkit doctor RUN`, and a cell of notebook 02."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pplkit.core.files import write_json
from pplkit.data.dataset import Dataset, Split
from pplkit.evaluation.diagnosis import measurements
from pplkit.evaluation.diagnosis.advice import advice, command, options_of
from pplkit.evaluation.diagnosis.checks import CHECKS, IMAGE_CHECKS, Check, Numbers
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.logger import DIVERGED
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load, read_config
from pplkit.training.tasks.prior import thickness

LEAST_TEST_IMAGES = 16  # of a test split that is used instead of the training images
COLUMN_WIDTHS = {"finding": 16, "number": 32, "what it means": 36, "what to try": 40}


def diagnose(run: str | os.PathLike[str], data: Dataset, device: str = "cpu") -> dict[str, Any]:
    """Check a run and the data it was trained on; returns the report that it also writes to <run>/doctor.json.

    `findings`, causes first: see `findings`. `numbers`: all that was measured, see `measurements`. A run that ended
    before its first checkpoint is judged by its images and curves alone. Raises PplkitError if the folder holds no run.
    """
    folder = RunFolder(Path(run))
    config = read_config(folder)
    numbers, step = measurements.measure_variety(data) | _image_numbers(data), 0
    keypoints: dict[str, list[int]] = {}
    made_by: dict[str, Any] = {"run": folder.path.name}
    if trained := bool(folder.checkpoints()):
        model = load(folder.path, device)
        made_by |= model.made_by
        step = made_by["step"]
        numbers |= measure_model(model, data, step)
        if "broken_weights" not in numbers:
            object_numbers, keypoints = measurements.measure_object(model, _shown(data))
            numbers |= object_numbers
    if (folder.path / "metrics.jsonl").exists() or not trained:  # weights from elsewhere have no curves
        gave_up = (folder.path / DIVERGED).exists()
        numbers |= measurements.measure_training(config, folder.rows("metrics.jsonl"), step, gave_up)
    numbers = {name: value for name, value in numbers.items() if math.isfinite(value)}
    faults = findings(config, numbers, keypoints, options_of(data))
    for fault in faults:
        check = next(check for check in CHECKS if check.name == fault["name"])
        if line := command(check, config, data, folder.path):
            fault["command"] = line
    report = {"made_by": made_by, "findings": faults, "numbers": numbers}
    write_json(folder.path / "doctor.json", report)
    return report


def measure_model(model: PosePriorLearner, data: Dataset, step: int) -> measurements.Numbers:
    """Numbers of links, keypoints and decoder of a model after `step` steps, on test images if there are enough."""
    config = model.config
    if broken := measurements.count_nonfinite(model):
        return {"broken_weights": broken}
    model.thickness = thickness(config, step)  # as the decoder knows it
    train, test = data["train"], _shown(data)
    shown = train if config.reference == "frame" and test.videos is None else test  # single images have no other frame
    prior = model.prior()
    return (
        measurements.measure_links(prior.connectivity, prior.links(), model.thickness, config.image_size)
        | measurements.measure_keypoints(model, test)
        | measurements.measure_decoder(model, train, shown, step)
    )


def _shown(data: Dataset) -> Split:
    """The test images, if there are enough of them, else the training images."""
    return data["test"] if "test" in data and len(data["test"]) >= LEAST_TEST_IMAGES else data["train"]


def _image_numbers(data: Dataset) -> measurements.Numbers:
    try:
        return measurements.measure_images(data)
    except Exception:  # this is advice alone: if something is wrong with images, their next reader says it better
        return {}


def diagnose_images(data: Dataset) -> list[dict[str, Any]]:
    """What is wrong with the images of a data set, before anything is trained on them, in the form of `findings`.

    Without labels: whether the object is small, cut off, or does not stand out, in at most 64 training images, in a
    few seconds. Raises nothing; what cannot be measured is no finding. See `warning_lines` for lines of text.
    """
    return _failed(IMAGE_CHECKS, Config(), _image_numbers(data), options=options_of(data))


def warning_lines(faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of text for each finding: its name, what it means, the number, and what to try."""
    return [f"{f['name']}: {f['means']} {_measure(f).capitalize()}. Try: {f['try']}." for f in faults]


def findings(
    config: Config,
    numbers: Numbers,
    keypoints: Mapping[str, Sequence[int]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The faults that numbers show, without those that another one explains.

    Each with its `name`, the `number` and what it `says`, its limit (`most` or `least`), what it `means` and what to
    `try`: settings and options of the preparation that are not so already, and more. `keypoints`: for a number that
    counts keypoints, their indices from 0, which are added to `says`. `options`: those of the data set, and its `size`.
    """
    return _failed(CHECKS, config, numbers, keypoints or {}, options or {})


def _failed(
    checks: Sequence[Check],
    config: Config,
    numbers: Numbers,
    keypoints: Mapping[str, Sequence[int]] = MappingProxyType({}),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    failed = [check for check in checks if check.fails(config, numbers)]
    explained = {name for check in failed for name in check.explains}
    return [
        {
            "name": check.name,
            "number": numbers[check.number],
            "says": ": ".join(filter(None, (check.description, ", ".join(map(str, keypoints.get(check.number, ())))))),
            **{bound: limit for bound in ("most", "least") if (limit := getattr(check, bound)) is not None},
            "means": check.meaning,
            "try": advice(check, config, options),
        }
        for check in failed
        if check.name not in explained
    ]


def finding_table(report: Mapping[str, Any]) -> list[str]:
    """Lines of text: a row for each finding of a report and the command that tries the advice, or one sentence."""
    if not report["findings"]:
        return [f"No findings: {len(report['numbers'])} numbers are as in runs that went well."]
    lines = _row(list(COLUMN_WIDTHS)) + _row(["-" * width for width in COLUMN_WIDTHS.values()])
    for finding in report["findings"]:
        lines += _row([finding["name"], _measure(finding), finding["means"], finding["try"]])
        lines += [f"  {finding['command']}", ""] if "command" in finding else [""]
    return lines[:-1]


def _measure(finding: Mapping[str, Any]) -> str:
    """The number of a finding, its limit and what it says."""
    bound = "most" if "most" in finding else "least"
    value = f"{finding['number']:.0f}" if abs(finding["number"]) >= 1000 else f"{finding['number']:.3g}"
    return f"{value} (at {bound} {finding[bound]:.3g}): {finding['says']}"


def _row(cells: list[str]) -> list[str]:
    """One row of the table, its cells wrapped to the columns' widths."""
    widths = COLUMN_WIDTHS.values()
    parts = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    rows = [[part[k] if k < len(part) else "" for part in parts] for k in range(max(map(len, parts)))]
    return ["  ".join(f"{text:{w}}" for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]
