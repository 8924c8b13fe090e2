"""`pplkit batch`: trainings and their scores over data sets, methods, variants and seeds."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pplkit.cli.options import PAIRS, Commands, add_command, settings_of
from pplkit.core.errors import PplkitError
from pplkit.core.project import data_folder
from pplkit.core.settings import Settings
from pplkit.core.yaml_file import At
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.runtime import check_device

if TYPE_CHECKING:
    from pplkit.experiments.methods import Material
    from pplkit.experiments.plan import Source

UNSEEN = 10**6  # seed of poses that no training sees
POSES = 20  # that are scored
OTHER_SHAPES = {"humanoid": "tall-thin", "quadruped": "tall-thin"}  # of the body that gets the poses


def add_commands(commands: Commands) -> None:
    """Add `batch`."""
    parser = add_command(commands, batch, "--set")
    parser.add_argument("plan", type=Path, metavar="PLAN", help="YAML file; docs/batches.md has an example")
    text = "runs at a time (default: the plan's; else one for each GPU or core)"
    parser.add_argument("--jobs", type=int, help=text)
    parser.add_argument("--threads", type=int, help="threads of each run (default: the plan's, else 1)")
    text = "run on a SLURM cluster, with these options beside the plan's, such as partition=gpu gpus=1"
    parser.add_argument("--slurm", help=text, **{**PAIRS, "nargs": "*", "default": None})


def batch(arguments: argparse.Namespace) -> None:
    """Train and score over data sets, methods, variants and seeds, as a plan says."""
    from data_prep.registry import preset_for
    from pplkit.experiments.batch import run_batch
    from pplkit.experiments.plan import read_plan, slurm_options

    plan = read_plan(arguments.plan, preset_for, settings_of(arguments))
    jobs = plan.jobs if arguments.jobs is None else At(arguments.plan, "--jobs").whole(arguments.jobs, 1)
    threads = plan.threads if arguments.threads is None else At(arguments.plan, "--threads").whole(arguments.threads, 1)
    plan = replace(plan, threads=threads)
    slurm = slurm_options(At(arguments.plan, "--slurm"), {**plan.slurm, **dict(arguments.slurm or ())})
    if arguments.slurm is None:
        check_device(plan.device)
    cluster = "local" if arguments.slurm is None else "slurm"
    run_batch(replace(plan, jobs=jobs, slurm=slurm), prepare, cluster, supply)


def prepare(name: str, source: "Source", scale: str) -> Callable[[], Dataset]:
    """The preparation of a data set of a plan; images have the preset's size unless the plan or the folder says."""
    from data_prep.registry import resolve

    exists = (data_folder(name, scale) / "dataset.json").exists()
    size = source.size or (None if exists else Config.preset(source.preset).image_size)
    return resolve(name).preparation(source.source, size, source.options, scale)


def supply(method: str, dataset: str, source: str, config: Settings) -> "Material":
    """What a method other than the prior learns from and is scored on: built in, or the files of `source`.

    Folders of pose sequences hold `train` and `test`; of a folder of meshes every fifth pose is kept for scoring.
    Raises PplkitError for data that are not there or that the method cannot learn from.
    """
    from pplkit.experiments.methods import Material

    if method == "mesh":
        return mesh_material(dataset, source)
    from data_prep.motion_synthetic import lift_batch, motion_windows
    from pplkit.training.tasks.lifting import windows_of

    if method != "lifting":
        return Material(motion_windows, partial(motion_windows, held_out=True))
    fps = float(config.to_dict()["fps"])
    if source:
        return Material(*(windows_of(Path(source) / split, fps) for split in ("train", "test")))
    return Material(partial(lift_batch, fps=fps), partial(lift_batch, fps=fps, held_out=True))


def mesh_material(dataset: str, source: str) -> "Material":
    """Poses of a mesh to learn from, and unseen ones with the body that gets them: another one of the built-in."""
    from data_prep.synthetic.bodies3d import body_poses, built_in
    from pplkit.data.mesh_sets import read_mesh_set
    from pplkit.experiments.methods import Material

    if source:
        known = read_mesh_set(source)
        if len(known.poses) < 2:
            raise PplkitError(f"{source} holds one pose: give at least two, as some are kept for scoring.")
        seen = [number for number in range(len(known.poses)) if number % 5 != 1]
        scored = replace(known, poses=known.poses[1::5])
        return Material(replace(known, poses=known.poses[seen]), (scored, scored))
    body = built_in(dataset)
    if body is None:
        raise PplkitError(f"{dataset} is no body: give bodies3d-humanoid or bodies3d-quadruped, or a source.")
    kind, _, shape = dataset.removeprefix("bodies3d-").partition("-")
    unseen = body_poses(kind, shape or "average", "coarse", POSES, UNSEEN)
    return Material(body, (unseen, body_poses(kind, OTHER_SHAPES[kind], "irregular", POSES, UNSEEN)))
