"""Run a plan: data sets x variants x seeds, each combination in its run folder, and only what is missing."""

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
from pplkit.core.yaml_file import At
from pplkit.data.dataset import Dataset
from pplkit.experiments.executors import spread
from pplkit.experiments.notebooks import check_data, run_notebooks
from pplkit.experiments.plan import PREDEFINED, Combination, Plan, Source
from pplkit.experiments.report import Outcome, write_report
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import labelled_prior
from pplkit.training.run_folder import RunFolder

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

MARKER = "batch.json"  # in a run folder: the notebooks that batches finished there, each with its parameters
PLAN = "plan.json"  # in the folder of a plan: where its file lies, from there
MACHINE = ("device", "devices")  # parameters that say where a notebook runs, and not what it computes

Prepare = Callable[[str, Source, str], Callable[[], Dataset]]
"""Name of a data set, what the plan says of it, and scale, to the work of preparing it, which returns its folder."""


def run_batch(plan: Plan, prepare: Prepare, cluster: str = "local") -> Path:
    """Run what is missing of `plan`, write summary.csv and index.html, and return their folder, `plan.folder`.

    Every data set is prepared, or opened, once and before all else. A run is finished when its folder's batch.json
    holds every notebook of the plan with the same parameters, and the executed copy is there. A run that fails, or
    whose worker dies, is a row with the reason; the others go on. `cluster`: see `workers.spread`.
    Raises PplkitError before anything runs for a folder of another plan, a run folder of other settings or data, data
    that a combination cannot be trained on, and while another process runs the plan; and at the end if runs failed.
    After Ctrl-C the workers are ended and the report is written.
    """
    works = {}
    for name, source in plan.datasets.items():
        with _named(plan, f"datasets.{name}"):
            works[name] = prepare(name, source, plan.scale)
    with locked(plan.folder, f"{plan.file}: another process runs this plan"):
        check_folder(plan)
        data = {}
        for name, work in works.items():
            with _named(plan, f"datasets.{name}"):
                data[name] = work()
        for one in plan.combinations:
            with _named(plan, f"run {one.run}"):
                check_data(data[one.dataset], one.config)
                check_same(one, data[one.dataset], plan.scale)
        _own_folder(plan)
        for one in plan.combinations:
            with _named(plan, f"run {one.run}"):
                predefine(one, data[one.dataset], plan.scale)
        reasons = _run_missing(plan, cluster)
    if reasons:
        raise PplkitError(
            f"{len(reasons)} of {len(plan.combinations)} runs failed, as {plan.folder / 'summary.csv'} says: put right "
            "what it names, and call again for what is missing."
        )
    return plan.folder


def check_folder(plan: Plan) -> None:
    """Raise PplkitError if the plan's folder belongs to another plan, whose file has the same name.

    It does if the plan that plan.json names, from that folder, is there, is another file and says something else: not
    after a plan was edited, nor where plan and project were moved or copied, together or alone.
    """
    owner = _owner(plan)
    if owner and not owner.samefile(plan.file) and owner.read_bytes() != plan.file.read_bytes():
        raise PplkitError(
            f"{plan.file}: {plan.folder} holds the report of another plan, {owner}: rename this file, after which the "
            "folder is called."
        )


def _own_folder(plan: Plan) -> None:
    """Note whose the plan's folder is, unless its owner is there: a copy of that plan does not take it over."""
    if _owner(plan) is None:
        place = plan.file.parent.resolve() / plan.file.name  # the folder is called after this name, not a link's target
        write_json(plan.folder / PLAN, {"plan": os.path.relpath(place, plan.folder.resolve())})


def _owner(plan: Plan) -> Path | None:
    """The plan that the folder was made for; None if that is gone, or not known, as of earlier versions."""
    if not (plan.folder / PLAN).exists():
        return None
    named = read_json(plan.folder / PLAN, "delete it").get("plan")
    owner = os.path.normpath(plan.folder.resolve() / str(named))
    return Path(owner) if os.path.isfile(owner) and os.access(owner, os.R_OK) else None


def missing(one: Combination, scale: str) -> list[str]:
    """The notebooks of a combination that its run folder does not hold with the same parameters."""
    run = run_folder(one.run, scale)
    done = finished(run)
    return [
        name
        for name, parameters in one.parameters.items()
        if not _same(done.get(name, {}).get("parameters"), _computed(parameters), run)
        or not (run / "notebooks" / f"{name}.ipynb").is_file()
    ]


def finished(run: Path) -> dict[str, Any]:
    """The notebooks that batches finished in a run folder: `parameters` and `seconds` of each."""
    if not (run / MARKER).exists():
        return {}
    done = RunFolder(run).read(MARKER, "notebooks")["notebooks"]
    for name, row in done.items():
        if not isinstance(row, dict) or not isinstance(row.get("seconds"), int | float) or "parameters" not in row:
            raise PplkitError(
                f"{run / MARKER} garbles what it says of {name!r}: delete it, and the notebooks run again."
            )
    return done


def check_same(one: Combination, data: Dataset, scale: str) -> None:
    """Raise PplkitError if the run folder holds a training with other settings, or on other data, than `one` has.

    A training is too dear to be thrown away because a plan was changed: the user is to decide.
    """
    run = RunFolder(run_folder(one.run, scale))
    if not run.checkpoints():
        return
    changed = run.changed(one.config.replace(image_size=data.size))
    if changed.keys() - {"name"}:
        said = "; ".join(f"{name} {old!r}, now {new!r}" for name, (old, new) in changed.items())
        raise PplkitError(
            f"{run.path} holds a training with other settings ({said}): give the variant another name, "
            "or delete the folder to train anew."
        )
    if run.read("config.json", "made_by")["made_by"].get("data_sha256") != data.sha256:
        raise PplkitError(f"{run.path} was trained on other data than {data.path} holds: delete it to train anew.")


def predefine(one: Combination, data: Dataset, scale: str) -> None:
    """Write the prior that a combination asks for, made from labels; raises PplkitError if there are none."""
    file = run_folder(one.run, scale).resolve() / PREDEFINED
    if one.config.predefined == str(file) and not file.exists():
        prior = labelled_prior(data, one.config.keypoints)
        file.parent.mkdir(parents=True, exist_ok=True)
        prior.save(file)


class Worker:
    """What a process of its own does with one combination: its missing notebooks, each noted when it is done."""

    def __init__(self, scale: str) -> None:
        self.root, self.scale = home().resolve(), scale

    def __call__(self, one: Combination, environment: Mapping[str, str]) -> str:
        """Returns why it failed, "" if it did not."""
        os.environ.update(environment, PPLKIT_HOME=str(self.root))
        run = run_folder(one.run, self.scale)
        try:
            with locked(run, f"another process works in {run}"):
                for name in missing(one, self.scale):
                    started = time.monotonic()
                    run_notebooks(one.dataset, one.run, one.parameters[name], [name], self.root)
                    row = {"parameters": _computed(one.parameters[name]), "seconds": time.monotonic() - started}
                    write_json(run / MARKER, {"notebooks": {**finished(run), name: row}})
        except Exception as error:  # whatever it is, it is this run's and not the batch's
            return str(error) if isinstance(error, PplkitError) else f"{type(error).__name__}: {error}"
        return ""

    def checkpoint(self, *given: Any) -> "DelayedSubmission":
        """What submitit asks for when a cluster takes the machine away: the same again, which continues the run."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *given)


def _run_missing(plan: Plan, cluster: str) -> dict[str, str]:
    """Run what is missing and write the report; returns why runs failed, by name."""
    todo = {one.run: one for one in plan.combinations if missing(one, plan.scale)}
    print(f"{len(plan.combinations)} runs, {len(plan.combinations) - len(todo)} of them finished", flush=True)
    reasons: dict[str, str] = {}
    ended: list[str] = []

    def tell(name: str, reason: str) -> None:
        ended.append(name)
        reasons.update({name: reason} if reason else {})
        print(f"[{len(ended)}/{len(todo)}] {name}: {f'failed: {reason}' if reason else 'done'}", flush=True)

    try:
        if todo:
            spread(plan, Worker(plan.scale), todo, cluster, tell)
    finally:
        write_report(plan.folder, [_outcome(one, plan.scale, reasons) for one in plan.combinations])
        print(f"  table: {plan.folder / 'summary.csv'}\n  page: {plan.folder / 'index.html'}", flush=True)
    return reasons


def _outcome(one: Combination, scale: str, reasons: Mapping[str, str]) -> Outcome:
    run = run_folder(one.run, scale)
    rest, reason = missing(one, scale), reasons.get(one.run, "")
    seconds = sum(row["seconds"] for name, row in finished(run).items() if name in one.parameters)
    status = "failed" if reason else "missing" if rest else "finished"
    return Outcome(one.dataset, one.variant, one.seed, run, status, reason, seconds, tuple(one.parameters))


def _same(before: Any, now: Mapping[str, Any], run: Path) -> bool:
    """Whether a notebook of `run` had these parameters, wherever the project lay then."""
    old, new = (given.get("settings") if isinstance(given, Mapping) else None for given in (before, now))
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
