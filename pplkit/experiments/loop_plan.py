"""The plan of a motion loop: a short YAML file, checked as a whole before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.core.words import choice
from pplkit.core.yaml_file import At, like, read_yaml
from pplkit.inference.imitation.methods import METHODS
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.motion.estimator_config import EstimatorConfig
from pplkit.models.motion.imitation_config import ImitationConfig
from pplkit.models.motion.inbetweening_config import InBetweeningConfig

KEYS = ("rounds", "seeds", "arms", "clips", "start", "estimator", "imitation", "hallucination", "test")
ARMS = {
    "loop": "imitated and hallucinated motion",
    "imitated": "imitated motion",
    "sight": "estimates on the lines of sight of their keypoints",
    "raw": "estimates as they are",
    "true": "true motion, which no loop has",
}
"""What the estimator may be retrained on, so that ways compare; "loop" is the method."""
RULES = "rules"  # as a source of clips: motion made by rule
KINDS = ("lifting", "published")
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ClipSettings(Settings):
    """The 2D sequences of the loop."""

    source: str = RULES  # "rules", or a folder of 2D sequences (.npz)
    count: int = 40  # clips that are made by rule
    seconds: float = 3.0  # of each
    fps: float = 30.0  # of the loop; clips with another rate are resampled
    noise: float = 0.004  # deviation of the detector's errors, screen units
    rules: tuple[str, ...] = ("planted", "gait", "jump")  # kinds of motion


@dataclass(frozen=True)
class ImitationSettings(Settings):
    """What makes estimates plausible, and what is dropped."""

    method: str = "fit"  # of `pplkit.imitate`
    gravity: str = "auto"  # as for `pplkit.imitate`
    contact: str = "network"  # as for `pplkit.imitate`
    sight: bool = True  # whether joints are first put on the lines of sight of their keypoints, near which "fit" stays
    distance: float = 0.2  # meters from estimated to imitated joints, on average, beyond which clips are dropped
    bones: float = 2.0  # factor by which a bone may be longer or shorter than the estimate's; clips beyond are dropped
    falls: int = 0  # of the simulated body, that a clip may have and stay
    check_force: float = 0.0  # newtons with which a simulated body has to follow without more falls; 0: not checked


@dataclass(frozen=True)
class HallucinationSettings(Settings):
    """New motion from imitated motion."""

    count: int = 40  # clips
    seconds: float = 3.0  # of each
    method: str = "filters"  # of `pplkit.imitate`, through which new motion goes before it is learned from


@dataclass(frozen=True)
class TestSettings(Settings):
    """Motion that is never seen: other poses, directions, bodies and cameras."""

    __test__ = False  # no test of pytest's
    count: int = 60  # clips
    seconds: float = 3.0  # of each


@dataclass(frozen=True, eq=False)
class LoopPlan:
    """A plan that passed every check which needs no data."""

    file: Path
    rounds: int
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    clips: ClipSettings
    estimator: LiftingConfig | EstimatorConfig
    start_steps: int  # of round 0, on random walks
    imitation: ImitationSettings
    method_settings: Mapping[str, Any]  # of the method of imitation
    hallucination: HallucinationSettings
    network: InBetweeningConfig
    test: TestSettings


def read_loop_plan(file: Path) -> LoopPlan:
    """The plan in a YAML file; docs/motion.md has an example.

    Raises PplkitError, naming the file and the place in it, for unknown keys and settings and values of a wrong type.
    """
    at = At(file)
    plan = at.mapping(read_yaml(file), KEYS)
    clips = _section(at.to("clips"), ClipSettings(), plan.get("clips"))
    imitation, method_settings = _split(at.to("imitation"), ImitationSettings(), plan.get("imitation"))
    if imitation.method == "policy":
        here = at.to("imitation").to("config")
        method_settings["config"] = _section(here, ImitationConfig(), method_settings.get("config"))
    hallucination, network = _split(at.to("hallucination"), HallucinationSettings(), plan.get("hallucination"))
    arms = ["true" if arm is True else arm for arm in at.to("arms").items(plan.get("arms", ["loop"]))]  # YAML's true
    for arm in arms:
        at.to("arms").choice(arm, tuple(ARMS))
    seeds = [at.to("seeds").whole(seed, 0) for seed in at.to("seeds").items(plan.get("seeds", [0]))]
    start = at.to("start").mapping(plan.get("start"), ("steps",))
    for place, method in (("imitation", imitation.method), ("hallucination", hallucination.method)):
        at.to(place).to("method").choice(method, tuple(METHODS))
    if clips.source != RULES:
        folder = at.to("clips").path(clips.source)
        if not folder.is_dir():
            raise at.to("clips").refuse(f"{folder} is no folder: name one of 2D sequences (.npz), or {RULES}.")
        clips = clips.replace(source=str(folder))
    estimator = _estimator(at.to("estimator"), at.to("estimator").mapping(plan.get("estimator")), clips.fps)
    return LoopPlan(
        file, at.to("rounds").whole(plan.get("rounds", 2), 0), tuple(seeds), tuple(arms), clips, estimator,
        at.to("start").to("steps").whole(start.get("steps", estimator.steps), 1), imitation, method_settings,
        hallucination, _section(at.to("hallucination"), InBetweeningConfig(fps=clips.fps), network),
        _section(at.to("test"), TestSettings(), plan.get("test")),
    )  # fmt: skip


def _section(at: At, defaults: S, values: Any) -> S:
    """`defaults` with the values of a section of the plan."""
    values = {name: like(value, getattr(defaults, name, None)) for name, value in at.mapping(values).items()}
    try:
        settings = defaults.replace(**values)
    except PplkitError as error:
        raise at.refuse(error) from None
    for name, value in settings.to_dict().items():
        if name in ("count", "seconds", "fps") and not 0 < value < 1e6:
            raise at.to(name).refuse(f"{value!r} must be positive.")
    return settings


def _split(at: At, defaults: S, values: Any) -> tuple[S, dict[str, Any]]:
    """A section's own settings, and those of what it starts."""
    values = at.mapping(values)
    own = {name: value for name, value in values.items() if name in defaults.to_dict()}
    return _section(at, defaults, own), {name: value for name, value in values.items() if name not in own}


def _estimator(at: At, values: dict[str, Any], fps: float) -> LiftingConfig | EstimatorConfig:
    """Settings of the estimator: `kind` lifting (with a `preset`) or published, and those that differ."""
    kind = at.to("kind").choice(values.pop("kind", "lifting"), KINDS)
    if kind == "published":
        return _section(at, EstimatorConfig(fps=fps), values)
    try:
        preset = LiftingConfig.preset(at.text(values.pop("preset", "lift-small")))
    except PplkitError as error:
        raise at.to("preset").refuse(error) from None
    if preset.network == "poseformer" or preset.labels == "2d":
        advice = choice(preset.name, ("lift", "lift-small", "frame-mlp"))
        raise at.to("preset").refuse(f"{preset.name} is not for a loop: {advice}.")
    return _section(at, preset.replace(fps=fps), values)
