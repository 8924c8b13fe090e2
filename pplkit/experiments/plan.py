"""The plan of a batch: a short YAML file, read with the safe loader and checked as a whole before anything runs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.project import SCALES, data_folder, home, run_folder
from pplkit.core.yaml_file import At, like, read_yaml
from pplkit.experiments.notebooks import NOTEBOOKS, declared, find
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import VARIANTS

KEYS = (
    "datasets", "variants", "seeds", "notebooks", "parameters", "preset", "steps", "scale", "device", "jobs",
    "threads", "slurm",
)  # fmt: skip
SOURCE = ("source", "size", "options", "preset")
SLURM = ("partition", "gpus", "minutes", "memory", "account", "qos", "constraint", "additional")
DEVICES = ("auto", "cpu", "cuda", "mps")
SET = {"dataset": "datasets", "source": "datasets", "size": "datasets", "options": "datasets", "seed": "seeds"}
SET |= {"run": "datasets, variants and seeds", "settings": "variants"}
SET |= {name: name for name in ("preset", "steps", "scale", "device")}
"""Parameters of notebooks that a batch fills in, and the key of the plan that says with what."""
TRAINING = ("run", "seed", "settings")  # what a notebook must declare that takes a data set
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PREDEFINED = "predefined.json"


@dataclass(frozen=True)
class Source:
    """A data set of the plan: `source`, `size` and `options` of its preparation, and the preset of its runs."""

    preset: str
    source: str = ""
    size: int | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Combination:
    """One run of a batch; `config` has the image size of the preset until the data set is there."""

    dataset: str
    variant: str
    seed: int
    config: Config
    parameters: Mapping[str, Mapping[str, Any]]  # of every notebook, in order

    @property
    def run(self) -> str:
        """Name of the run folder, without the ending of the scale."""
        return f"{self.dataset}-{self.variant}-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A plan that passed every check which needs no data."""

    file: Path
    datasets: Mapping[str, Source]
    variants: Mapping[str, Mapping[str, Any]]  # settings of each that differ from the preset
    combinations: Sequence[Combination]
    scale: str = "default"
    device: str = "auto"
    jobs: int | None = None  # at a time; None: as many as there are GPUs, or cores for them
    threads: int = 1
    slurm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """<home>/runs/batches/<name of the plan's file>, at scale "smoke" with that ending."""
        name = run_folder(self.file.stem, self.scale).name
        return home() / "runs" / "batches" / name


def read_plan(file: Path, preset_for: Callable[[str], str]) -> Plan:
    """The plan in a YAML file; `preset_for` names the preset of a data set for which the plan has none.

    Raises PplkitError, naming the file and the place in it, for whatever could not be run: unknown keys, settings,
    notebooks, parameters of notebooks, variants and presets, names that come twice, and values of a wrong type.
    """
    at = At(file)
    plan = at.mapping(read_yaml(file), KEYS)
    for key in ("datasets", "seeds"):
        if key not in plan:
            raise at.refuse(f"the key {key!r} is missing: add it, as in the example of docs/batches.md.")
    scale = at.to("scale").choice(plan.get("scale", "default"), SCALES)
    datasets = _datasets(at.to("datasets"), plan, preset_for, scale)
    variants = _variants(at.to("variants"), plan.get("variants", ["ppl"]))
    seeds = [at.to("seeds").whole(seed, 0) for seed in at.to("seeds").items(plan["seeds"])]
    device = at.to("device").choice(plan.get("device", "auto"), DEVICES)
    steps = at.to("steps").whole(plan["steps"], 1) if "steps" in plan else 0
    known = _notebooks(at.to("notebooks"), plan.get("notebooks", list(NOTEBOOKS[1:])))
    given = _parameters(at.to("parameters"), plan.get("parameters", {}), known)
    combinations = [
        _combination(at, (dataset, source), (variant, settings), seed, steps, known, {**given, "device": device}, scale)
        for dataset, source in datasets.items()
        for variant, settings in variants.items()
        for seed in seeds
    ]
    at.to("datasets").distinct([one.run for one in combinations], "two runs would both be called")
    return Plan(
        file, datasets, variants, combinations, scale, device,
        jobs=at.to("jobs").whole(plan["jobs"], 1) if "jobs" in plan else None,
        threads=at.to("threads").whole(plan.get("threads", 1), 1),
        slurm=slurm_options(at.to("slurm"), plan.get("slurm", {})),
    )  # fmt: skip


def slurm_options(at: At, given: Any) -> dict[str, Any]:
    """Options for SLURM, checked; raises PplkitError naming the place for an unknown one or a wrong type."""
    options = at.mapping(given, SLURM)
    for name in ("gpus", "minutes"):
        if name in options:
            at.to(name).whole(options[name], 1)
    if "memory" in options and not (type(options["memory"]) in (int, float) and options["memory"] > 0):
        raise at.to("memory").refuse(f"{options['memory']!r} must be a number of GB, such as 16.")
    for name in ("partition", "account", "qos", "constraint"):
        if name in options:
            at.to(name).text(options[name])
    if "additional" in options:
        at.to("additional").mapping(options["additional"])
    return dict(options)


def _datasets(at: At, plan: Mapping[str, Any], preset_for: Callable[[str], str], scale: str) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for name, given in at.named(plan["datasets"]).items():
        here = at.to(name)
        entry = here.mapping(given, SOURCE)
        chosen = entry.get("preset", plan.get("preset"))
        named = None if chosen is None else here.to("preset").text(chosen)
        try:
            data_folder(name, scale)
            preset = named or preset_for(name)
            Config.preset(preset)
        except PplkitError as error:
            raise here.refuse(error) from None
        size = here.to("size").whole(entry["size"], 1) if "size" in entry else None
        source = here.to("source").text(entry["source"]) if "source" in entry else ""
        options = here.to("options").mapping(entry["options"]) if "options" in entry else None
        if options and "labels" in options:
            options["labels"] = str(here.to("options.labels").path(options["labels"]))
        if not name.startswith("puppets") and source:  # theirs is a category
            source = str(here.path(source))
            if not Path(source).exists():
                raise here.to("source").refuse(f"{source} does not exist: correct the path, which starts at the plan.")
        found[name] = Source(preset, source, size, options)
    at.distinct(list(found), "two data sets are called")
    return found


def _variants(at: At, given: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, entry in at.named(given).items():
        here = at.to(name)
        if not NAME.fullmatch(name):
            raise here.refuse("name it by letters, digits, - _ and . only, as folders are named after it.")
        own = here.mapping(entry)
        if own and name in VARIANTS:
            raise here.refuse("pplkit defines a variant of this name: give the one with these settings another.")
        base = here.to("like").text(own.pop("like")) if "like" in own else "ppl" if own else name
        if base not in VARIANTS:
            raise here.refuse(f"variant {base!r} is unknown: give it settings, or choose one of {', '.join(VARIANTS)}.")
        for setting in {"seed", "image_size", "name"} & set(own):
            raise here.refuse(f"{setting!r} is no setting of a variant: say it under seeds, or as size of a data set.")
        if "predefined" in own:
            own["predefined"] = str(here.to("predefined").path(own["predefined"]))
        found[name] = {**VARIANTS[base].changes, **own}
    at.distinct(list(found), "two variants are called")
    return found


def _notebooks(at: At, given: Any) -> dict[str, dict[str, Any]]:
    """The notebooks by name, with the parameters that each declares and their defaults."""
    names = [at.text(name) for name in at.items(given)]
    for name in names:
        if Path(name).name != name or name.endswith(".ipynb"):
            raise at.refuse(f"{name!r} is no name of a notebook: leave its folder and its ending out.")
    try:
        known = {name: declared(find(name, home().resolve())) for name in names}
    except PplkitError as error:
        raise at.refuse(error) from None
    for name, parameters in known.items():
        for needed in TRAINING if "dataset" in parameters else TRAINING[:1]:
            if needed not in parameters:
                raise at.refuse(f"{name} has no parameter {needed!r}, which a batch has to set: leave it out.")
    return known


def _parameters(at: At, given: Any, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Parameters of notebooks that the plan sets, each of the type of its default."""
    found = at.mapping(given)
    defaults = {name: value for parameters in known.values() for name, value in parameters.items()}
    for name, value in found.items():
        if name in SET:
            raise at.to(name).refuse(f"a batch sets it: say it by the plan's {SET[name]}.")
        if name not in defaults:
            choice = ", ".join(sorted(set(defaults) - set(SET)))
            raise at.to(name).refuse(f"none of the notebooks has this parameter: choose from {choice}.")
        found[name] = like(value, defaults[name])
        default = defaults[name]
        fits = type(found[name]) is type(default) or (isinstance(default, float) and type(value) is int)
        if default is not None and not fits:
            raise at.to(name).refuse(f"{value!r} must be of type {type(default).__name__}, as {default!r} is.")
    return found


def _combination(
    at: At,
    dataset: tuple[str, Source],
    variant: tuple[str, Mapping[str, Any]],
    seed: int,
    steps: int,
    known: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    scale: str,
) -> Combination:
    name, (preset, settings) = (
        f"{dataset[0]}-{variant[0]}-{seed}",
        (Config.preset(dataset[1].preset), Config.new_names(variant[1])),
    )
    if "predefined" in settings.values() and "predefined" not in settings:
        settings["predefined"] = str(run_folder(name, scale).resolve() / PREDEFINED)
    config = preset.smoke() if scale == "smoke" else preset
    settings = {key: like(value, getattr(config, key, None)) for key, value in settings.items()}
    try:
        config = config.replace(**{"steps": steps or config.steps, **settings, "seed": seed})
    except PplkitError as error:
        raise at.to("variants").to(variant[0]).refuse(f"{error} (data set {dataset[0]})") from None
    said = {"dataset": dataset[0], "preset": dataset[1].preset, "steps": settings.pop("steps", steps), "seed": seed}
    values = {**said, "settings": settings, "run": name, "scale": scale, **given}
    parameters = {title: {key: values[key] for key in names if key in values} for title, names in known.items()}
    return Combination(dataset[0], variant[0], seed, config, parameters)
