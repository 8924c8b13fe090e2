"""Run the numbered notebooks one after the other into a run folder, with papermill."""

import ast
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.project import data_folder, home, run_folder
from pplkit.data.dataset import Dataset
from pplkit.models.prior.batches import check
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder

NOTEBOOKS = ("01_data_preparation", "02_training", "03_prior_distillation", "04_evaluation", "05_occlusion")
START_TIMEOUT = 300  # seconds for a kernel to start, which on a cold or busy machine takes longer than papermill's 60
TOLD_EVERY = 20  # seconds between lines about the training
RESULTS = ("training", "evaluation", "occlusion")


def run_notebooks(
    dataset: str,
    run_name: str,
    parameters: Mapping[str, Any],
    notebooks: Sequence[str] = NOTEBOOKS,
    root: Path | None = None,
) -> Path:
    """Execute `notebooks` in order, print a summary and return the run folder <root>/runs/<run_name>.

    Every notebook runs in the folder of notebooks and is given those of `parameters`, `dataset` and `run` that its
    parameters cell declares; the executed copies land in <run folder>/notebooks. At scale "smoke" that is the folder
    <run_name>-smoke. `root` (default: `places.home()`) holds data/ and runs/, and notebooks/ if it is not to be the
    folder beside the package.
    Raises PplkitError for a name that is no folder name, a missing notebook or a parameter that no notebook declares
    (before anything runs) and for a notebook that fails (naming its executed copy, which holds the traceback).
    """
    started = time.monotonic()
    root = (home() if root is None else root).resolve()
    scale = parameters.get("scale", "default")
    with _home(root):
        data_folder(dataset, scale)  # raises for a wrong name
        run = run_folder(run_name, scale)
    sources = [find(name, root) for name in notebooks]
    names_of = [declared(source) for source in sources]
    unknown = sorted(set(parameters) - set().union(*names_of))
    if unknown:
        known = ", ".join(sorted(set().union(*names_of)))
        raise PplkitError(f"parameter {unknown[0]!r} is declared by none of the notebooks: choose from {known}.")

    (run / "notebooks").mkdir(parents=True, exist_ok=True)
    given = {**parameters, "dataset": dataset, "run": run_name}
    with _home(root), _told(RunFolder(run)):
        for number, (source, names) in enumerate(zip(sources, names_of, strict=True), start=1):
            print(f"[{number}/{len(sources)}] {source.stem}", flush=True)
            _execute(source, run / "notebooks" / source.name, {name: given[name] for name in given if name in names})
    _print_summary(run, time.monotonic() - started)
    return run


def publish(run: Path, out: Path, leave: Sequence[str] = ()) -> list[Path]:
    """Copy a run's executed notebooks to `out`, without the traces of papermill and progress bars; returns the copies.

    All but those named in `leave`. The parameters cell stays as it is in the sources, so publish runs with the default
    parameters only.
    Raises PplkitError if the run has no executed notebooks.
    """
    executed = [path for path in sorted((run / "notebooks").glob("*.ipynb")) if path.stem not in leave]
    if not executed:
        raise PplkitError(f"{run} has no executed notebooks: run them first (pplkit run).")
    written = []
    for path in executed:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
        notebook.metadata.pop("papermill", None)
        for cell in notebook.cells:
            for key in ("papermill", "execution"):
                cell.metadata.pop(key, None)
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        nbformat.write(notebook, out / path.name)
        written.append(out / path.name)
    return written


def check_data(data: Dataset, config: Config) -> None:
    """Raise PplkitError if a model of `config`, at the size of the images, cannot be trained and tested on `data`."""
    check(data["train"], config.replace(image_size=data.size))
    if "test" not in data:
        raise PplkitError(
            f"{data.path} has no split 'test', which the notebooks look at: give it more files, or prepare it under "
            "another name with other options, such as a larger test_share."
        )


def find(name: str, root: Path) -> Path:
    """The file of notebook `name`: in the home's own notebooks folder, else in the one beside the package.

    Raises PplkitError if it is not there.
    """
    own, shipped = root / "notebooks", Path(__file__).resolve().parents[2] / "notebooks"
    folder = own if own.is_dir() else shipped
    if not (folder / f"{name}.ipynb").is_file():
        raise PplkitError(f"{folder / name}.ipynb is missing: run from the project's folder or set PPLKIT_HOME to it.")
    return folder / f"{name}.ipynb"


def declared(notebook: Path) -> dict[str, Any]:
    """Names in the parameters cell with their defaults; None for a default that is no literal.

    Raises PplkitError for a file that is no notebook.
    """
    check_file(notebook, "restore it from the repository")
    try:
        found = papermill.inspect_notebook(notebook)
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        said = reason(error)
        raise PplkitError(f"{notebook} is no notebook for Python ({said}): restore it from the repository.") from error
    return {name: _literal(about["default"]) for name, about in found.items()}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


@contextmanager
def _home(root: Path) -> Iterator[None]:
    """Lets the kernels, which inherit the environment, find the same data and run folders as this process."""
    before = os.environ.get("PPLKIT_HOME")
    os.environ["PPLKIT_HOME"] = str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PPLKIT_HOME"]
        else:
            os.environ["PPLKIT_HOME"] = before


@contextmanager
def _told(run: RunFolder) -> Iterator[None]:
    """Prints how far the training is while the notebooks run, which show it only in themselves."""
    done = threading.Event()

    def tell() -> None:
        before = None
        while not done.wait(TOLD_EVERY):
            rows = run.rows("metrics.jsonl")
            if rows and rows[-1]["step"] != before:
                config = run.read("config.json", "config")["config"]
                step, loss = rows[-1]["step"], rows[-1].get("loss", math.nan)
                speed = (step - (before or 0)) * config["batch_size"] / TOLD_EVERY
                told = "" if before is None else f", {speed:.0f} images/s"  # the first steps began at an unknown time
                print(f"      step {step} of {config['steps']}, loss {loss:.3f}{told}", flush=True)
                before = step

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _execute(source: Path, executed: Path, parameters: dict[str, Any]) -> None:
    try:
        papermill.execute_notebook(
            source,
            executed,
            parameters,
            kernel_name="python3",
            cwd=source.parent,
            start_timeout=START_TIMEOUT,
            extra_arguments=["--log-level=ERROR"],  # newer kernels warn of each local connection
        )
    except PapermillExecutionError as error:
        said = next(iter(error.evalue.splitlines()), "").rstrip(".")
        cause = f"{error.ename}: {said}" if said else error.ename
        raise PplkitError(
            f"notebook {source.stem} stopped in cell [{error.exec_count}] with {cause}; its traceback is in {executed}."
        ) from error
    except RuntimeError as error:  # nbclient's errors for a kernel that died or never answered
        raise PplkitError(
            f"the kernel of notebook {source.stem} stopped ({error}): check the free memory and look at {executed}."
        ) from error


def _print_summary(run: Path, seconds: float) -> None:
    """The main numbers of the run's results, and where the rest lies."""
    rows = []
    for result in RESULTS:
        if (run / f"{result}.json").is_file():
            found = numbers({**RunFolder(run).read(f"{result}.json"), "made_by": {}})
            rows += [(result, name, f"{value:.5g}" if value % 1 else f"{value:.0f}") for name, value in found.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    print(f"\n{run.name}: done in {int(seconds) // 60} min {int(seconds) % 60} s")
    for result, name, value in rows:
        print(f"  {result:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}")
    if (run / "doctor.json").is_file():
        report = RunFolder(run).read("doctor.json")
        on = report.get("numbers", {}).get("on_foreground")
        if on is not None:
            print(f"  {on:.0%} of the keypoints lie on what stands out as object")
        names = [finding["name"] for finding in report["findings"]]
        advice = f"{', '.join(names)}; `pplkit doctor {run}` says what to try"
        print(f"  doctor: {advice if names else 'no findings'}")
    for folder in ("figures", "notebooks"):
        if (run / folder).is_dir():
            print(f"  {folder}: {run / folder}")


def numbers(result: Mapping[str, Any], depth: int = 2) -> dict[str, float]:
    """The numbers of a result by dotted name, two levels deep; lists are curves, and the settings are no result."""
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, float) or (type(value) is int and abs(value) < 2**63):
            found[name] = value
        elif isinstance(value, Mapping) and name != "config" and depth > 1:
            found.update({f"{name}.{inner}": number for inner, number in numbers(value, depth - 1).items()})
    return found
