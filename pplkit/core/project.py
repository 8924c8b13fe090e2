"""The folder of a project, and the folders of data sets and runs in it."""

import filecmp
import os
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice


def home() -> Path:
    """The folder of `data/` and `runs/`: $PPLKIT_HOME, else the project around the working folder, else that."""
    if path := os.environ.get("PPLKIT_HOME"):
        return Path(path)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return here


def same_prior(before: Any, now: str, run: Path) -> bool:
    """Whether two paths mean the same prior, although the project may have been moved or copied in between.

    Where both files exist, their contents decide. Otherwise, and for a prior in the run folder itself, whose old path
    may belong to another run by now, both paths must end with the same path within the project.
    """
    old, new, root = Path(str(before)), Path(now).resolve(), home().resolve()
    if run.resolve() not in new.parents and os.path.isfile(old) and os.access(old, os.R_OK) and new.is_file():
        return filecmp.cmp(old, new, shallow=False)
    place = new.relative_to(root).parts if new.is_relative_to(root) else new.parts
    return bool(before == now or (now and old.parts[-len(place) :] == place))


def data_folder(dataset: str, scale: str = "default") -> Path:
    """<home>/data/<dataset>; at scale "smoke" the name ends in -smoke. Raises PplkitError for another scale or name."""
    return _folder("data", "dataset", dataset, scale)


def run_folder(run: str, scale: str = "default") -> Path:
    """<home>/runs/<run>; at scale "smoke" the name ends in -smoke. Raises PplkitError for another scale or name."""
    return _folder("runs", "run", run, scale)


def _folder(kind: str, what: str, name: str, scale: str) -> Path:
    if scale not in SCALES:
        raise PplkitError(f"scale={scale!r} is unknown: {choice(scale, SCALES)}.")
    if name in ("", ".", "..") or Path(name).name != name or not name.isprintable():
        raise PplkitError(f"{what}={name!r} cannot name a folder: use letters, digits, - and _ only.")
    return home() / kind / (name if scale == "default" else f"{name}-{scale}")


SCALES = ("default", "smoke")
