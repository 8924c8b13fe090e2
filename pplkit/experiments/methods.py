"""Methods that a plan trains beside the prior: their settings, their training, their error beside a baseline's."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.data.lifter_noise import lifter_noise
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, SIDES
from pplkit.evaluation import inbetweening as gaps
from pplkit.evaluation import mesh as meshes
from pplkit.evaluation.lifting import Baselines, clips_of, mean_errors
from pplkit.geometry.plausibility import contact_f1, standing
from pplkit.inference.imitation.clip import prepared
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.variants import LIFTING_VARIANTS
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.motion.contact import WEIGHTS, ContactConfig
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.training.saved_lifter import load_lifter
from pplkit.training.saved_mesh import load_mesh_run
from pplkit.training.tasks.contact import train_contact
from pplkit.training.tasks.inbetweening import load_inbetweening, train_inbetweening
from pplkit.training.tasks.lifting import train_lifter
from pplkit.training.tasks.mesh import train_mesh

PRIOR = "prior"  # the method of plans that name none; its runs are notebooks
SEED = 10**6  # of the windows that are scored, which no training draws
CLIP_FRAMES = 90
GAP = 20  # frames
TRAINED = "trained"  # the trained model's line of a table
FROM_DATA = {"joint_names", "parents", "flip_pairs", "fps", "landmark_names", "bones"}
"""Settings that a training takes from its data."""


class Material(NamedTuple):
    """What a method learns from, and what it is scored on and has not seen."""

    training: Any  # as its function of training takes it
    held_out: Any  # windows of motion or poses by seed; of mesh pose a body and the one that gets its poses


class Scores(NamedTuple):
    """Errors of the same poses by every line of a table; smaller is better."""

    measure: str  # with its unit
    baseline: str  # the simplest rival among the errors
    errors: Mapping[str, float]  # of TRAINED and the baselines

    def report(self) -> dict[str, Any]:
        """The content of evaluation.json, with the error as a fraction of the baseline's."""
        error, rival = self.errors[TRAINED], self.errors[self.baseline]
        names = {"measure": self.measure, "baseline": self.baseline}
        ratio = {"relative_error": error / rival} if rival > 0 else {}
        return {**names, "error": error, "baseline_error": rival, **ratio, "errors": dict(self.errors)}


@dataclass(frozen=True)
class Method:
    """A method of plans.

    Attributes:
        settings: those of a preset, by name; raises PplkitError for another.
        preset: the one of plans that name none.
        train: (settings, training material, run folder, options of `training.loop.fit`).
        score: (run folder, material, whether to look at little).
        smoke: settings of a training that only shows that everything works.
        variants: changes of settings by name, which the `like` of a plan may name.
    """

    settings: Callable[[str], Settings]
    preset: str
    train: Callable[..., Any]
    score: Callable[[Path, Material, bool], Scores]
    smoke: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]


def score_lifting(run: Path, material: Material, smoke: bool = False) -> Scores:
    """MPJPE on windows of 81 frames that no training has seen, beside the mean pose and linear maps."""
    lifter = load_lifter(run)
    frames = 9 if smoke else 81
    clips = clips_of(material.held_out(SEED, 8 if smoke else 200, frames), lifter.config.root)
    fitted = Baselines(material.training(SEED, 200 if smoke else 20_000, 1), lifter.skeleton)
    methods = fitted.methods(lifter)
    names = {"mean pose": "mean pose", "linear, one frame": "linear, one frame", TRAINED: lifter.config.name}
    errors = {title: mean_errors(methods[name], clips).mpjpe for title, name in names.items()}
    return Scores("MPJPE, mm", "mean pose", errors)


def score_mesh(run: Path, material: Material, smoke: bool = False) -> Scores:
    """Mean distance of the vertices of unseen poses given to another body, beside baselines that learn nothing."""
    source, target = material.held_out
    count = 2 if smoke else len(source.poses)
    source, target = (type(body)(body.mesh, body.poses[:count], body.landmarks) for body in (source, target))
    model = load_mesh_run(run).model
    rows = meshes.compare({TRAINED: model}, source, [target], material.training.poses, intersections=False)
    errors = {row.method: row.scores.mean for row in rows if row.method != "truth"}
    return Scores("distance of vertices, % of the body's longest side", "rest pose", errors)


def score_contact(run: Path, material: Material, smoke: bool = False) -> Scores:
    """100 (1 - F1) of contact in motion with a lifter's errors, beside thresholds of speed and height."""
    ankles = [H36M17.joints.index(f"{side} ankle") for side in SIDES]
    clips = _clips(material.held_out(SEED, 3 if smoke else 24, CLIP_FRAMES, ContactConfig.fps), ContactConfig.fps)
    truth = np.concatenate([standing(clip.points[:, ankles], clip.fps) for clip in clips])
    errors, ways = {}, tuple[tuple[str, Path | str], ...]((("thresholds", "thresholds"), (TRAINED, run / WEIGHTS)))
    for name, method in ways:
        found = []
        for number, clip in enumerate(clips):
            noisy = lifter_noise(np.random.default_rng((SEED, number)), clip.points, clip.fps)
            found.append(prepared(_clip(noisy, clip.fps), contact=method).touches)
        errors[name] = 100 * (1 - contact_f1(np.concatenate(found), truth))
    return Scores("contact, 100 (1 - F1)", "thresholds", errors)


def score_inbetweening(run: Path, material: Material, smoke: bool = False) -> Scores:
    """Mean distance of joints in gaps of 20 frames, beside interpolation and holding still."""
    model = load_inbetweening(run)
    frames = model.config.past + GAP + model.config.future
    clips = _clips(material.held_out(SEED, 4 if smoke else 100, frames, model.config.fps), model.config.fps)
    rows = {row.method: row.error for row in gaps.compare(model, {"held out": clips}, gaps=(GAP,), stride=frames)}
    names = {"interpolation": "interpolation", "holding still": "holding still", TRAINED: "network"}
    return Scores("joints in gaps of 20 frames, mm", "interpolation", {key: rows[name] for key, name in names.items()})


def _clip(points: np.ndarray, fps: float) -> PoseSequence:
    return PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world", source="held out")


def _clips(windows: Iterable[np.ndarray], fps: float) -> list[PoseSequence]:
    return [_clip(points, fps) for points in windows]


def _only(default: Settings, name: str) -> Settings:
    """The settings of a method that has a single preset."""
    if name != default.to_dict()["name"]:
        raise PplkitError(f"preset {name!r} is unknown: choose {default.to_dict()['name']}.")
    return default


_LIFTING = {"steps": 3, "batch_size": 4, "width": 16, "depth": 1, "heads": 2, "frames": 9, "warmup_steps": 1}
METHODS: dict[str, Method] = {
    "lifting": Method(
        LiftingConfig.preset, "lift-small", train_lifter, score_lifting, _LIFTING,
        {name: variant.changes for name, variant in LIFTING_VARIANTS.items()},
    ),
    "mesh": Method(
        MeshConfig.preset, "mesh", train_mesh, score_mesh, {"steps": 3, "batch_size": 2, "patches": 20}, {},
    ),
    "contact": Method(
        partial(_only, ContactConfig()), "contact", train_contact, score_contact,
        {"steps": 3, "batch_size": 4, "width": 8}, {},
    ),
    "inbetweening": Method(
        partial(_only, InBetweeningConfig()), "inbetween", train_inbetweening, score_inbetweening,
        {"steps": 3, "batch_size": 4, "width": 16, "layers": 1}, {},
    ),
}  # fmt: skip
"""The methods beside the prior, by the name that a plan's `method` has."""
NAMES = (PRIOR, *METHODS)
MOTION = ("lifting", "contact", "inbetweening")  # learned from motion made by rule


def suited(dataset: str, source: str) -> tuple[str, ...]:
    """The methods that can learn from a data set, by its name and whether it has a source of its own."""
    if dataset == "motion_synthetic":
        return MOTION
    if dataset.startswith("bodies3d-"):
        return ("mesh",)
    return (PRIOR, "lifting", "mesh") if source else (PRIOR,)
