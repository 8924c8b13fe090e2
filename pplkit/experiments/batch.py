"""Run a plan: data sets x methods x variants x seeds, each combination in its run folder, and only what is missing."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, write_json
from pplkit.core.locks import locked
from pplkit.core.project import home, run_folder, same_prior
from pplkit.core.settings import Settings
from pplkit.core.words import quantity
from pplkit.core.yaml_file import At
from pplkit.data.dataset import Dataset
from pplkit.experiments.executors import execute
from pplkit.experiments.methods import FROM_DATA, METHODS, PRIOR, Material
from pplkit.experiments.notebooks import check_data, run_notebooks
from pplkit.experiments.plan import PREDEFINED, STAGES, Combination, Plan, Source
from pplkit.experiments.report import Outcome, write_report
from pplkit.experiments.run_card import write_card
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import labelled_prior
from pplkit.training.run_folder import RunFolder

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

MARKER = "batch.json"  # in a run folder: the notebooks that finished there, each with its parameters and seconds
PLAN = "plan.json"  # in the folder of a plan: the relative path of the plan's file
MACHINE = ("device", "devices")  # parameters that say where a notebook runs, not what it computes

Prepare = Callable[[str, Source, str], Callable[[], Dataset]]
"""(name of a data set, its entry in the plan, scale) -> a function that prepares and opens it."""
Supply = Callable[[str, str, str, Settings], Material]
"""(method, name of a data set, its source, settings) -> what a method other than the prior learns from; picklable."""


def run_batch(plan: Plan, prepare: Prepare, cluster: str = "local", supply: Supply | None = None) -> Path:
    """Run what is missing of `plan`, write summary.csv and index.html, and return their folder, `plan.folder`.

    Each data set is first prepared, or opened, once; `supply` is for methods other than the prior. A run is finished
    when its batch.json holds every notebook of the plan, or training and scoring, with the same parameters, and the
    executed copy or the result exists. A run that fails or is killed is a row with the reason,
    and the others go on. `cluster`: see `executors.execute`. Ctrl-C ends the processes; the report is still written.
    Raises PplkitError before anything runs for a folder of another plan, a run folder of other settings or data, data
    that cannot be trained on, and while another process runs the plan; and at the end if runs failed.
    """
    works = {}
    for name, source in plan.datasets.items():
        if PRIOR in source.methods:
            with _named(plan, f"datasets.{name}"):
                works[name] = prepare(name, source, plan.scale)
    with locked(plan.folder, f"{plan.file}: another process runs this plan"):
        check_folder(plan)
        data = {}
        for name, work in works.items():
            with _named(plan, f"datasets.{name}"):
                data[name] = work()
        known: set[tuple[str, str]] = set()
        for combination in plan.combinations:
            with _named(plan, f"run {combination.run}"):
                _check(combination, data.get(combination.dataset), plan.scale)
                what = combination.method, combination.dataset
                if combination.method != PRIOR and what not in known:
                    known.add(what)
                    _material(combination, supply)  # raises for data that cannot be read
        if _owner(plan) is None:  # a copy of the plan does not take over the folder
            file = plan.file.parent.resolve() / plan.file.name  # not resolved: the name counts, not a link's target
            write_json(plan.folder / PLAN, {"plan": os.path.relpath(file, plan.folder.resolve())})
        for combination in plan.combinations:
            if combination.method == PRIOR:
                with _named(plan, f"run {combination.run}"):
                    predefine(combination, data[combination.dataset], plan.scale)
        failures = _run_missing(plan, cluster, supply)
    if failures:
        raise PplkitError(
            f"{len(failures)} of {quantity(len(plan.combinations), 'run')} failed: correct what "
            f"{plan.folder / 'summary.csv'} says of them, and call again for what is missing."
        )
    return plan.folder


def check_folder(plan: Plan) -> None:
    """Raise PplkitError if the plan's folder belongs to another plan, whose file has the same name.

    That is so if the file named by plan.json exists, is not this file, and differs from it: editing a plan, and moving
    or copying it with or without its project, is allowed.
    """
    owner = _owner(plan)
    if owner and not owner.samefile(plan.file) and owner.read_bytes() != plan.file.read_bytes():
        raise PplkitError(
            f"{plan.file}: {plan.folder} holds the report of another plan, {owner}: rename this file, after which the "
            "folder is called."
        )


def _owner(plan: Plan) -> Path | None:
    """The plan that the folder was made for; None if it is gone or, as with early versions, not recorded."""
    if not (plan.folder / PLAN).exists():
        return None
    owner = plan.folder.resolve() / str(read_json(plan.folder / PLAN, "delete it").get("plan"))
    return Path(os.path.normpath(owner)) if os.path.isfile(owner) else None


def missing(combination: Combination, scale: str) -> list[str]:
    """The notebooks or stages of a combination that have not finished in its run folder with the same parameters."""
    run = run_folder(combination.run, scale)
    done = finished(run)
    return [
        name
        for name, parameters in combination.parameters.items()
        if not _same(done.get(name, {}).get("parameters"), _computed(parameters), run)
        or not (run / _result(combination, name)).is_file()
    ]


def _result(combination: Combination, name: str) -> str:
    """The file in the run folder that a notebook, or a stage, leaves."""
    return f"notebooks/{name}.ipynb" if combination.method == PRIOR else STAGES[name]


def _material(combination: Combination, supply: Supply | None) -> Material:
    if supply is None:
        raise PplkitError(f"nothing supplies the data of {combination.method}: run the plan by `pplkit batch`.")
    return supply(combination.method, combination.dataset, combination.source, combination.config)


def _check(combination: Combination, data: Dataset | None, scale: str) -> None:
    """Raise PplkitError for data that a run cannot use, and for a run folder of other settings or data."""
    if data is not None:
        check_data(data, combination.config)
    check_same(combination, data, scale)


def finished(run: Path) -> dict[str, Any]:
    """The notebooks and stages that batches finished in a run folder: `parameters` and `seconds` of each."""
    return RunFolder(run).read(MARKER, "notebooks")["notebooks"] if (run / MARKER).exists() else {}


def check_same(combination: Combination, data: Dataset | None, scale: str) -> None:
    """Raise PplkitError if the run folder holds a training with other settings, or on other data.

    A training is too costly to be thrown away because a plan was changed: the user decides.
    """
    run = RunFolder(run_folder(combination.run, scale))
    if not run.checkpoints():
        return
    size = {} if data is None else {"image_size": data.size}
    changed = run.changed(combination.config.replace(**size))
    if changed.keys() - {"name", *(FROM_DATA if data is None else ())}:
        differences = "; ".join(f"{name} {old!r}, now {new!r}" for name, (old, new) in changed.items())
        raise PplkitError(
            f"{run.path} holds a training with other settings ({differences}): give the variant another name, "
            "or delete the folder to train anew."
        )
    trained = finished(run.path).get("train", {}).get("parameters", {}) if data is None else {}
    if trained and trained.get("data_sha256") != combination.parameters["train"].get("data_sha256"):
        raise PplkitError(f"{run.path} was trained on other files than the plan names now: delete it to train anew.")
    if data is not None and run.read("config.json", "made_by")["made_by"].get("data_sha256") != data.sha256:
        raise PplkitError(f"{run.path} was trained on other data than {data.path} holds: delete it to train anew.")


def predefine(combination: Combination, data: Dataset, scale: str) -> None:
    """Write the prior that a combination makes from labels, if it does; raises PplkitError if there are no labels."""
    file = run_folder(combination.run, scale).resolve() / PREDEFINED
    if combination.config.predefined == str(file) and not file.exists():
        prior = labelled_prior(data, combination.config.keypoints)
        file.parent.mkdir(parents=True, exist_ok=True)
        prior.save(file)


class Worker:
    """What a process does with one combination: it does the missing notebooks or stages, and records each."""

    def __init__(self, scale: str, supply: Supply | None = None) -> None:
        self.root, self.scale, self.supply = home().resolve(), scale, supply

    def __call__(self, combination: Combination, environment: Mapping[str, str]) -> str:
        """Returns why it failed, "" if it did not."""
        os.environ.update(environment, PPLKIT_HOME=str(self.root))
        run = run_folder(combination.run, self.scale)
        try:
            with locked(run, f"another process works in {run}"):
                for name in missing(combination, self.scale):
                    start, parameters = time.monotonic(), combination.parameters[name]
                    if combination.method == PRIOR:
                        run_notebooks(combination.dataset, combination.run, parameters, [name], self.root)
                    else:
                        self._stage(combination, name, run, environment)
                    row = {"parameters": _computed(parameters), "seconds": time.monotonic() - start}
                    write_json(run / MARKER, {"notebooks": {**finished(run), name: row}})
        except Exception as error:  # whatever it is, it concerns this run and not the batch
            return str(error) if isinstance(error, PplkitError) else f"{type(error).__name__}: {error}"
        return ""

    def _stage(self, combination: Combination, name: str, run: Path, environment: Mapping[str, str]) -> None:
        """Train a method that has no notebooks, or score it and write its card."""
        method, material = METHODS[combination.method], _material(combination, self.supply)
        if name == "train":
            device, threads = combination.parameters[name]["device"], int(environment["OMP_NUM_THREADS"])
            method.train(combination.config, material.training, run, device=device, threads=threads, bar=False)
        else:
            write_json(run / STAGES[name], method.score(run, material, self.scale == "smoke").report())
            write_card(run)

    def checkpoint(self, *arguments: Any) -> "DelayedSubmission":
        """For submitit, when a cluster takes the machine away: the same task again, which continues the run."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def _run_missing(plan: Plan, cluster: str, supply: Supply | None) -> dict[str, str]:
    """Run what is missing and write the report; returns why runs failed, by name."""
    tasks = {combination.run: combination for combination in plan.combinations if missing(combination, plan.scale)}
    print(
        f"{quantity(len(plan.combinations), 'run')}, {len(plan.combinations) - len(tasks)} of them finished", flush=True
    )
    ended: dict[str, str] = {}

    def note(name: str, failure: str) -> None:
        ended[name] = failure
        print(f"[{len(ended)}/{len(tasks)}] {name}: {f'failed: {failure}' if failure else 'done'}", flush=True)

    try:
        if tasks:
            execute(plan, Worker(plan.scale, supply), tasks, cluster, note)
    finally:
        write_report(plan.folder, [_outcome(each, plan.scale, ended.get(each.run, "")) for each in plan.combinations])
        print(f"  table: {plan.folder / 'summary.csv'}\n  page: {plan.folder / 'index.html'}", flush=True)
    return {name: failure for name, failure in ended.items() if failure}


def _outcome(combination: Combination, scale: str, failure: str) -> Outcome:
    run, notebooks = run_folder(combination.run, scale), tuple(combination.parameters)
    status = "failed" if failure else "missing" if missing(combination, scale) else "finished"
    seconds = sum(row["seconds"] for name, row in finished(run).items() if name in notebooks)
    names = combination.dataset, combination.variant, combination.seed
    return Outcome(*names, run, status, failure, seconds, notebooks, combination.method)


def _same(before: Any, now: Mapping[str, Any], run: Path) -> bool:
    """Whether a notebook of `run` had these parameters, wherever the project was then and whatever settings' names."""
    old, new = (each.get("settings") if isinstance(each, Mapping) else None for each in (before, now))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        old = Config.new_names(old)
        if "predefined" in old.keys() & new.keys() and same_prior(old["predefined"], new["predefined"], run):
            old["predefined"] = new["predefined"]
        before = {**before, "settings": old}
    return bool(before == now)


def _computed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that results depend on, as JSON gives them back."""
    return dict(json.loads(json.dumps({name: value for name, value in parameters.items() if name not in MACHINE})))


@contextmanager
def _named(plan: Plan, place: str) -> Iterator[None]:
    """Errors inside name the plan and the place in it."""
    try:
        yield
    except PplkitError as error:
        raise At(plan.file, place).refuse(error) from None
