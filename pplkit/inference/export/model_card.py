"""A trained run as a folder for others: weights, config, prior and a model card that says what they are worth.

model.safetensors  all weights, with the completer's, without the optimizer's
config.json        the settings, what made the model, and the sha256 of the other files except the card
prior.json         T and W, see `PosePrior`
landmarks.json     the named landmarks, if the run has any; landmarks.safetensors, their looks
README.md          the model card
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import atomic_path, write_json, write_text
from pplkit.core.version import __version__
from pplkit.data.dataset import Dataset
from pplkit.data.npy_shards import file_hash
from pplkit.data.schema import error_unit
from pplkit.inference.landmarks.fitting import load_landmarks
from pplkit.inference.landmarks.landmark_head import head_file, load_head
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder, data_of
from pplkit.training.saved_model import load, to_tell, write_model

PRIOR, LANDMARKS, CARD = "prior.json", "landmarks.json", "README.md"
SETTINGS = {
    "name": "preset", "image_size": "image side in pixels", "keypoints": "keypoints", "steps": "steps",
    "batch_size": "images a step", "learning_rate": "learning rate", "reference": "reference image",
    "perceptual": "perceptual loss", "precision": "precision", "seed": "seed",
}  # fmt: skip
FRACTIONS = {
    "keypoints_on_object": "keypoints that lie on the object",
    "links_on_object": "length of the strong links that lies on the object",
    "skeleton_covered": "length of the true skeleton within 0.1 of a strong link ([-1, 1] units)",
}
SCORES = ("evaluation", "occlusion")
TEMPLATE = """# Poses of {name}

{keypoints} keypoints, {links} strong links and the typical pose of a category, learned from images without labels by
pplkit, an implementation of the [Pose Prior Learner](https://arxiv.org/abs/2410.03858).

## Use

```python
import pplkit

model = pplkit.load("this folder")
poses = model.estimate(images)  # uint8 (B, H, W, 3) RGB -> .keypoints (B, N, 2), .confidence (B, N)
prior = model.prior()  # .keypoints (N, 2)  .connectivity (N, N)
```

or `pplkit estimate FOLDER images --out poses.json`. Points are (x, y) in [-1, 1], x to the right, y down, -1 and +1 the
centers of the first and last pixel. The model sees squares of {image_size} pixels, to which images are resized. `load`
refuses files whose sha256 differs from that in config.json.

## Data

{data}
The licence of the data may bind what was learned from them; pplkit itself has the MIT licence.

## Training

{training}
All settings are in config.json.

## Scores

{scores}
## Limits

- One object an image, of the category of the training images, and about as they show it.
- The {keypoints} keypoints lie where they help to decode the object; they are no joints and have no names. Named
  landmarks come from them by a linear map, and {landmarks}.
- The confidence {confidence}
- What the training images lack (views, backgrounds, kinds), the model has not learned.

## Versions

Trained with pplkit {version} and torch {torch}; saved by pplkit {own_version}.
"""


class ModelFacts(NamedTuple):
    """What the card says of the model itself."""

    links: int  # strong ones
    completed: bool  # whether it has a completer
    landmarks: list[str]  # named ones


def save_pretrained(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the folder `out` from a trained run, whole or not at all; `pplkit.load` reads it.

    The card has the scores and the data set of the run where they exist. Raises PplkitError if the run is not trained,
    if its landmarks belong to other weights, and if `out` exists or cannot be written.
    """
    folder, out = RunFolder(Path(run)), Path(out)
    if out.exists():
        raise PplkitError(f"{out} exists already: name a folder that does not.")
    model = load(run)
    model.made_by = to_tell(model.made_by)
    config = model.config.replace(predefined=Path(model.config.predefined).name if model.config.predefined else "")
    landmarks: dict[str, Any] = {}
    if (folder.path / LANDMARKS).exists():
        load_head(head_file(folder.path / LANDMARKS), load_landmarks(folder.path, model), model)  # checks them
        landmarks = folder.read(LANDMARKS)
        landmarks["made_by"] = to_tell(landmarks["made_by"])
    facts = ModelFacts(len(model.prior().links()), model.completer is not None, landmarks.get("names", []))
    card = _card_of_run(folder, config, model.made_by, facts)
    with atomic_path(out) as partial:
        partial.mkdir(parents=True)
        write_model(model, partial, model.made_by)
        model.prior().save(partial / PRIOR)
        if landmarks:
            write_json(partial / LANDMARKS, landmarks)
            with suppress(FileNotFoundError):
                copyfile(head_file(folder.path / LANDMARKS), head_file(partial / LANDMARKS))
        hashes = {path.name: file_hash(path) for path in sorted(partial.iterdir())}
        content = {"config": config.to_dict(), "made_by": model.made_by, "sha256": hashes}
        write_json(partial / "config.json", content)
        write_text(partial / CARD, card)
    return out


def _card_of_run(folder: RunFolder, config: Config, made_by: Mapping[str, Any], facts: ModelFacts) -> str:
    """The card, with the data set if it is there, and the scores if they are of this step."""
    try:
        data = data_of(folder)
    except PplkitError:  # the card says that it is missing
        data = None
    files = {name: f"{name}.json" for name in SCORES if (folder.path / f"{name}.json").exists()}
    scores = {name: folder.read(file, "made_by") for name, file in files.items()}
    scores = {name: score for name, score in scores.items() if score["made_by"].get("step") == made_by["step"]}
    try:
        return model_card(config, made_by, facts, data, scores)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        paths = " or ".join(str(folder.path / files[name]) for name in scores)
        message = f"{type(error).__name__}: {reason(error)}"
        raise PplkitError(f"{paths} holds no scores ({message}): delete it, or evaluate again.") from None


def model_card(
    config: Config,
    made_by: Mapping[str, Any],
    facts: ModelFacts,
    data: Dataset | None,
    scores: Mapping[str, Mapping[str, Any]],
) -> str:
    """The text of README.md, Markdown; `scores` holds evaluation.json and occlusion.json by name, where they exist."""
    landmarks = "need some labels"
    if facts.landmarks:
        names = ", ".join(map(_escaped, facts.landmarks))
        landmarks = f"were fitted to some labels: {names} (`pplkit estimate --named`)"
    confidence = "says how concentrated a keypoint's attention is; it is not calibrated."
    if facts.completed:
        confidence = "falls with the expected error and the probability of being hidden, both learned without labels."
    versions = {key: _escaped(made_by.get(key, "unknown")) for key in ("version", "torch")}
    tables = {"data": _data(made_by, data), "training": _training(config, made_by, facts), "scores": _scores(scores)}
    return TEMPLATE.format(
        name=_escaped(made_by.get("data") or config.name), keypoints=config.keypoints, links=facts.links,
        image_size=config.image_size, landmarks=landmarks, confidence=confidence, own_version=__version__,
        **versions, **tables,
    )  # fmt: skip


def _escaped(value: object) -> str:
    """A line of plain text in Markdown, also inside a table."""
    line = " ".join(str(value).split())
    for mark in "\\`*_[]<>|#":
        line = line.replace(mark, f"\\{mark}")
    return line


def _table(head: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [head, ("---", "---"), *((name, _escaped(value)) for name, value in rows.items())]
    return "".join(f"| {first} | {second} |\n" for first, second in lines)


def _data(made_by: Mapping[str, Any], data: Dataset | None) -> str:
    rows: dict[str, object] = {"name": made_by.get("data", "unknown")}
    if data is None:
        rows["source and licence"] = "unknown: the data set was missing when this was written"
    else:
        rows["source"] = data.source or "not stated"
        rows["licence"] = data.licence or "not stated"
        rows["images"] = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        rows["side"] = f"{data.size} pixels"
    rows["sha256"] = made_by.get("data_sha256", "unknown")
    return _table(("data set", ""), rows)


def _training(config: Config, made_by: Mapping[str, Any], facts: ModelFacts) -> str:
    settings = config.to_dict() | {"steps": made_by.get("step", config.steps)}
    rows: dict[str, object] = {label: settings[name] for name, label in SETTINGS.items()}
    rows["completer"] = "yes: hidden keypoints are completed" if facts.completed else "no"
    return _table(("setting", ""), rows)


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    evaluation, rows = scores.get("evaluation", {}), {}
    if "error" in evaluation:
        factor, unit = error_unit(evaluation["protocol"])
        error, baseline = (f"{factor * evaluation[name]:.2f}" for name in ("error", "mean_pose_error"))
        rows[f"{unit} of the labels, regressed linearly from the keypoints"] = error
        rows["the same of a model that always answers the mean pose"] = baseline
        rows["the first divided by the second: below 1, something was learned"] = f"{evaluation['relative_error']:.2f}"
    rows |= {label: f"{100 * evaluation[name]:.1f} %" for name, label in FRACTIONS.items() if name in evaluation}
    text = "None: the run was not evaluated.\n"
    if rows:
        text = _table((f"on {evaluation['test_images']} test images; labels were used for nothing else", ""), rows)
        text += "\nThis is one run: another seed gives other numbers.\n"
    if occlusion := scores.get("occlusion"):
        factor, unit = error_unit(occlusion["measure"].split()[-1])
        kinds = {"unoccluded": "nothing hidden", "occluded": "mean over all kinds and amounts of occlusion"}
        rows = {
            f"{name}, {label}": f"{factor * occlusion[kind][name]:.2f}"
            for name in occlusion["unoccluded"]
            for kind, label in kinds.items()
            if occlusion[kind].get(name) is not None
        }
        text += "\n" + _table((f"{unit}, {_escaped(occlusion['measure'])}, first answers", ""), rows)
    return text
