"""Run the numbered notebooks one after the other into a run folder, with papermill."""

import ast
import os
import shlex
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
from pplkit.core.words import choice
from pplkit.data.dataset import Dataset
from pplkit.experiments.run_page import write_run_page
from pplkit.experiments.run_progress import RunProgress
from pplkit.experiments.run_summary import summary_lines, verdict
from pplkit.models.prior.batches import check
from pplkit.models.prior.config import Config

NOTEBOOKS = ("01_data_preparation", "02_training", "03_prior_distillation", "04_evaluation", "05_occlusion")
KERNEL_START_SECONDS = 300  # a cold or busy machine takes longer than the 60 of papermill
EVALUATION = "04_evaluation"  # after which there is enough for a first look
RESULTS = ("training", "evaluation", "occlusion")


def run_notebooks(
    dataset: str,
    run_name: str,
    parameters: Mapping[str, Any],
    notebooks: Sequence[str] = NOTEBOOKS,
    root: Path | None = None,
    page: bool = False,
) -> Path:
    """Execute `notebooks` in order, print how far they are, and return the run folder <root>/runs/<run_name>.

    A notebook runs in its own folder, with those of `parameters`, `dataset` and `run` that its parameters cell
    declares; the executed copy goes to <run folder>/notebooks. At scale "smoke" the run folder is <run_name>-smoke.
    `root` (default: `home()`) holds data/, runs/ and, if the shipped notebooks are not wanted, notebooks/. With `page`,
    the page of the run is written, first after the evaluation, and at the end a summary is printed.
    Raises PplkitError for a wrong name, a missing notebook or a parameter that no notebook declares, before anything
    runs; and for a notebook that fails, naming its executed copy, which holds the traceback.
    """
    start = time.monotonic()
    root = (home() if root is None else root).resolve()
    with _project_home(root):
        data = data_folder(dataset, parameters.get("scale", "default"))  # raises for a wrong name
        run = run_folder(run_name, parameters.get("scale", "default"))
    sources = {path: declared_parameters(path) for path in (notebook_file(name, root) for name in notebooks)}
    known = sorted(set().union(*sources.values()))
    if unknown := sorted(set(parameters) - set(known)):
        raise PplkitError(f"parameter {unknown[0]!r} is in none of the notebooks: {choice(unknown[0], known)}.")
    (run / "notebooks").mkdir(parents=True, exist_ok=True)
    values = {**parameters, "dataset": dataset, "run": run_name}
    with _project_home(root), RunProgress(run, [path.stem for path in sources], data) as progress:
        for path, names in sources.items():
            progress.begin(path.stem)
            own = {name: value for name, value in values.items() if name in names}
            _execute(path, run / "notebooks" / path.name, own)
            if page and path.stem == EVALUATION and path.stem != list(sources)[-1].stem:
                progress.say(f"a first look is ready: {write_run_page(run)}")
    if page:
        _print_summary(run, time.monotonic() - start)
    return run


def _print_summary(run: Path, seconds: float) -> None:
    lines = [*summary_lines(run), f"Look at {write_run_page(run)}"]
    if verdict(run)[0] == "bad":
        folder = os.path.relpath(run) if run.is_relative_to(Path.cwd()) else run
        lines.insert(1, f"`pplkit doctor {shlex.quote(str(folder))}` says what to try.")
    print(f"\n{run.name}: done in {int(seconds) // 60} min {int(seconds) % 60} s")
    print("\n".join(f"  {line}" for line in lines), flush=True)


def publish(run: Path, out: Path, leave: Sequence[str] = ()) -> list[Path]:
    """Copy a run's executed notebooks, but those named in `leave`, to `out`, without traces of papermill and stderr.

    The parameters cell stays as in the sources, so only runs with the default parameters should be published. Returns
    the copies; raises PplkitError if there are none.
    """
    executed = [path for path in sorted((run / "notebooks").glob("*.ipynb")) if path.stem not in leave]
    if not executed:
        raise PplkitError(f"{run} has no executed notebooks: run them first (pplkit run).")
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
    return [out / path.name for path in executed]


def check_data(data: Dataset, config: Config) -> None:
    """Raise PplkitError if a model of `config`, at the size of the images, cannot be trained and tested on `data`."""
    check(data["train"], config.replace(image_size=data.size))
    if "test" not in data:
        raise PplkitError(
            f"{data.path} has no split 'test', which the notebooks look at: give it more files, or prepare it under "
            "another name with other options, such as a larger test_share."
        )


def notebook_file(name: str, root: Path) -> Path:
    """The file of notebook `name`: in <root>/notebooks, beside the package in a clone, or in the installed package."""
    package = Path(__file__).resolve().parents[1]
    folders = [folder / "notebooks" for folder in (root, package.parent, package)]
    for folder in folders:
        if (folder / f"{name}.ipynb").is_file():
            return folder / f"{name}.ipynb"
    raise PplkitError(f"{folders[0] / name}.ipynb is missing: correct its name, or put it there.")


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Names in the parameters cell with their defaults; None for a default that is no literal.

    Raises PplkitError for a file that is not a notebook.
    """
    check_file(notebook, "restore it from the repository")
    try:
        parameters = papermill.inspect_notebook(notebook)
    except Exception as error:  # a torn or foreign file can fail anywhere inside the reader
        raise PplkitError(
            f"{notebook} is not a Python notebook ({reason(error)}): restore it from the repository."
        ) from error
    return {name: _literal(about["default"]) for name, about in parameters.items()}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


@contextmanager
def _project_home(root: Path) -> Iterator[None]:
    """Lets the kernels, which inherit the environment, find the data and run folders of `root`."""
    before = os.environ.get("PPLKIT_HOME")
    os.environ["PPLKIT_HOME"] = str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PPLKIT_HOME"]
        else:
            os.environ["PPLKIT_HOME"] = before


def _execute(source: Path, executed: Path, parameters: dict[str, Any]) -> None:
    options: dict[str, Any] = {"kernel_name": "python3", "cwd": source.parent, "start_timeout": KERNEL_START_SECONDS}
    options["progress_bar"] = False  # it counts cells, of which one trains for minutes
    options["extra_arguments"] = ["--log-level=CRITICAL"]  # kernels warn of each local connection and of how they end
    try:
        papermill.execute_notebook(source, executed, parameters, **options)
    except PapermillExecutionError as error:
        message = next(iter(error.evalue.splitlines()), "").rstrip(".")
        cause = f"{error.ename}: {message}" if message else error.ename
        raise PplkitError(
            f"notebook {source.stem} stopped in cell [{error.exec_count}] with {cause}; its traceback is in {executed}."
        ) from error
    except RuntimeError as error:  # nbclient's errors for a kernel that died or never answered
        raise PplkitError(
            f"the kernel of notebook {source.stem} stopped ({error}): check the free memory and look at {executed}."
        ) from error


def numbers(result: Mapping[str, Any], depth: int = 2) -> dict[str, float]:
    """The numbers of a result by dotted name, two levels deep, without lists (curves) and settings."""
    values: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, float) or (type(value) is int and abs(value) < 2**63):
            values[name] = value
        elif isinstance(value, Mapping) and name != "config" and depth > 1:
            values.update({f"{name}.{inner}": number for inner, number in numbers(value, depth - 1).items()})
    return values
