"""The card of a run of any method, MODEL_CARD.md in its folder, and a gallery of several runs.

A card says what was learned from what, with which settings, how good it is beside the simplest baselines, and where it
ends. That of a model which is handed on (`inference.export.model_card`) is for those who have no run folder.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_text
from pplkit.core.words import quantity
from pplkit.data.schema import error_unit
from pplkit.experiments.methods import TRAINED
from pplkit.training.run_folder import RunFolder

CARD = "MODEL_CARD.md"
PICTURES = ("poses", "prior")  # in figures/, the first that is there is shown
SHOWN = ("name", "steps", "batch_size", "learning_rate", "precision", "seed")
SETTINGS = {"name": "preset", "batch_size": "batch", "learning_rate": "learning rate"}  # titles of those that have one


class About(NamedTuple):
    """What a card says of a method."""

    does: str
    limits: tuple[str, ...]
    licence: str = "Motion made by rule binds nobody; recordings have licences of their own."


IMAGES = "The licence of the images may bind what was learned from them, and so may that of a pretrained backbone."
ABOUT = {
    "prior": About(
        "Keypoints, links and the typical pose of a category, learned from images without labels.",
        ("One object an image, of the category and about as the training images show it.",
         "Keypoints are no joints and have no names; named points come from them by a linear map."), IMAGES,
    ),
    "lifting": About(
        "3D poses from 2D keypoints of a sequence, in meters relative to the root.",
        ("Where the body stands and how large it is are not seen in a picture: sizes are those of the training.",
         "Joints, their order and the frame rate are those of the training; others have to be mapped to them."),
    ),
    "mesh": About(
        "Poses of one mesh, as a code that other meshes take.",
        ("Poses far from those of the training, and bodies with other limbs, have not been learned.",
         "Where a pose lies as a whole is not coded; without landmarks both meshes must stand alike at rest."),
        "The licence of the meshes may bind what was learned from them; built-in bodies bind nobody.",
    ),
    "contact": About(
        "Whether the left and the right foot touch the floor, from lifted poses.",
        ("It knows people on flat floors, and the errors of the kit's lifters.",
         "Motion made by rule walks, jumps, lies and tumbles; other motion is judged less well."),
    ),
    "inbetweening": About(
        "Frames in the gaps of a motion, as a correction to interpolation.",
        ("Its skeleton and frame rate are those of the training.",
         "Motion that it does not know is interpolated."),
    ),
}  # fmt: skip
OTHER = About("A model of pplkit.", ("What its training did not show, it has not learned.",))


def card_of(path: str | os.PathLike[str]) -> str:
    """The card of a run folder as Markdown. Raises PplkitError if it is none, or has no checkpoint yet."""
    folder = RunFolder(Path(path))
    config = folder.read("config.json", "config", "made_by")
    checkpoint = folder.last()
    if checkpoint is None:
        raise PplkitError(f"{folder.path} holds no checkpoint yet: train it first.")
    about, made_by, settings = ABOUT.get(checkpoint.method, OTHER), config["made_by"], config["config"]
    rows = [f"| {SETTINGS.get(name, name)} | {settings[name]} |" for name in SHOWN if name in settings]
    steps = (
        f"{checkpoint.step:,} of {settings['steps']:,} steps" if "steps" in settings else f"{checkpoint.step:,} steps"
    )
    versions = ", ".join(f"{name} {made_by[name]}" for name in ("torch", "numpy", "python") if name in made_by)
    lines = [
        f"# {folder.path.resolve().name}", "", f"{about.does} Method `{checkpoint.method}`, {steps}.", "",
        "## Data", "", _data(folder, made_by), "",
        "## Settings", "", "| | |", "|---|---|", *rows, "", "All of them are in config.json.", "",
        "## Scores", "", *score_lines(folder), "",
        "## Limits", "", *(f"- {limit}" for limit in about.limits),
        "- Numbers of one seed say little about another: train several.", "",
        "## Licence", "", f"pplkit has the MIT licence. {about.licence}", "",
        f"Trained with pplkit {made_by.get('version', 'of an unknown version')}, {versions or 'versions unknown'}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write_card(path: str | os.PathLike[str]) -> Path:
    """Write the card into its run folder. Raises as `card_of` does, and if it cannot be written."""
    file = Path(path) / CARD
    write_text(file, card_of(path))
    return file


def write_gallery(runs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Write a page of runs, Markdown: each with a picture if it has one, its scores and its card.

    Links start at the page. Raises PplkitError for folders that are no runs, and for one that does not exist.
    """
    out = Path(out)
    if not out.parent.is_dir():
        raise PplkitError(f"the folder {out.parent} does not exist: create it, or name another.")
    parts = ["# Gallery", "", f"{quantity(len(runs), 'run')}, each with its error beside its simplest baselines."]
    for run in map(Path, runs):
        card = write_card(run)
        does = card_of(run).splitlines()[2]
        parts += ["", f"## {run.resolve().name}", "", does]
        picture = next((file for name in PICTURES if (file := run / "figures" / f"{name}.png").is_file()), None)
        if picture is not None:
            parts += ["", f"![{run.resolve().name}]({_address(picture, out)})"]
        parts += ["", *score_lines(RunFolder(run)), "", f"[Card]({_address(card, out)})"]
    write_text(out, "\n".join(parts) + "\n")
    return out


def score_lines(folder: RunFolder) -> list[str]:
    """The error of a run and of its baselines as a table, or a sentence that it was not measured."""
    if not (folder.path / "evaluation.json").is_file():
        return ["Not measured: a batch scores all methods, notebook 04 the prior."]
    report = folder.read("evaluation.json")
    try:
        if "errors" in report:
            measure, errors, factor = report["measure"], report["errors"], 1.0
        else:
            factor, measure = error_unit(report["protocol"])
            errors = {"mean pose": report["mean_pose_error"], TRAINED: report["error"]}
        rows = [f"| {name} | {factor * float(value):.2f} |" for name, value in errors.items()]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PplkitError(f"{folder.path / 'evaluation.json'} holds no scores: delete it, or score again.") from None
    return [f"| | {measure} |", "|---|---:|", *rows]


def _data(folder: RunFolder, made_by: Mapping[str, Any]) -> str:
    """What the run was trained on, as far as its folder says, without where it lay."""
    if "data" in made_by:
        return f"`{made_by['data']}`, sha256 {str(made_by.get('data_sha256', 'unknown'))}."
    if (folder.path / "batch.json").is_file():
        stages = folder.read("batch.json", "notebooks")["notebooks"]
        names = [row["parameters"].get("dataset") for row in stages.values() if isinstance(row.get("parameters"), dict)]
        if names and names[0]:
            return f"`{names[0]}`; scored on data that the training has not seen."
    return "The folder does not say: name the data here before you hand the card on."


def _address(target: Path, page: Path) -> str:
    return quote(Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix())
