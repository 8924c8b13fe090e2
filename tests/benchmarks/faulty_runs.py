"""Trains runs that go wrong on purpose, each for a few hundred steps, and shows what `pplkit doctor` says of them.

    python tests/benchmarks/faulty_runs.py [NAME ...] [--out DIR]

One thread, about half an hour for all of them on one core; what is finished in DIR is not trained again. The status is
1 if the doctor missed a fault. `pytest` does not run this; test_symptoms.py builds faults into tiny models.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from data_prep import puppets
from data_prep.scenes import boxes, cropped
from data_prep.synthetic.puppets import generate
from data_prep.synthetic.scenes import generate_wide
from pplkit.core.errors import Diverged
from pplkit.core.files import write_json
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation.diagnosis.report import diagnose
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training import checkpoint as checkpoints
from pplkit.training.logger import METRICS, Callback
from pplkit.training.run_folder import RunFolder
from pplkit.training.tasks import prior as prior_task
from pplkit.training.tasks.prior import HISTORY, train

STEPS = 1000  # of the good run
MORE = 60


class Fault(NamedTuple):
    """What the doctor has to find, settings that differ from the preset, and how it comes about.

    `steps` from nothing, or, if 0, MORE steps on from where the good run ended; its curves are taken along where these
    are what shows the fault. Predefined links are those of `chain`. A run that has nothing to be found is to be passed
    in silence.
    """

    finds: list[str]
    changes: dict[str, Any]
    steps: int = 0
    data: str = "humanoid"
    preset: str = "puppets"
    curves: bool = False
    stop: int = 0  # step at which the training is interrupted
    spoil: int = 0  # one loss in so many is made infinite, as an overflow does
    broken: bool = False  # whether the last checkpoint gets a weight that is no number, as one from elsewhere may have


FAULTS = {
    "good": Fault([], {}, STEPS),
    "short": Fault(["too few steps"], {}, 400),
    "collapsed": Fault(["links collapsed"], {"connectivity_learning_rate": 1e-3, "connectivity_growth": 40.0}),
    "weak": Fault(["links weak"], {"weight_links": 10.0, "connectivity_learning_rate": 1e-3}),
    "one-place": Fault(["keypoints in one place"], {"weight_length": 0.5}),
    "outside": Fault(
        ["keypoints outside"],
        {"weight_boundary": 0.0, "weight_separation": 1.0, "separation_radius": 1.5, "separation_share": 0.0},
    ),
    "off-object": Fault(
        ["keypoints off the object"], {"weight_separation": 0.5, "separation_radius": 0.6, "separation_share": 0.0}
    ),
    "ignored": Fault(["links too thin"], {"thickness": 1e-7, "thickness_start": 0.0}),
    "given": Fault(["reference gives away"], {"reference": "masked", "mask_ratio": 0.0}),
    "frozen": Fault(["poses stand still"], {"affine_init": "identity", "learning_rate": 1e-7}, 100),
    "links": Fault(["poses stand still"], {"weight_links": 1.0}),
    "stick": Fault(["keypoints on one line"], {"keypoints": 16}, 500, data="hands", preset="cub-64"),
    "dead": Fault(["dead vectors"], {"prior_from": "all"}),
    "few": Fault(["too little data"], {}, data="few"),
    "alike": Fault(["images alike"], {}, data="alike"),
    "interrupted": Fault(["unfinished"], {}, 400, stop=220),
    "diverged": Fault(["diverged"], {"learning_rate": 1e6, "weight_boundary": 0.0}, 300),
    "diverging": Fault(["diverging"], {"learning_rate": 0.1}, curves=True),
    "overflows": Fault(["steps left out"], {}, spoil=2),
    "broken": Fault(["not finite"], {}, broken=True),
    "unread": Fault(
        ["link map ignored", "left and right", "keypoints off the object"],
        {"learning_rate": 5e-5, "coarse_fraction": 1.0},
        700,
    ),
    "one-way": Fault([], {"flip": False}, STEPS, data="quadruped"),
    "wide": Fault(["object small", "on the background"], {}, data="wide"),
    "unlinked": Fault(["keypoints without links"], {"prior_links": "predefined", "prior_links_trainable": False}, 700),
}
SAME = {"connectivity_growth": 1.0, "reinit_weak_links": False, "final_learning_rate": 1.0}  # of those that go on


def few(out: Path) -> None:
    """Eight images, four frames of two videos; 32 of others to test on."""
    write(out, generate("humanoid", 2, 4, 64, seed=0))


def hands(out: Path) -> None:
    """One image of each of 150 hands."""
    write(out, generate("hand", 150, 1, 64, seed=0), "hand")


def alike(out: Path) -> None:
    """Images that hardly differ: one, with a little noise."""
    made = generate("humanoid", 1, 64, 64, seed=0)
    noise = np.random.default_rng(0).integers(-3, 4, made.images.shape)
    made.images[:] = np.clip(made.images[:1].astype(int) + noise, 0, 255).astype(np.uint8)
    write(out, made)


def wide(out: Path) -> None:
    """The middles of wide scenes, in which people are eight pixels tall; no masks, as in films of one's own."""
    with DatasetWriter(out, name="puppets", size=64) as writer:
        for split, videos in (("train", range(24)), ("test", range(24, 32))):
            for video in videos:
                scenes = generate_wide("humanoid", 1, 16, first_video=video)
                made = cropped(scenes, boxes(scenes, "center"), 64)
                writer.add(split, made.images, videos=made.videos)


def chain(out: Path) -> str:
    """A prior of which the last six keypoints have no link, and the others hang together as a chain."""
    links = np.diag(np.r_[np.ones(9), np.zeros(6)], 1)
    return str(PosePrior(np.zeros((16, 2), np.float32), (links + links.T).astype(np.float32)).save(out / "chain.json"))


def write(out: Path, train_on: Any, category: str = "humanoid") -> None:
    """A data set of these puppets, and others to test on."""
    with DatasetWriter(out, name="puppets", size=64) as writer:
        for split, made in (("train", train_on), ("test", generate(category, 8, 8, 64, seed=1))):
            writer.add(split, made.images, videos=made.videos, masks=made.masks)


MAKERS: dict[str, Callable[[Path], Any]] = {
    "humanoid": lambda out: puppets.prepare("humanoid", out, videos=200, test_videos=20, films=0),
    "quadruped": lambda out: puppets.prepare("quadruped", out, videos=200, test_videos=20, films=0),
    "few": few,
    "hands": hands,
    "alike": alike,
    "wide": wide,
}


def trained(name: str, out: Path) -> Path:
    """The run folder of a fault, trained unless it is there."""
    fault, run = FAULTS[name], out / "runs" / name
    folder = out / "data" / fault.data
    if not folder.exists():
        MAKERS[fault.data](folder)
    data = open_dataset(folder)
    if not (run / "finished").exists():
        shutil.rmtree(run, ignore_errors=True)
        changes = {**({} if fault.steps else SAME), **fault.changes}
        if "prior_links" in changes:
            changes["predefined"] = chain(out)
        config = Config.preset(fault.preset).replace(**changes, steps=fault.steps or STEPS + MORE)
        if not fault.steps:
            go_on(trained("good", out), run, config, data, (METRICS, HISTORY) if fault.curves else ())
        try:
            with overflows(fault.spoil):
                train(config, data, run, device="cpu", bar=False, watch=interruption(fault.stop))
        except Diverged as stopped:
            print(f"{name}: {stopped}", file=sys.stderr)
        if fault.broken:
            break_weight(RunFolder(run).checkpoints()[-1])
        (run / "finished").touch()
    return run


def go_on(good: Path, run: Path, config: Config, data: Dataset, curves: Sequence[str]) -> None:
    """A run folder that continues the good run's weights, and some of its curves, with other settings or data."""
    (run / "checkpoints").mkdir(parents=True)
    shutil.copy(RunFolder(good).checkpoints()[-1], run / "checkpoints")
    for name in curves:
        shutil.copy(good / name, run)
    write_json(run / "config.json", {"config": config.to_dict(), "made_by": {"data_sha256": data.sha256}})


def interruption(step: int) -> Callback:
    """A watcher that ends the training at `step`, if that is not 0."""

    return lambda progress: "stop" if progress.step == step else None


@contextmanager
def overflows(every: int) -> Iterator[None]:
    """Inside, one loss in `every` is infinite; none if that is 0."""
    right, calls = prior_task.losses, count(1)

    def spoiled(*given: Any) -> tuple[Tensor, dict[str, Tensor]]:
        total, parts = right(*given)
        return total * (math.inf if every and next(calls) % every == 0 else 1), parts

    with patch.object(prior_task, "losses", spoiled):
        yield


def break_weight(path: Path) -> None:
    """Make a weight of a checkpoint no number."""
    content = checkpoints.read(path, checkpoints.TRAINING, "train anew")
    next(value for name, value in content.tensors.items() if name.startswith("model."))[...] = math.nan
    checkpoints.write(path, content.tensors, content.about)


def main() -> int:
    """Train what is missing, and print a table: the fault, whether it was found, and what else was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path("runs/faulty"), help="folder of data and runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    missed = 0
    for name in options.names or FAULTS:
        fault, run = FAULTS[name], trained(name, options.out)
        result = diagnose(run, open_dataset(options.out / "data" / fault.data))["findings"]
        said = {one["name"]: f"{one['name']} {one['number']:.3g}" for one in result}
        missed += not (set(fault.finds) <= set(said) if fault.finds else not said)
        wanted = [said.pop(finding, f"{finding} MISSED") for finding in fault.finds]
        print(f"| {name} | {', '.join(wanted)} | {', '.join(said.values())} |", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
