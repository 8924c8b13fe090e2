"""The plan of a batch: a short YAML file, checked as a whole before anything runs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.project import SCALES, data_folder, home, run_folder
from pplkit.core.words import choice
from pplkit.core.yaml_file import At, like, read_yaml
from pplkit.experiments.notebooks import NOTEBOOKS, declared_parameters, notebook_file
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import VARIANTS

KEYS = (
    "datasets", "variants", "seeds", "notebooks", "parameters", "preset", "steps", "scale", "device", "jobs",
    "threads", "slurm",
)  # fmt: skip
SOURCE = ("source", "size", "options", "preset")
SLURM = ("partition", "gpus", "minutes", "memory", "account", "qos", "constraint", "additional")
DEVICES = ("auto", "cpu", "cuda", "mps")
FILLED = {
    "dataset": "datasets", "source": "datasets", "size": "datasets", "options": "datasets", "seed": "seeds",
    "run": "datasets, variants and seeds", "settings": "variants", "preset": "preset", "steps": "steps",
    "scale": "scale", "device": "device",
}  # fmt: skip
"""Parameters of notebooks that a batch fills in, and the key of the plan that each comes from."""
TRAINING = ("run", "seed", "settings")  # what a notebook that takes a data set must declare
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


def read_plan(file: Path, preset_for: Callable[[str], str], settings: Mapping[str, Any] | None = None) -> Plan:
    """The plan in a YAML file; `preset_for` names the preset of a data set for which the plan has none.

    `settings` go on top of those of every variant.

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
    variants = _variants(at.to("variants"), plan.get("variants", ["ppl"]), settings or {})
    seeds = [at.to("seeds").whole(seed, 0) for seed in at.to("seeds").items(plan["seeds"])]
    device = at.to("device").choice(plan.get("device", "auto"), DEVICES)
    notebooks = _notebooks(at.to("notebooks"), plan.get("notebooks", list(NOTEBOOKS[1:])))
    values = _parameters(at.to("parameters"), plan.get("parameters", {}), notebooks)
    steps = at.to("steps").whole(plan["steps"], 1) if "steps" in plan else 0  # 0: those of the preset
    values |= {"device": device, "scale": scale, "steps": steps}
    combinations = [
        _combination(at, notebooks, {**values, "dataset": dataset, "preset": source.preset, "seed": seed}, *variant)
        for dataset, source in datasets.items()
        for variant in variants.items()
        for seed in seeds
    ]
    at.to("datasets").distinct([each.run for each in combinations], "two runs would both be called")
    return Plan(
        file, datasets, variants, combinations, scale, device,
        jobs=at.to("jobs").whole(plan["jobs"], 1) if "jobs" in plan else None,
        threads=at.to("threads").whole(plan.get("threads", 1), 1),
        slurm=slurm_options(at.to("slurm"), plan.get("slurm", {})),
    )  # fmt: skip


def slurm_options(at: At, values: Any) -> dict[str, Any]:
    """Options for SLURM, checked; raises PplkitError naming the place for an unknown one or a wrong type."""
    options = at.mapping(values, SLURM)
    for name, value in options.items():
        if name in ("gpus", "minutes"):
            at.to(name).whole(value, 1)
        elif name == "additional":
            at.to(name).mapping(value)
        elif name != "memory":
            at.to(name).text(value)
        elif type(value) not in (int, float) or value <= 0:
            raise at.to(name).refuse(f"{value!r} must be a number of GB, such as 16.")
    return options


def _datasets(at: At, plan: Mapping[str, Any], preset_for: Callable[[str], str], scale: str) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for name, value in at.named(plan["datasets"]).items():
        here = at.to(name)
        entry = here.mapping(value, SOURCE)
        preset = entry.get("preset", plan.get("preset"))
        try:
            data_folder(name, scale)  # raises for a name that cannot be a folder's
            preset = preset_for(name) if preset is None else here.to("preset").text(preset)
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
        sources[name] = Source(preset, source, size, options)
    at.distinct(list(sources), "two data sets are called")
    return sources


def _variants(at: At, values: Any, added: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each variant that differ from the preset."""
    variants: dict[str, dict[str, Any]] = {}
    for name, entry in at.named(values).items():
        here = at.to(name)
        if not NAME.fullmatch(name):
            raise here.refuse("name it by letters, digits, - _ and . only, as folders are named after it.")
        own = here.mapping(entry)
        if own and name in VARIANTS:
            raise here.refuse("pplkit defines a variant of this name: give the one with these settings another.")
        base = here.to("like").text(own.pop("like")) if "like" in own else "ppl" if own else name
        if base not in VARIANTS:
            raise here.refuse(f"variant {base!r} is unknown: give it settings, or {choice(base, VARIANTS)}.")
        for setting in {"seed", "image_size", "name"} & {*own, *added}:
            raise here.refuse(f"a variant cannot set {setting!r}: say it under seeds, or as size of a data set.")
        if "predefined" in own:
            own["predefined"] = str(here.to("predefined").path(own["predefined"]))
        variants[name] = {**VARIANTS[base].changes, **own, **added}
    at.distinct(list(variants), "two variants are called")
    return variants


def _notebooks(at: At, values: Any) -> dict[str, dict[str, Any]]:
    """The notebooks by name, with the parameters that each declares and their defaults."""
    notebooks: dict[str, dict[str, Any]] = {}
    for name in map(at.text, at.items(values)):
        if Path(name).name != name or name.endswith(".ipynb"):
            raise at.refuse(f"{name!r} is not the name of a notebook: leave out its folder and its ending.")
        try:
            notebooks[name] = declared_parameters(notebook_file(name, home().resolve()))
        except PplkitError as error:
            raise at.refuse(error) from None
        for parameter in TRAINING if "dataset" in notebooks[name] else TRAINING[:1]:
            if parameter not in notebooks[name]:
                raise at.refuse(f"{name} has no parameter {parameter!r}, which a batch has to set: leave it out.")
    return notebooks


def _parameters(at: At, values: Any, notebooks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Parameters of notebooks that the plan sets, each of the type of its default."""
    parameters = at.mapping(values)
    defaults = {name: value for declared in notebooks.values() for name, value in declared.items()}
    for name, value in parameters.items():
        if name in FILLED:
            raise at.to(name).refuse(f"a batch sets it: say it by the plan's {FILLED[name]}.")
        if name not in defaults:
            known = sorted(set(defaults) - set(FILLED))
            raise at.to(name).refuse(f"none of the notebooks has this parameter: {choice(name, known)}.")
        default, parameters[name] = defaults[name], like(value, defaults[name])
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if default is not None and type(parameters[name]) not in kinds:
            raise at.to(name).refuse(f"{value!r} must be of type {type(default).__name__}, as {default!r} is.")
    return parameters


def _combination(
    at: At,
    notebooks: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any],
    variant: str,
    changes: Mapping[str, Any],
) -> Combination:
    """One run: `values` by parameter, and the settings that its variant changes."""
    run, smoke = f"{values['dataset']}-{variant}-{values['seed']}", values["scale"] == "smoke"
    settings = Config.new_names(changes)
    if "predefined" in settings.values() and "predefined" not in settings:
        settings["predefined"] = str(run_folder(run, values["scale"]).resolve() / PREDEFINED)
    config = Config.preset(values["preset"]).smoke() if smoke else Config.preset(values["preset"])
    settings = {name: like(value, getattr(config, name, None)) for name, value in settings.items()}
    try:
        config = config.replace(**{"steps": values["steps"] or config.steps, **settings, "seed": values["seed"]})
    except PplkitError as error:
        raise at.to("variants").to(variant).refuse(f"{error} (data set {values['dataset']})") from None
    values = {**values, "steps": settings.pop("steps", values["steps"]), "settings": settings, "run": run}
    parameters = {
        name: {parameter: values[parameter] for parameter in declared if parameter in values}
        for name, declared in notebooks.items()
    }
    return Combination(values["dataset"], variant, values["seed"], config, parameters)
