"""Where a prepared data set came from: the path of the raw data and a hash that changes with its files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset

LABEL_SUFFIXES = frozenset((".csv", ".json", ".h5", ".slp", ".txt"))


def origin_of(source: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`path`, number of `files` and `sha256` of a file or of all files in a folder, and of the file of `labels`.

    The hash is over names and sizes, which change when files come, go or are edited, and are read at once where the
    contents of videos would take minutes. Files whose names begin with a dot do not count, nor do LABEL_SUFFIXES, as
    labels that lie beside the images may come later.
    """
    root = Path(source).expanduser().resolve()
    folder = root if root.is_dir() else root.parent  # a single file is as good as a folder with it
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    files = [path for path in files if not path.name.startswith(".") and path.suffix.lower() not in LABEL_SUFFIXES]
    entries: list[tuple[str, int | str]] = [
        (path.relative_to(folder).as_posix(), path.stat().st_size) for path in files if path.exists()
    ]
    if (labels := options.get("labels")) and Path(labels).is_file():
        entries.append(("labels", hashlib.sha256(Path(labels).read_bytes()).hexdigest()))
    digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return {"path": str(root), "files": len(files), "sha256": digest}


def record_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Add `origin` to the dataset.json of a prepared data set."""
    file = folder / "dataset.json"
    write_json(file, json.loads(file.read_text(encoding="utf8")) | {"origin": dict(origin)})


def check_origin(data: Dataset, source: str) -> None:
    """Raise PplkitError if `data` was prepared from other raw data than there is in `source` now."""
    if not data.origin:  # a data set of version 0.1.0, or one that was prepared by a module's own command
        return
    before, now = data.origin, origin_of(source, data.options)
    if before["sha256"] == now["sha256"]:
        return
    name = data.path.name
    if before["path"] != now["path"]:
        raise PplkitError(
            f"{data.path} was prepared from {before['path']} ({_files(before['files'])}), not from {now['path']} "
            f"({_files(now['files'])}): give the data set another name, such as {name}-2, or use --refresh "
            "(in Python refresh=True) to replace it."
        )
    difference = now["files"] - before["files"]
    kind = "more" if difference > 0 else "fewer"
    change = _files(abs(difference), kind) if difference else "changed files"
    raise PplkitError(
        f"{now['path']} has {change} since {data.path} was prepared: use --refresh (in Python refresh=True) to "
        f"prepare it again, with another --name for the run, or give the data set another name, such as {name}-2."
    )


def _files(count: int, kind: str = "") -> str:
    return quantity(count, f"{kind} file".strip())
