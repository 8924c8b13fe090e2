"""`pplkit run`: from raw images to an evaluated model and the page of the run, through notebooks 01 to 05."""

import argparse
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from pplkit.cli.options import PAIRS, TRAINING, Commands, add_command, given, settings_of, warn_about
from pplkit.core.locks import locked
from pplkit.core.project import run_folder
from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder
from pplkit.training.threads import choose_threads, running_threads


def add_commands(commands: Commands) -> None:
    """Add `run`."""
    parser = add_command(commands, run, *TRAINING)
    parser.add_argument("dataset", metavar="DATASET", help="name of the data set, such as puppets, cub or video-mine")
    parser.add_argument("--source", metavar="DIR", help="folder of the raw data set (puppets: the category)")
    text = "prepare the data set again, such as after files were added to its source"
    parser.add_argument("--refresh", action="store_true", help=text)
    parser.add_argument("--size", type=int, help="side of the prepared images in pixels (default: the preset's)")
    parser.add_argument("--scale", choices=("default", "smoke"), help="smoke: tiny, only to see that everything works")
    parser.add_argument("--name", metavar="RUNNAME", help="name of the run folder in runs/ (default: DATASET)")
    text = "options of the data set's preparation, such as classes=1,2,3 or classes=1 2 3 (a list of one: classes=1,)"
    parser.add_argument("--option", help=text, **PAIRS)
    parser.add_argument("--variant", help="short for --option variant=..., such as three for cub (classes 1 to 3)")
    text = "hide parts of the images as well: notebook 05 (default: for data sets with labels that are not your own)"
    parser.add_argument("--occlusion", action=argparse.BooleanOptionalAction, help=text)


def run(arguments: argparse.Namespace) -> None:
    """Prepare a data set, train, distil and evaluate: notebooks 01 to 04, and 05 with parts of the images hidden."""
    print(f"{time.strftime('%H:%M:%S')}  checking and preparing the data set {arguments.dataset}", flush=True)
    from data_prep.registry import preset_for, resolve
    from data_prep.user_media import check_name
    from pplkit.experiments.notebooks import NOTEBOOKS, run_notebooks

    folder = run_folder(arguments.name or arguments.dataset, arguments.scale or "default")
    check_free(folder)
    if arguments.preset is None and resolve(arguments.dataset).kind is None:
        check_name(arguments.dataset, None, arguments.source or "")

    settings = settings_of(arguments, "steps", "seed")
    parameters: dict[str, Any] = {name: settings.pop(name) for name in ("steps", "seed") if name in settings}
    parameters |= given(arguments, "device", "devices", "size", "scale")
    if "image_size" in settings:
        parameters.setdefault("size", settings.pop("image_size"))
    if settings:
        parameters["settings"] = settings
    parameters["preset"] = arguments.preset or preset_for(arguments.dataset)
    parameters.setdefault("size", Config.preset(parameters["preset"]).image_size)
    if arguments.source is not None:
        source = Path(arguments.source).expanduser()
        # Absolute, because notebooks run in another folder; a category of puppets is no folder and stays as it is.
        parameters["source"] = str(source.resolve()) if source.exists() else arguments.source
    options = dict(arguments.option) | given(arguments, "variant")
    if "labels" in options:
        options["labels"] = str(Path(str(options["labels"])).expanduser().resolve())
    if options:
        parameters["options"] = options
    with running_threads(choose_threads(arguments.threads)[0]):  # the search for objects is arithmetic as well
        data = prepare_data(arguments.dataset, parameters, arguments.refresh)
    occlusion = arguments.occlusion
    if occlusion is None:  # a first look at files of one's own would spend most of its time on it
        occlusion = data.protocol != "pictures" and resolve(arguments.dataset).kind not in ("folder", "video")
    notebooks = NOTEBOOKS if occlusion else NOTEBOOKS[:-1]
    limit_threads(folder, arguments)
    with held(folder):
        run_notebooks(arguments.dataset, arguments.name or arguments.dataset, parameters, notebooks, page=True)


def check_free(folder: Path) -> None:
    """Raise PplkitError if another process trains in a run folder, or runs its notebooks."""
    if folder.is_dir():
        with RunFolder(folder).held(), held(folder):
            pass


def held(folder: Path) -> AbstractContextManager[None]:
    """Inside, no other process runs notebooks in the folder, nor a batch; raises PplkitError if one does already."""
    return locked(folder, f"another process works in {folder}")


def limit_threads(folder: Path, arguments: argparse.Namespace) -> None:
    """Let the notebooks use as many threads as --threads says, or as there are free cores where they have no GPU."""
    if arguments.threads is None and arguments.device in (None, "auto") and torch.accelerator.is_available():
        return
    count, why = choose_threads(arguments.threads, RunFolder(folder).recorded_threads())
    os.environ["OMP_NUM_THREADS"] = str(count)
    print(f"{folder.name}: {quantity(count, 'thread')} ({why})", flush=True)


def prepare_data(dataset: str, parameters: Mapping[str, Any], refresh: bool = False) -> Dataset:
    """Prepare or open the data set, and refuse settings that do not fit it before anything is trained."""
    from data_prep.common.origin import check_origin
    from data_prep.registry import resolve
    from pplkit.experiments.notebooks import check_data

    smoke = parameters.get("scale") == "smoke"
    config = Config.preset(parameters["preset"])
    config = config.smoke() if smoke else config
    config = config.replace(**parameters.get("settings", {}))
    config = config.replace(**{name: parameters[name] for name in ("steps", "seed") if name in parameters})
    config.replace(image_size=parameters["size"])  # raises for a wrong size before images are prepared
    source = {name: parameters[name] for name in ("source", "size", "options", "scale") if name in parameters}
    data = resolve(dataset).preparation(**source, refresh=refresh)()
    if "source" not in parameters and Path(data.origin.get("path", "nowhere")).exists():
        check_origin(data, data.origin["path"])
    check_data(data, config)
    if not smoke:
        warn_about(data)
    return data
