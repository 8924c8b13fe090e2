"""`pplkit road`: from videos without labels to named points, 3D motion and a moving character."""

import argparse
from functools import partial
from pathlib import Path

from pplkit.cli.options import PAIRS, TRAINING, Commands, add_command, given, settings_of
from pplkit.core.project import home

METHODS = ("filters", "fit", "track", "policy")


def add_commands(commands: Commands) -> None:
    """Add `road`."""
    parser = add_command(commands, road, *TRAINING)
    parser.add_argument(
        "dataset", metavar="NAME", help="what the data set of the videos is called, such as video-people"
    )
    parser.add_argument("--source", type=Path, required=True, metavar="VIDEOS", help="a video, or a folder of them")
    text = "some ten labeled frames: a table beside their images, or of another tool (`pplkit landmarks --help`)"
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help=text)
    text = "run folder of a lifter (default: runs/lifter, which is trained if it is not there)"
    parser.add_argument("--lifter", type=Path, metavar="RUN", help=text)
    parser.add_argument(
        "--lifter-steps", type=int, metavar="STEPS", help="steps of its training (default: the preset's)"
    )
    parser.add_argument("--method", choices=METHODS, default="fit", help="of `pplkit imitate` (default: fit)")
    parser.add_argument("--to", type=Path, metavar="MESH", help="a character at rest, such as character.obj")
    text = "JSON of the character's joints at rest (default: the file of its name beside it)"
    parser.add_argument("--joints", type=Path, metavar="FILE", help=text)
    parser.add_argument("--size", type=int, help="side of the prepared images in pixels (default: the preset's)")
    parser.add_argument(
        "--option", help="options of the preparation of the videos, such as crop=center rate=5", **PAIRS
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="of the results (default: runs/NAME/road)")


def road(arguments: argparse.Namespace) -> None:
    """Go from videos without labels to named points, 3D motion and a moving character."""
    from data_prep.motion_synthetic import lift_batch
    from data_prep.registry import preset_for, resolve
    from pplkit import training
    from pplkit.experiments.road import Road, travel, videos_in
    from pplkit.models.lifting.config import LiftingConfig
    from pplkit.models.prior.config import Config

    videos = videos_in(arguments.source)
    config = Config.preset(arguments.preset or preset_for(arguments.dataset))
    config = config.replace(**settings_of(arguments, "steps", "seed"))
    size = arguments.size or config.image_size
    options = dict(arguments.option)
    data = resolve(arguments.dataset).preparation(source=str(arguments.source.resolve()), size=size, options=options)()
    run = home() / "runs" / arguments.dataset
    machine = given(arguments, "device", "devices", "threads")
    training.train(config.replace(image_size=size), data, run, **machine)
    lifter = arguments.lifter or home() / "runs" / "lifter"
    if arguments.lifter is None:
        lifting = LiftingConfig.preset("lift-small")
        if arguments.lifter_steps:
            lifting = lifting.replace(steps=arguments.lifter_steps)
        training.train_lifter(lifting, partial(lift_batch, fps=lifting.fps), lifter, **machine)
    plan = Road(
        videos, run, arguments.labels, lifter, arguments.out or run / "road", arguments.to, arguments.joints,
        arguments.method,
    )  # fmt: skip
    for row in travel(plan, data):
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.items()))
    print(f"Keypoints, motion, BVH, character and a page for each video are in {plan.out}.")
