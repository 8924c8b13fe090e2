"""Where a project lies, and whether a path means in it what another path meant."""

import filecmp
import os
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError


def home() -> Path:
    """Where `data/` and `runs/` lie: $PPLKIT_HOME, else the project root above the working folder, else that folder."""
    if given := os.environ.get("PPLKIT_HOME"):
        return Path(given)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return here


def same_prior(before: Any, now: str, run: Path) -> bool:
    """Whether two paths name one prior, though the project was moved or copied: what is at both decides, if anything.

    Else, and for the run's own prior, whose old place others may have taken, both end with its place in the project.
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
        raise PplkitError(f"scale={scale!r} is unknown: choose one of {', '.join(SCALES)}.")
    if name in ("", ".", "..") or Path(name).name != name or not name.isprintable():
        raise PplkitError(f"{what}={name!r} cannot name a folder: use letters, digits, - and _ only.")
    return home() / kind / (name if scale == "default" else f"{name}-{scale}")


SCALES = ("default", "smoke")
