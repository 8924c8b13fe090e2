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
from pplkit.evaluation.diagnosis import measurements as symptoms
from pplkit.evaluation.diagnosis import object_measurements as object_symptoms
from pplkit.evaluation.diagnosis.checks import CHECKS, Check, Numbers
from pplkit.evaluation.diagnosis.object_checks import IMAGE_CHECKS, OBJECT_CHECKS
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.logger import DIVERGED
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load, read_config
from pplkit.training.tasks.prior import thickness

ENOUGH = 16  # images of a test split that is looked at, instead of the training images
EVERY = (*IMAGE_CHECKS, *CHECKS, *OBJECT_CHECKS)
COLUMNS = {"finding": 16, "number": 32, "what it means": 36, "what to try": 40}  # and their widths


def diagnose(run: str | os.PathLike[str], data: Dataset, device: str = "cpu") -> dict[str, Any]:
    """Look at a run and the data that it was trained on; returns what it also writes to <run>/doctor.json.

    `findings`, causes first: see `findings`. `numbers`: all that was measured, see `symptoms` and `object_symptoms`.
    A run that ended before its first checkpoint is judged by its images and curves alone. Raises PplkitError if the
    folder holds no run.
    """
    folder = RunFolder(Path(run))
    config = read_config(folder)
    numbers, step = symptoms.of_data(data) | image_numbers(data), 0
    keypoints: dict[str, list[int]] = {}
    made_by: dict[str, Any] = {"run": folder.path.name}
    if trained := bool(folder.checkpoints()):
        model = load(folder.path, device)
        made_by |= model.made_by
        step = made_by["step"]
        numbers |= measured(model, data, step)
        if "broken_weights" not in numbers:
            beside, keypoints = object_symptoms.of_object(model, _shown(data))
            numbers |= beside
    if (folder.path / "metrics.jsonl").exists() or not trained:  # weights from elsewhere have no curves
        gave_up = (folder.path / DIVERGED).exists()
        numbers |= symptoms.of_training(config, folder.rows("metrics.jsonl"), step, gave_up)
    numbers = {name: value for name, value in numbers.items() if math.isfinite(value)}
    report = {"made_by": made_by, "findings": findings(config, numbers, keypoints), "numbers": numbers}
    write_json(folder.path / "doctor.json", report)
    return report


def measured(model: PosePriorLearner, data: Dataset, step: int) -> symptoms.Numbers:
    """All numbers of `symptoms` that need the model, of `step` steps, on test images where there are any that fit."""
    config = model.config
    if broken := symptoms.not_finite(model):
        return {"broken_weights": broken}
    model.thickness = thickness(config, step)  # as the decoder knows it
    train, test = data["train"], _shown(data)
    shown = train if config.reference == "frame" and test.videos is None else test  # single images have no other frame
    prior = model.prior()
    return (
        symptoms.of_links(prior.connectivity, prior.links(), model.thickness, config.image_size)
        | symptoms.of_keypoints(model, test)
        | symptoms.of_paintings(model, train, shown, step)
    )


def _shown(data: Dataset) -> Split:
    """The split that is looked at: test images, where there are ENOUGH."""
    return data["test"] if "test" in data and len(data["test"]) >= ENOUGH else data["train"]


def image_numbers(data: Dataset) -> symptoms.Numbers:
    """The numbers of `object_symptoms.of_images`; none, and no error, where they cannot be had.

    At most 64 images are looked at.
    """
    try:
        return object_symptoms.of_images(data)
    except Exception:  # advice alone: whatever is wrong with images, what reads them next says better
        return {}


def data_findings(data: Dataset) -> list[dict[str, Any]]:
    """What is wrong with the images of a data set, before anything is trained on them, as `findings` has it.

    Without labels: whether the object is small, cut off, or does not stand out. At most 64 training images are looked
    at, in a few seconds; nothing is raised, and nothing said of what cannot be told. See `warnings` for lines of text.
    """
    return _failed(IMAGE_CHECKS, Config(), image_numbers(data))


def warnings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of text for each of some findings: its name, what it means, the number, and what to try."""
    return [f"{one['name']}: {one['means']} {_measure(one).capitalize()}. Try: {one['try']}." for one in found]


def findings(
    config: Config, numbers: Numbers, keypoints: Mapping[str, Sequence[int]] | None = None
) -> list[dict[str, Any]]:
    """The faults that numbers show, but for those that another one explains.

    Each with its `name`, the `number` and what that `says`, the limit it is beyond (`most` or `least`), what it `means`
    and what to `try`. `keypoints`: by the name of a number those that it counts, from 0; they are added to `says`.
    """
    return _failed(EVERY, config, numbers, keypoints or {})


def _failed(
    checks: Sequence[Check],
    config: Config,
    numbers: Numbers,
    keypoints: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    failed = [check for check in checks if check.fails(config, numbers)]
    explained = {name for check in failed for name in check.explains}
    return [
        {
            "name": check.name,
            "number": numbers[check.number],
            "says": _said(check.says, keypoints.get(check.number, ())),
            **{bound: limit for bound in ("most", "least") if (limit := getattr(check, bound)) is not None},
            "means": check.means,
            "try": check.tries.format(**config.to_dict()),
        }
        for check in failed
        if check.name not in explained
    ]


def _said(says: str, keypoints: Sequence[int]) -> str:
    """What a number says, with the numbers of the keypoints that it counts."""
    return f"{says}: {', '.join(map(str, keypoints))}" if keypoints else says


def table(report: Mapping[str, Any]) -> list[str]:
    """Lines of text: a row for each finding of a report, or one sentence if there are none."""
    if not report["findings"]:
        return [f"No findings: {len(report['numbers'])} numbers are as in runs that went well."]
    lines = _row(list(COLUMNS)) + _row(["-" * width for width in COLUMNS.values()])
    for found in report["findings"]:
        lines += _row([found["name"], _measure(found), found["means"], found["try"]]) + [""]
    return lines[:-1]


def _measure(found: Mapping[str, Any]) -> str:
    """The number of a finding, its limit and what it says."""
    bound = "most" if "most" in found else "least"
    value = f"{found['number']:.0f}" if abs(found["number"]) >= 1000 else f"{found['number']:.3g}"
    return f"{value} (at {bound} {found[bound]:.3g}): {found['says']}"


def _row(cells: list[str]) -> list[str]:
    """One row of the table, its cells wrapped to the columns' widths."""
    parts = [textwrap.wrap(cell, width) for cell, width in zip(cells, COLUMNS.values(), strict=True)]
    height = max(map(len, parts))
    padded = [part + [""] * (height - len(part)) for part in parts]
    rows = zip(*padded, strict=True)
    return ["  ".join(f"{text:{w}}" for text, w in zip(row, COLUMNS.values(), strict=True)).rstrip() for row in rows]
