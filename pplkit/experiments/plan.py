"""The plan of a batch: a short YAML file, checked as a whole before anything runs."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.project import SCALES, data_folder, home, run_folder
from pplkit.core.words import choice
from pplkit.core.yaml_file import At, like, read_yaml
from pplkit.data.npy_shards import file_hash
from pplkit.experiments.methods import METHODS, NAMES, PRIOR, suited
from pplkit.experiments.notebooks import NOTEBOOKS, declared_parameters, notebook_file
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import VARIANTS

KEYS = (
    "datasets", "method", "variants", "seeds", "notebooks", "parameters", "preset", "steps", "scale", "device", "jobs",
    "threads", "slurm",
)  # fmt: skip
SOURCE = ("source", "size", "options", "preset", "method")
FOR_IMAGES = ("size", "options", "preset")  # keys of a data set that say how images are prepared and looked at
STAGES = {"train": "training.json", "score": "evaluation.json"}
"""What a run of a method without notebooks does, and the file that each leaves in its folder."""
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
    """A data set of the plan: `source`, `size` and `options` of its preparation, and the preset of its runs.

    `methods` learn from it. The prior alone has the preset of the data set; those of others are the variants'. Files
    of other methods have a hash, as their trainings do not know them.
    """

    preset: str
    source: str = ""
    size: int | None = None
    options: Mapping[str, Any] | None = None
    methods: tuple[str, ...] = (PRIOR,)
    sha256: str = ""


@dataclass(frozen=True)
class Variant:
    """Settings of a method that differ from the preset."""

    method: str
    changes: Mapping[str, Any]
    preset: str = ""  # of methods other than the prior


@dataclass(frozen=True)
class Combination:
    """One run of a batch; `config` has the image size of the preset until the data set is there."""

    dataset: str
    variant: str
    seed: int
    config: Any  # settings of the method
    parameters: Mapping[str, Mapping[str, Any]]  # of every notebook, or of every stage, in order
    method: str = PRIOR
    source: str = ""  # of the data set

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
    asked = _methods(at.to("method"), plan.get("method", PRIOR))
    datasets = _datasets(at.to("datasets"), plan, preset_for, scale)
    methods = tuple(name for name in NAMES if any(name in source.methods for source in datasets.values()))
    if "method" in plan and (idle := [name for name in asked if name not in methods]):
        raise at.to("method").refuse(f"no data set is for {idle[0]!r}: add one, or leave the method out.")
    plain = ["ppl" if name == PRIOR else name for name in methods]
    variants = _variants(at.to("variants"), plan, plan.get("variants", plain), settings or {}, methods)
    seeds = [at.to("seeds").whole(seed, 0) for seed in at.to("seeds").items(plan["seeds"])]
    device = at.to("device").choice(plan.get("device", "auto"), DEVICES)
    notebooks = _notebooks(at.to("notebooks"), plan.get("notebooks", list(NOTEBOOKS[1:])))
    values = _parameters(at.to("parameters"), plan.get("parameters", {}), notebooks)
    steps = at.to("steps").whole(plan["steps"], 1) if "steps" in plan else 0  # 0: those of the preset
    values |= {"device": device, "scale": scale, "steps": steps}
    combinations = [
        _combination(at, notebooks, {**values, "dataset": dataset, "seed": seed}, source, name, variant)
        for dataset, source in datasets.items()
        for name, variant in variants.items()
        if variant.method in source.methods
        for seed in seeds
    ]
    for method in methods:
        if method not in {variant.method for variant in variants.values()}:
            raise at.to("variants").refuse(f"none is of method {method!r}: add one, such as {method}: {{}}.")
    at.to("datasets").distinct([each.run for each in combinations], "two runs would both be called")
    return Plan(
        file, datasets, {name: variant.changes for name, variant in variants.items()}, combinations, scale, device,
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
        methods = _methods_of(here, name, entry, _methods(at, plan.get("method", PRIOR)))
        preset = entry.get("preset", plan.get("preset"))
        try:
            data_folder(name, scale)  # raises for a name that cannot be a folder's
            if PRIOR in methods:
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
        preset, hashed = (str(preset), "") if PRIOR in methods else ("", source and folder_hash(Path(source)))
        sources[name] = Source(preset, source, size, options, methods, hashed)
    at.distinct(list(sources), "two data sets are called")
    return sources


def folder_hash(source: Path) -> str:
    """The sha256 of a file, or of the names and contents of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file():
            digest.update(f"{path.relative_to(source).as_posix()} {file_hash(path)}\n".encode())
    return digest.hexdigest()


def _methods(at: At, value: Any) -> tuple[str, ...]:
    """The methods that a plan or a data set names, one or a list."""
    return tuple(at.choice(name, NAMES) for name in (at.items(value) if isinstance(value, list) else [value]))


def _methods_of(at: At, name: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those that learn from a data set: its own, or those of the plan that can. Raises PplkitError without any."""
    asked = _methods(at.to("method"), entry["method"]) if "method" in entry else known
    able = suited(name, str(entry.get("source", "")))
    methods = tuple(method for method in asked if method in able)
    if not methods:
        raise at.refuse(f"method {asked[0]!r} cannot learn from it as it is: name its folder as source, or another.")
    if "method" in entry and methods != asked:
        wrong = next(method for method in asked if method not in methods)
        raise at.to("method").refuse(f"{wrong!r} cannot learn from it: choose from {', '.join(able)}.")
    if "source" in entry and len(methods) > 1:
        raise at.refuse(f"say by method which one it is for, as files teach one alone: {', '.join(methods)}.")
    if PRIOR not in methods and (wrong := next((key for key in FOR_IMAGES if key in entry), "")):
        raise at.to(wrong).refuse(f"it is for images alone, not for {methods[0]}: leave it out.")
    return methods


def _variants(
    at: At, plan: Mapping[str, Any], values: Any, added: Mapping[str, Any], methods: tuple[str, ...]
) -> dict[str, Variant]:
    """The variants by name; `methods` are those that data sets have."""
    variants: dict[str, Variant] = {}
    for name, entry in at.named(values).items():
        here = at.to(name)
        if not NAME.fullmatch(name):
            raise here.refuse("name it by letters, digits, - _ and . only, as folders are named after it.")
        own = here.mapping(entry)
        method = _method_of(here, name, own, methods)
        if method == PRIOR:
            variants[name] = Variant(PRIOR, _prior_changes(here, name, own, added))
            continue
        about = METHODS[method]
        base = here.to("like").choice(own.pop("like"), tuple(about.variants)) if "like" in own else ""
        preset = own.pop("preset", (plan.get("preset") if len(methods) == 1 else None) or about.preset)
        for setting in {"seed", "name"} & {*own, *added}:
            raise here.refuse(f"a variant cannot set {setting!r}: say it under seeds, or as preset.")
        variants[name] = Variant(method, {**about.variants.get(base, {}), **own, **added}, here.text(preset))
    at.distinct(list(variants), "two variants are called")
    return variants


def _method_of(at: At, name: str, entry: dict[str, Any], methods: tuple[str, ...]) -> str:
    """The method of a variant, taken out of its entry: the one it names, that of its name, or the only one there is."""
    if "method" in entry:
        return at.to("method").choice(entry.pop("method"), methods)
    if name in methods:
        return name
    if len(methods) == 1:
        return methods[0]
    if name in VARIANTS or entry.get("like") in VARIANTS:
        return PRIOR
    raise at.refuse(f"say by method which one it is a variant of: {', '.join(methods)}.")


def _prior_changes(here: At, name: str, own: dict[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a variant of the prior that differ from the preset."""
    if own and name in VARIANTS:
        raise here.refuse("pplkit defines a variant of this name: give the one with these settings another.")
    base = here.to("like").text(own.pop("like")) if "like" in own else "ppl" if own else name
    base = "ppl" if base == PRIOR else base
    if base not in VARIANTS:
        raise here.refuse(f"variant {base!r} is unknown: give it settings, or {choice(base, VARIANTS)}.")
    for setting in {"seed", "image_size", "name"} & {*own, *added}:
        raise here.refuse(f"a variant cannot set {setting!r}: say it under seeds, or as size of a data set.")
    if "predefined" in own:
        own["predefined"] = str(here.to("predefined").path(own["predefined"]))
    return {**VARIANTS[base].changes, **own, **added}


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
    source: Source,
    name: str,
    variant: Variant,
) -> Combination:
    """One run of a data set: `values` by parameter, and the settings that its variant changes."""
    run = f"{values['dataset']}-{name}-{values['seed']}"
    values = {**values, "run": run, "preset": source.preset or variant.preset}
    try:
        if variant.method == PRIOR:
            return _prior(notebooks, values, name, variant)
        about, smoke = METHODS[variant.method], values["scale"] == "smoke"
        config = about.settings(variant.preset)
        config = config.replace(**about.smoke) if smoke else config
        changes = {key: like(value, getattr(config, key, None)) for key, value in variant.changes.items()}
        steps = {"steps": values["steps"]} if values["steps"] else {}
        config = config.replace(**{**steps, **changes, "seed": values["seed"]})
    except PplkitError as error:
        raise at.to("variants").to(name).refuse(f"{error} (data set {values['dataset']})") from None
    names = ("dataset", "preset", "steps", "seed", "scale", "device", "run")
    parameters = {key: values[key] for key in names} | {"method": variant.method, "changes": changes}
    parameters |= {"data_sha256": source.sha256} if source.sha256 else {}  # wherever the files lie
    stages = dict.fromkeys(STAGES, parameters)
    return Combination(values["dataset"], name, values["seed"], config, stages, variant.method, source.source)


def _prior(
    notebooks: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], name: str, variant: Variant
) -> Combination:
    """One run of the prior, through notebooks."""
    run, smoke, settings = values["run"], values["scale"] == "smoke", Config.new_names(variant.changes)
    if "predefined" in settings.values() and "predefined" not in settings:
        settings["predefined"] = str(run_folder(run, values["scale"]).resolve() / PREDEFINED)
    config = Config.preset(values["preset"]).smoke() if smoke else Config.preset(values["preset"])
    settings = {name: like(value, getattr(config, name, None)) for name, value in settings.items()}
    config = config.replace(**{"steps": values["steps"] or config.steps, **settings, "seed": values["seed"]})
    values = {**values, "steps": settings.pop("steps", values["steps"]), "settings": settings}
    parameters = {
        name: {parameter: values[parameter] for parameter in declared if parameter in values}
        for name, declared in notebooks.items()
    }
    return Combination(values["dataset"], name, values["seed"], config, parameters)
