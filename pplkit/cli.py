"""The command line: `pplkit run | batch | train | complete | estimate | check | convert-official`.

Thin: it calls the package. What only a handler needs is imported inside it, so that `--help` answers at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

from pplkit.devices import launched, rank, voice
from pplkit.errors import PplkitError

DESCRIPTION = "Learn the pose of an object category from unlabelled images: keypoints, links and a pose prior."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process) and return the exit status.

    0 = done, 2 = wrong input, or runs of a batch that failed (one line on stderr, no traceback), 130 = interrupted. Of
    the processes that a launcher starts one speaks for all.
    """
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere) if rank() else nullcontext():
        parsed = _parser().parse_args(arguments)
    handler: Callable[[argparse.Namespace], None] = parsed.handler
    try:
        if launched() and handler is not _train:
            raise PplkitError("only `pplkit train` takes several processes: start this command without a launcher.")
        handler(parsed)
    except PplkitError as error:
        if said := voice(error):
            print(f"pplkit: {said}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("pplkit: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pplkit", description=DESCRIPTION)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="prepare, train, distil, evaluate, occlude: notebooks 01 to 05")
    run.add_argument("dataset", metavar="DATASET", help="name of the data set, such as puppets, cub or video-mine")
    _add_training_options(run, preset_default="those of the data set's name or kind")
    run.add_argument("--source", metavar="DIR", help="folder of the raw data set (puppets: the category)")
    run.add_argument("--size", type=int, help="side of the prepared images in pixels (default: the preset's)")
    run.add_argument("--scale", choices=("default", "smoke"), help="smoke: only to see that everything works")
    run.add_argument("--name", metavar="RUNNAME", help="name of the run folder in runs/ (default: DATASET)")
    several: dict[str, Any] = {"action": "extend", "nargs": "+", "default": [], "metavar": "NAME=VALUE"}
    told = "option of the data set's preparation, such as classes=1,2,3 or classes=1, (a list of one)"
    run.add_argument("--option", type=_option, help=told, **several)
    run.add_argument("--variant", help="short for --option variant=..., such as three for cub (classes 1 to 3)")
    run.set_defaults(handler=_run)

    batch = commands.add_parser("batch", help="notebooks over data sets x variants x seeds, as a plan says")
    batch.add_argument("plan", type=Path, metavar="PLAN", help="YAML file; the README has an example")
    batch.add_argument("--jobs", type=int, help="runs at a time (default: the plan's; else one for each GPU or core)")
    told = "send the runs to a SLURM cluster, with these options beside the plan's, such as partition=gpu gpus=1"
    batch.add_argument("--slurm", type=_option, nargs="*", metavar="NAME=VALUE", help=told)
    batch.set_defaults(handler=_batch)

    train = commands.add_parser("train", help="train on a prepared data set, or continue a run")
    train.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="folder of the prepared data set")
    train.add_argument("run", type=Path, metavar="RUN_DIR", help="run folder; continues where it stopped")
    _add_training_options(train, preset_default="the name of the data set")
    train.add_argument("--precision", help="32-true, bf16-mixed or 16-mixed")
    train.set_defaults(handler=_train)

    _add_poses(commands)

    check = commands.add_parser("check", help="what a prepared data set holds, and every fault of its files")
    check.add_argument("dataset", type=Path, metavar="DIR", help="folder of the prepared data set")
    check.add_argument("--sheet", type=Path, metavar="FILE", help="picture of samples to write (default: DIR.png)")
    check.set_defaults(handler=_check)

    convert = commands.add_parser("convert-official", help="a checkpoint of the authors' code to a run folder")
    convert.add_argument("checkpoint", type=Path, metavar="IN", help="file of torch.save; nothing in it is executed")
    convert.add_argument("run", type=Path, metavar="OUT", help="run folder to write: safetensors and JSON")
    convert.add_argument("--preset", help="settings it was trained with, such as released-h36m-128")
    convert.set_defaults(handler=_convert)
    return parser


def _add_poses(commands: Any) -> None:
    complete = commands.add_parser("complete", help="teach a trained run to see past what hides the object")
    complete.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    complete.add_argument("--steps", type=int, help="learning steps of 64 images (default: as many as the training's)")
    complete.add_argument("--device", help="auto, cpu, cuda or mps (default: the best one present)")
    complete.set_defaults(handler=_complete)

    estimate = commands.add_parser("estimate", help="poses of images, as JSON")
    estimate.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    estimate.add_argument("images", nargs="+", type=Path, metavar="IMAGES", help="image files or folders")
    estimate.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    estimate.add_argument("--iterations", type=int, default=0, help="rounds through the memory (default: 0; paper: 4)")
    estimate.add_argument("--procedure", help="completed or published (default: completed, if it can, without rounds)")
    estimate.add_argument("--crop", default="centre", help="the square seen: centre, or pad for all (default: centre)")
    estimate.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    estimate.set_defaults(handler=_estimate)


def _add_training_options(parser: argparse.ArgumentParser, preset_default: str) -> None:
    parser.add_argument("--preset", help=f"named settings (default: {preset_default})")
    parser.add_argument("--steps", type=int, help="training steps")
    parser.add_argument("--seed", type=int, help="seed of everything random")
    parser.add_argument("--device", help="auto, cpu, cuda or mps (default: the best one present)")
    parser.add_argument("--devices", type=int, help="processes that train together, one on each GPU (default: 1)")


def _option(text: str) -> tuple[str, Any]:
    """`name=value` as a pair; what is no JSON is text, and a comma in it makes a list ("1," has one item)."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    found = _value(value)
    if isinstance(found, str) and "," in value:
        return name, [_value(item) for item in value.removesuffix(",").split(",")]
    return name, found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _run(arguments: argparse.Namespace) -> None:
    from data_prep.known import preset_for
    from pplkit.config import Config
    from pplkit.notebooks import run_notebooks

    parameters = _given(arguments, "steps", "seed", "device", "devices", "size", "scale")
    parameters["preset"] = arguments.preset or preset_for(arguments.dataset)
    parameters.setdefault("size", Config.preset(parameters["preset"]).image_size)
    if arguments.source is not None:
        source = Path(arguments.source).expanduser()
        # A folder must be absolute, as the notebooks run in another one; a category of puppets stays as it is.
        parameters["source"] = str(source.resolve()) if source.exists() else arguments.source
    options = dict(arguments.option) | _given(arguments, "variant")
    if "labels" in options:
        options["labels"] = str(Path(options["labels"]).expanduser().resolve())
    if options:
        parameters["options"] = options
    _prepare(arguments.dataset, parameters)
    run_notebooks(arguments.dataset, arguments.name or arguments.dataset, parameters)


def _prepare(dataset: str, parameters: Mapping[str, Any]) -> None:
    """Prepare or open the data set and compare it with the settings, so that wrong input is found before all else."""
    from data_prep.known import DEFAULT_SIZE, prepared
    from pplkit.config import Config
    from pplkit.dataset import open_dataset
    from pplkit.notebooks import check_data

    preset = Config.preset(parameters["preset"])
    config = preset.smoke() if parameters.get("scale") == "smoke" else preset
    config = config.replace(**{name: parameters[name] for name in ("steps", "seed") if name in parameters})
    if "size" in parameters:
        config.replace(image_size=parameters["size"])  # before images are prepared that no model takes
    names = {"source": "", "size": DEFAULT_SIZE, "options": {}, "scale": "default"}
    data = open_dataset(prepared(dataset, **{name: parameters.get(name, value) for name, value in names.items()}))
    check_data(data, config)


def _batch(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from data_prep.known import preparation, preset_for
    from pplkit.batch import run_batch
    from pplkit.config import Config
    from pplkit.plans import Source, read_plan, slurm_options
    from pplkit.projects import data_folder
    from pplkit.yamls import At

    def prepare(name: str, source: Source, scale: str) -> Callable[[], Path]:
        there = (data_folder(name, scale) / "dataset.json").exists()
        size = source.size or (None if there else Config.preset(source.preset).image_size)
        return preparation(name, source.source, size, source.options, scale)

    plan = read_plan(arguments.plan, preset_for)
    jobs = plan.jobs if arguments.jobs is None else At(arguments.plan, "--jobs").whole(arguments.jobs, 1)
    slurm = slurm_options(At(arguments.plan, "--slurm"), {**plan.slurm, **dict(arguments.slurm or ())})
    run_batch(replace(plan, jobs=jobs, slurm=slurm), prepare, "local" if arguments.slurm is None else "slurm")


def _train(arguments: argparse.Namespace) -> None:
    import pplkit

    data = pplkit.open_dataset(arguments.dataset)
    settings = _given(arguments, "steps", "seed", "precision")
    config = pplkit.Config.preset(arguments.preset or data.name).replace(**settings)
    pplkit.train(config, data, arguments.run, **_given(arguments, "device", "devices"))
    if rank() == 0:
        print(f"The run is in {arguments.run}.")


def _complete(arguments: argparse.Namespace) -> None:
    import pplkit
    from pplkit.projects import data_of
    from pplkit.runs import RunFolder

    data = data_of(RunFolder(arguments.run))
    pplkit.complete(arguments.run, data, **_given(arguments, "steps", "device"))
    print(f"The completer is in {arguments.run}; `pplkit estimate` will use it.")


def _estimate(arguments: argparse.Namespace) -> None:
    out = arguments.out
    if not out.parent.is_dir():
        raise PplkitError(f"the folder {out.parent} of --out does not exist: create it or name another file.")
    import pplkit
    from pplkit.inference import estimate_files
    from pplkit.runs import write_json

    model = pplkit.load(arguments.run, **_given(arguments, "device"))
    poses = estimate_files(model, arguments.images, arguments.iterations, arguments.crop, arguments.procedure)
    write_json(out, poses)
    print(f"The poses of {len(poses['images'])} images are in {out}.")


def _check(arguments: argparse.Namespace) -> None:
    from pplkit import plots
    from pplkit.checking import faults, summary
    from pplkit.dataset import open_dataset
    from pplkit.reports import subset

    found = faults(arguments.dataset)
    if found:
        print("\n".join(found))
        raise PplkitError(f"{arguments.dataset} has {len(found)} fault{'s' * (len(found) > 1)}, named above.")
    data = open_dataset(arguments.dataset)
    print("\n".join(summary(data)))
    first = next(iter(data.splits.values()))
    shown = subset(first, 48)
    labels = None if first.keypoints is None else first.keypoints[shown]
    sheet = arguments.sheet or arguments.dataset.with_name(f"{arguments.dataset.name}.png")
    try:
        plots.contact_sheet(first.images[shown], labels, data.skeleton).savefig(sheet)
    except OSError as error:
        raise PplkitError(f"{sheet} cannot be written ({error}): name another file with --sheet.") from None
    print(f"No faults. Samples: {sheet}")


def _convert(arguments: argparse.Namespace) -> None:
    from pplkit.official import convert_official

    config = convert_official(arguments.checkpoint, arguments.run, arguments.preset)
    print(f"The weights are in {arguments.run}, with links of width {config.thickness}: see config.json.")
