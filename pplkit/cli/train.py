"""`pplkit train`, `doctor` and `complete`: train a model, see what went wrong, teach it to see past occluders."""

import argparse
import time
from functools import partial
from pathlib import Path

from pplkit import training
from pplkit.cli.options import TRAINING, Commands, add_command, given, settings_of, warn_about
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.models.lifting import config as lifting
from pplkit.models.mesh import config as mesh
from pplkit.models.mesh import diffusion_config as diffusion
from pplkit.models.motion import contact
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.models.prior.config import Config
from pplkit.training.distributed import rank
from pplkit.training.run_folder import RunFolder, data_of

SYNTHETIC_MOTION = "motion_synthetic"  # the name of the built-in motion, which is made while it is learned from


def add_commands(commands: Commands) -> None:
    """Add `train`, `doctor` and `complete`."""
    parser = add_command(commands, train, *TRAINING)
    parser.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET_DIR",
        help="folder of the prepared data set; for lifting, of pose sequences, or motion_synthetic; for mesh pose, "
        "of mesh files, or bodies3d-humanoid or bodies3d-quadruped; for mesh-diffusion, a run of mesh pose",
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="run folder; a run that stopped continues")
    parser.add_argument("--precision", help="32-true, bf16-mixed or 16-mixed (default: the preset's)")
    parser.add_argument("--save-every", type=int, metavar="STEPS", help="steps between checkpoints (default: 200)")
    text = "the same numbers each time on a GPU as well, which takes longer"
    parser.add_argument("--deterministic", action="store_true", default=None, help=text)

    parser = add_command(commands, doctor)
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="run folder; doctor.json and index.html are written to it"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: cpu)")

    parser = add_command(commands, complete, "run", "--device")
    parser.add_argument("--steps", type=int, help="steps of 64 images each (default: as many as the training's)")


def train(arguments: argparse.Namespace) -> None:
    """Train on a prepared data set, or continue a run; with a preset of lifting or mesh pose, on their data."""
    from data_prep.registry import preset_for

    if arguments.preset == contact.ContactConfig.name:
        train_contact(arguments)
        return
    if arguments.preset == InBetweeningConfig.name:
        train_inbetweening(arguments)
        return
    if arguments.preset in lifting.PRESETS:
        train_lifter(arguments)
        return
    if arguments.preset in mesh.PRESETS:
        train_mesh(arguments)
        return
    if arguments.preset in diffusion.PRESETS:
        train_diffusion(arguments)
        return
    data = open_dataset(arguments.dataset)
    config = Config.preset(arguments.preset or preset_for(data.name))
    config = config.replace(**settings_of(arguments, "steps", "seed", "precision"))
    if rank() == 0:
        warn_about(data)
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    training.train(config, data, arguments.run, **options)
    if rank() == 0:
        print(f"The run is in {arguments.run}.")


def train_lifter(arguments: argparse.Namespace) -> None:
    """Train a lifter on a folder of pose sequences, or on motion made by rule."""
    from data_prep.motion_synthetic import lift_batch

    config = lifting.LiftingConfig.preset(arguments.preset)
    config = config.replace(**dict(arguments.set) | given(arguments, "steps", "seed", "precision"))
    source = arguments.dataset
    if str(source) == SYNTHETIC_MOTION and not source.exists():
        source = partial(lift_batch, fps=config.fps)
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    training.train_lifter(config, source, arguments.run, **options)
    if rank() == 0:
        print(f"The lifter is in {arguments.run}; `pplkit lift` will use it.")


def train_mesh(arguments: argparse.Namespace) -> None:
    """Learn the poses of a mesh, from a folder of mesh files or of a built-in body."""
    from data_prep.synthetic.bodies3d import built_in

    config = mesh.MeshConfig.preset(arguments.preset)
    config = config.replace(**dict(arguments.set) | given(arguments, "steps", "seed", "precision"))
    source = arguments.dataset
    if not source.exists() and (body := built_in(str(source))):
        source = body
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    training.train_mesh(config, source, arguments.run, **options)
    if rank() == 0:
        print(f"The model is in {arguments.run}; `pplkit transfer` will use it.")


def train_diffusion(arguments: argparse.Namespace) -> None:
    """Learn to draw new poses of a run of mesh pose."""
    config = diffusion.DiffusionConfig.preset(arguments.preset)
    config = config.replace(**dict(arguments.set) | given(arguments, "steps", "seed", "precision"))
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    training.train_diffusion(config, arguments.dataset, arguments.run, **options)
    if rank() == 0:
        print(f"The diffusion is in {arguments.run}; `pplkit generate` will use it.")


def train_contact(arguments: argparse.Namespace) -> None:
    """Train the network that tells contact of feet, on motion made by rule."""
    from data_prep.motion_synthetic import motion_windows
    from pplkit.training.tasks import contact as task

    if str(arguments.dataset) != SYNTHETIC_MOTION:
        raise PplkitError(f"preset contact learns from synthetic motion alone: give {SYNTHETIC_MOTION}.")
    config = contact.ContactConfig().replace(**dict(arguments.set) | given(arguments, "steps", "seed", "precision"))
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    task.train_contact(config, motion_windows, arguments.run, **options)
    if rank() == 0:
        print(f"The network is in {arguments.run / contact.WEIGHTS}; `pplkit imitate --contact` uses it.")


def train_inbetweening(arguments: argparse.Namespace) -> None:
    """Train the network that fills gaps, on motion made by rule."""
    from data_prep.motion_synthetic import mostly_walking
    from pplkit.training.tasks import inbetweening as task

    if str(arguments.dataset) != SYNTHETIC_MOTION:
        raise PplkitError(f"preset inbetween learns from synthetic motion alone: give {SYNTHETIC_MOTION}.")
    config = InBetweeningConfig().replace(**dict(arguments.set) | given(arguments, "steps", "seed", "precision"))
    options = given(arguments, "device", "devices", "save_every", "deterministic", "threads")
    task.train_inbetweening(config, mostly_walking, arguments.run, **options)
    if rank() == 0:
        print(f"The network is in {arguments.run}; `pplkit inbetween` will use it.")


def doctor(arguments: argparse.Namespace) -> None:
    """Say what went wrong in a training, and what to try."""
    from pplkit.evaluation.diagnosis.report import diagnose, finding_table
    from pplkit.experiments.run_page import write_run_page

    print(f"{time.strftime('%H:%M:%S')}  looking at weights, curves and images", flush=True)
    report = diagnose(arguments.run, data_of(RunFolder(arguments.run)), **given(arguments, "device"))
    print("\n".join(finding_table(report)))
    print(f"The page of the run is {write_run_page(arguments.run)}.")


def complete(arguments: argparse.Namespace) -> None:
    """Teach a trained model to see past what hides the object."""
    data = data_of(RunFolder(arguments.run))
    training.complete(arguments.run, data, **given(arguments, "steps", "device"))
    print(f"The completer is in {arguments.run}; `pplkit estimate` will use it.")
