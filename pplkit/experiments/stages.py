"""Stages of long work: each has a folder, is done once, and is known by the settings and stages that it came from."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, write_json

RESULT, INPUTS = "stage.json", "inputs.json"


@dataclass(frozen=True)
class Stage:
    """What a finished stage left.

    Attributes:
        folder: its files.
        fingerprint: of all that it came from.
        numbers: what it found, as JSON.
        seconds: of processor time, from the last start on where it was killed on the way.
    """

    folder: Path
    fingerprint: str
    numbers: dict[str, Any]
    seconds: float


def stage(folder: Path, inputs: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
    """Carry out `work` in `folder`, unless that was done; the result is there whole or not at all.

    `inputs` are JSON that decides the result: settings, and fingerprints of stages before. `work` gets the folder and
    returns numbers; killed on the way, it is called again and finds the files that it wrote whole. Raises PplkitError
    where the folder holds a stage, begun or done, of other inputs.
    """
    content = json.loads(json.dumps(inputs, default=list))
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    if (folder / INPUTS).exists():
        before = read_json(folder / INPUTS, "delete the folder")
        if before != content:
            names = ", ".join(sorted(name for name in content | before if content.get(name) != before.get(name)))
            raise PplkitError(
                f"{folder} was made with other settings ({names}): give another --out, or delete the folder."
            )
    if not (folder / RESULT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / INPUTS, content)
        start = time.process_time()
        numbers = dict(work(folder))
        write_json(folder / RESULT, {"numbers": numbers, "seconds": round(time.process_time() - start, 2)})
    result = read_json(folder / RESULT, "delete the folder")
    return Stage(folder, fingerprint, result["numbers"], result["seconds"])
