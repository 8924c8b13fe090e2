"""A home for tests of batches: two small data sets and notebooks that take no time, with a plan over both."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import yaml

from data_prep.registry import preset_for
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.plan import Plan, read_plan

TRAIN = """import json, os, signal, time
from pathlib import Path
folder = Path(os.environ["PPLKIT_HOME"]) / "runs" / run
first = not (folder / "tried").exists()
with (folder / "tried").open("a") as file:
    print(os.environ["OMP_NUM_THREADS"], os.getpid(), file=file)
if first and kill == run:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if first and fail == run:
    raise ValueError("no <luck>")
time.sleep(sleep)
loss = 1.0 + seed
(folder / "training.json").write_text(json.dumps({"run": run, "steps": steps, "loss": loss}))
result = {"protocol": "h36m", "error": loss, "relative_error": loss / 10, "mean_pose_error": 0.1}
(folder / "evaluation.json").write_text(json.dumps(result))"""
SCORE = """import json, os
from pathlib import Path
file = Path(os.environ["PPLKIT_HOME"]) / "runs" / run / "evaluation.json"
result = json.loads(file.read_text())
file.write_text(json.dumps({**result, "error": factor * (1 + int(run[-1]))}))"""
DECLARED = """dataset = "none"  # a name
preset = "none"  # a name
steps = 0  # of training
seed = 0  # of everything random
device = "auto"  # or another
settings = {}  # of Config
kill = ""  # run whose worker is killed the first time
fail = ""  # run that fails the first time
sleep = 0.0  # seconds
run = "none"  # a name"""


def write_notebook(path: Path, parameters: str, code: str) -> None:
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(code)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


def write_data(home: Path, name: str, test: bool = True) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    with DatasetWriter(home / "data" / name, name="noise", size=32) as writer:
        writer.add("train", images)
        if test:
            writer.add("test", images[:2])


def make_home(home: Path) -> Path:
    """Data sets roses and tulips, notebooks train and score."""
    for name in ("roses", "tulips"):
        write_data(home, name)
    write_notebook(home / "notebooks" / "train.ipynb", DECLARED, TRAIN)
    write_notebook(home / "notebooks" / "score.ipynb", 'run = "none"  # a name\nfactor = 1.0  # of the error', SCORE)
    return home


def plan(**changes: Any) -> dict[str, Any]:
    """Two data sets, two variants, two seeds, one notebook; a change to None leaves the key out."""
    content = {
        "datasets": ["roses", "tulips"],
        "variants": {"ppl": None, "small": {"banks": 4}},
        "seeds": [0, 1],
        "preset": "images",
        "notebooks": ["train"],
        "device": "cpu",
        "jobs": 2,
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def write_plan(home: Path, **changes: Any) -> Path:
    file = home / "try.yaml"
    file.write_text(yaml.safe_dump(plan(**changes)), encoding="utf8")
    return file


def small(home: Path, **changes: Any) -> Plan:
    one = {"datasets": ["roses"], "variants": ["ppl"], "seeds": [0], **changes}
    return read_plan(write_plan(home, **one), preset_for)


def prepare(name: str, source: object, scale: str) -> Callable[[], Dataset]:
    return lambda: open_dataset(Path(os.environ["PPLKIT_HOME"]) / "data" / name)


def rows(home: Path, plan: str = "try") -> list[dict[str, str]]:
    with (home / "runs/batches" / plan / "summary.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))
