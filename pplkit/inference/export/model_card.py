"""A trained run as a folder to hand on: weights, config, prior and a card that says what they are worth.

model.safetensors  all weights, the completer's too, without the optimiser's
config.json        the settings, what made the model, and the sha256 of the other files but the card
prior.json         T and W, see `PosePrior`
landmarks.json     the landmarks that were named by labels, if any were
README.md          the card
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pplkit.core.errors import PplkitError
from pplkit.core.files import Unwritable
from pplkit.core.version import __version__
from pplkit.data.dataset import Dataset
from pplkit.data.npy_shards import file_hash
from pplkit.data.schema import error_unit
from pplkit.inference.landmarks.fitting import landmarks_of
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder, data_of, write_json, write_text
from pplkit.training.saved_model import load, to_tell, write_model

PRIOR, LANDMARKS, CARD = "prior.json", "landmarks.json", "README.md"
SETTINGS = {
    "name": "preset", "image_size": "image side in pixels", "keypoints": "keypoints", "steps": "steps",
    "batch_size": "images a step", "learning_rate": "learning rate", "reference": "reference image",
    "perceptual": "perceptual loss", "precision": "precision", "seed": "seed",
}  # fmt: skip
SHARES = {
    "keypoints_on_object": "keypoints that lie on the object",
    "links_on_object": "length of the strong links that lies on the object",
    "skeleton_covered": "length of the true skeleton within 0.1 of a strong link ([-1, 1] units)",
}


class Facts(NamedTuple):
    """What a card says of the model itself."""

    links: int  # strong ones
    completed: bool  # whether it has a completer
    landmarks: list[str]  # that were named by labels


def hand_on(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the folder `out` from a trained run, complete or not at all; `pplkit.load` reads it.

    The run's evaluation and data set go into the card where they are at hand. Raises PplkitError if the run is not
    trained or its landmarks are of other weights, or `out` exists or cannot be written.
    """
    folder, out = RunFolder(Path(run)), Path(out)
    if out.exists():
        raise PplkitError(f"{out} exists already: name a folder that does not.")
    model = load(run)
    model.made_by = to_tell(model.made_by)
    config = model.config.replace(predefined=Path(model.config.predefined).name if model.config.predefined else "")
    scores, named = _scores(folder, model.made_by["step"]), None
    if (folder.path / LANDMARKS).exists():
        landmarks_of(folder.path, model)  # which sees whether all is right, and of these weights
        named = folder.read(LANDMARKS)
        named["made_by"] = to_tell(named["made_by"])
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_model(model, partial, model.made_by)
        model.prior().save(partial / PRIOR)
        if named is not None:
            write_json(partial / LANDMARKS, named)
        hashes = {path.name: file_hash(path) for path in sorted(partial.iterdir())}
        content = {"config": config.to_dict(), "made_by": model.made_by, "sha256": hashes}
        write_json(partial / "config.json", content)
        facts = Facts(len(model.prior().links()), model.completer is not None, named["names"] if named else [])
        write_text(partial / CARD, card(config, model.made_by, facts, _data(folder), scores))
        partial.replace(out)
    except (OSError, Unwritable) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise PplkitError(f"{out} cannot be written ({error}): name another folder.") from None
    return out


def _data(folder: RunFolder) -> Dataset | None:
    try:
        return data_of(folder)
    except PplkitError:  # the card then says so
        return None


def _scores(folder: RunFolder, step: object) -> dict[str, Mapping[str, Any]]:
    """What evaluations of the model after `step` said; older ones were of another."""
    names = [name for name in ("evaluation", "occlusion") if (folder.path / f"{name}.json").exists()]
    found = {name: folder.read(f"{name}.json", "made_by") for name in names}
    for name, content in found.items():
        try:
            _about_scores({name: content})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            said = f"{type(error).__name__}: {error}"
            raise PplkitError(
                f"{folder.path / name}.json holds no scores ({said}): delete it, or evaluate again."
            ) from None
    return {name: content for name, content in found.items() if content["made_by"].get("step") == step}


def card(
    config: Config,
    made_by: Mapping[str, Any],
    facts: Facts,
    data: Dataset | None,
    scores: Mapping[str, Mapping[str, Any]],
) -> str:
    """The text of README.md, Markdown.

    `scores` holds the content of evaluation.json and occlusion.json under these names, where they exist.
    """
    name = _plain(made_by.get("data") or config.name)
    parts = [
        f"# Poses of {name}\n",
        f"{config.keypoints} keypoints, {facts.links} strong links and the typical pose of a category, learned from "
        "images without labels by pplkit, an implementation of the [Pose Prior Learner](https://arxiv.org/abs/2410.03858).\n",
        _use(config),
        _about_data(made_by, data),
        _training(config, made_by, facts.completed),
        _about_scores(scores),
        _limits(config, facts),
        f"## Versions\n\nTrained with pplkit {_plain(made_by.get('version', 'unknown'))} and torch "
        f"{_plain(made_by.get('torch', 'unknown'))}; handed on by pplkit {__version__}.\n",
    ]
    return "\n".join(parts)


def _plain(value: object) -> str:
    """Text that is nothing but text in Markdown, also in a table."""
    line = " ".join(str(value).split())
    for mark in "\\`*_[]<>|#":
        line = line.replace(mark, f"\\{mark}")
    return line


def _table(head: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [head, ("---", "---"), *((name, _plain(value)) for name, value in rows.items())]
    return "".join(f"| {first} | {second} |\n" for first, second in lines)


def _use(config: Config) -> str:
    return (
        "## Use\n\n```python\nimport pplkit\n\n"
        'model = pplkit.load("this folder")\n'
        "poses = model.estimate(images)  # uint8 (B, H, W, 3) RGB -> .keypoints (B, N, 2), .confidence (B, N)\n"
        "prior = model.prior()  # .keypoints (N, 2)  .connectivity (N, N)\n```\n\n"
        "or `pplkit estimate FOLDER images --out poses.json`. Points are (x, y) in [-1, 1], x to the right, y down, -1 "
        f"and +1 the centres of the first and last pixel. The model sees squares of {config.image_size} pixels, to "
        "which images are resized. `load` refuses files whose sha256 is not that in config.json.\n"
    )


def _about_data(made_by: Mapping[str, Any], data: Dataset | None) -> str:
    rows: dict[str, object] = {"name": made_by.get("data", "unknown")}
    if data is None:
        rows["source and licence"] = "unknown: the data set was not at hand when this was written"
    else:
        rows["source"] = data.source or "not stated"
        rows["licence"] = data.licence or "not stated"
        rows["images"] = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        rows["side"] = f"{data.size} pixels"
    rows["sha256"] = made_by.get("data_sha256", "unknown")
    return (
        "## Data\n\n" + _table(("data set", ""), rows) + "\nThe licence of the data may bind what was learned from "
        "them; pplkit itself has the MIT licence.\n"
    )


def _training(config: Config, made_by: Mapping[str, Any], completed: bool) -> str:
    settings = config.to_dict() | {"steps": made_by.get("step", config.steps)}
    rows: dict[str, object] = {said: settings[name] for name, said in SETTINGS.items()}
    rows["completer"] = "yes: hidden keypoints are completed" if completed else "no"
    return "## Training\n\n" + _table(("setting", ""), rows) + "\nAll settings are in config.json.\n"


def _about_scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    found, rows = scores.get("evaluation", {}), {}
    if "error" in found:
        factor, unit = error_unit(found["protocol"])
        rows[f"{unit} of the labels, regressed linearly from the keypoints"] = f"{factor * found['error']:.2f}"
        rows["the same of a model that always answers the mean pose"] = f"{factor * found['mean_pose_error']:.2f}"
        rows["the first as a share of the second: below 1, something was learned"] = f"{found['relative_error']:.2f}"
    rows |= {said: f"{100 * found[name]:.1f} %" for name, said in SHARES.items() if name in found}
    text = "## Scores\n\n"
    if rows:
        text += _table((f"on {found['test_images']} test images; labels served this alone", ""), rows)
        text += "\nOne run is one throw of the dice: another seed gives other numbers.\n"
    else:
        text += "None: the run was not evaluated.\n"
    if hidden := scores.get("occlusion"):
        factor, unit = error_unit(hidden["measure"].split()[-1])
        kinds = {"unoccluded": "nothing hidden", "occluded": "mean over all kinds and amounts of occlusion"}
        found = {
            f"{name}, {said}": hidden[kind].get(name) for name in hidden["unoccluded"] for kind, said in kinds.items()
        }
        rows = {said: f"{factor * value:.2f}" for said, value in found.items() if value is not None}
        text += "\n" + _table((f"{unit}, {_plain(hidden['measure'])}, first answers", ""), rows)
    return text


def _limits(config: Config, facts: Facts) -> str:
    worth = (
        "The confidence falls with the distance that is expected from the true place and with the probability of being "
        "hidden; it was learned, without labels."
        if facts.completed
        else "The confidence says how concentrated a keypoint's attention is; it is not calibrated."
    )
    named = "need some labels"
    if facts.landmarks:
        named = f"were fitted to some labels: {', '.join(map(_plain, facts.landmarks))} (`pplkit estimate --named`)"
    return (
        "## Limits\n\n"
        "- One object an image, of the category of the training images, and about as they show it.\n"
        f"- The {config.keypoints} keypoints are where they help to paint the object; they are no joints and have no "
        f"names. Named landmarks come from them by a linear map, and {named}.\n"
        f"- {worth}\n"
        "- What the training images lack (views, backgrounds, kinds), the model has not learned.\n"
    )
