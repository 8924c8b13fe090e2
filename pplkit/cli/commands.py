"""What each command of the command line does; `cli` reads the arguments.

Thin: it calls the package. What only one command needs is imported inside it, so that `--help` answers at once.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.training.distributed import rank


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def run(arguments: argparse.Namespace) -> None:
    """Prepare the data set and take it through notebooks 01 to 05."""
    from data_prep.registry import preset_for
    from pplkit.experiments.notebooks import run_notebooks
    from pplkit.models.prior.config import Config

    parameters = _given(arguments, "steps", "seed", "device", "devices", "size", "scale")
    parameters["preset"] = arguments.preset or preset_for(arguments.dataset)
    parameters.setdefault("size", Config.preset(parameters["preset"]).image_size)
    if arguments.source is not None:
        source = Path(arguments.source).expanduser()
        # A folder must be absolute, as the notebooks run in another one; a category of puppets stays as it is.
        parameters["source"] = str(source.resolve()) if source.exists() else arguments.source
    options = dict(arguments.option) | _given(arguments, "variant")
    if "labels" in options:
        if not isinstance(options["labels"], str):
            raise PplkitError(f"--option labels={options['labels']!r} names no file: give one table of labels.")
        options["labels"] = str(Path(options["labels"]).expanduser().resolve())
    if options:
        parameters["options"] = options
    prepare_data(arguments.dataset, parameters)
    run_notebooks(arguments.dataset, arguments.name or arguments.dataset, parameters)


def prepare_data(dataset: str, parameters: Mapping[str, Any]) -> None:
    """Prepare or open the data set and compare it with the settings, so that wrong input is found before all else."""
    from data_prep.registry import DEFAULT_SIZE, prepared
    from pplkit.data.dataset import open_dataset
    from pplkit.experiments.notebooks import check_data
    from pplkit.models.prior.config import Config

    preset = Config.preset(parameters["preset"])
    config = preset.smoke() if parameters.get("scale") == "smoke" else preset
    config = config.replace(**{name: parameters[name] for name in ("steps", "seed") if name in parameters})
    if "size" in parameters:
        config.replace(image_size=parameters["size"])  # before images are prepared that no model takes
    names = {"source": "", "size": DEFAULT_SIZE, "options": {}, "scale": "default"}
    data = open_dataset(prepared(dataset, **{name: parameters.get(name, value) for name, value in names.items()}))
    check_data(data, config)
    if parameters.get("scale") != "smoke":
        _warn(data)


def _warn(data: Any) -> None:
    """Say, before anything is trained, what is wrong with images; on stderr."""
    from pplkit.evaluation.diagnosis.report import data_findings, warnings

    for line in warnings(data_findings(data)):
        print(f"pplkit: {line}", file=sys.stderr, flush=True)


def batch(arguments: argparse.Namespace) -> None:
    """Run what is missing of a plan."""
    from dataclasses import replace

    from data_prep.registry import preparation, preset_for
    from pplkit.core.project import data_folder
    from pplkit.core.yaml_file import At
    from pplkit.experiments.batch import run_batch
    from pplkit.experiments.plan import Source, read_plan, slurm_options
    from pplkit.models.prior.config import Config

    def prepare(name: str, source: Source, scale: str) -> Callable[[], Path]:
        there = (data_folder(name, scale) / "dataset.json").exists()
        size = source.size or (None if there else Config.preset(source.preset).image_size)
        return preparation(name, source.source, size, source.options, scale)

    plan = read_plan(arguments.plan, preset_for)
    jobs = plan.jobs if arguments.jobs is None else At(arguments.plan, "--jobs").whole(arguments.jobs, 1)
    slurm = slurm_options(At(arguments.plan, "--slurm"), {**plan.slurm, **dict(arguments.slurm or ())})
    run_batch(replace(plan, jobs=jobs, slurm=slurm), prepare, "local" if arguments.slurm is None else "slurm")


def train(arguments: argparse.Namespace) -> None:
    """Train on a prepared data set."""
    import pplkit
    from data_prep.registry import preset_for

    data = pplkit.open_dataset(arguments.dataset)
    settings = _given(arguments, "steps", "seed", "precision")
    config = pplkit.Config.preset(arguments.preset or preset_for(data.name)).replace(**settings)
    given = _given(arguments, "device", "devices", "save_every", "deterministic")
    if rank() == 0:
        _warn(data)
    pplkit.train(config, data, arguments.run, **given)
    if rank() == 0:
        print(f"The run is in {arguments.run}.")


def doctor(arguments: argparse.Namespace) -> None:
    """Say what went wrong in a training; advice, so that findings are no error."""
    from pplkit.evaluation.diagnosis.report import diagnose, table
    from pplkit.training.run_folder import RunFolder, data_of

    report = diagnose(arguments.run, data_of(RunFolder(arguments.run)), **_given(arguments, "device"))
    print("\n".join(table(report)))


def complete(arguments: argparse.Namespace) -> None:
    """Teach a trained run to see past what hides the object."""
    import pplkit
    from pplkit.training.run_folder import RunFolder, data_of

    data = data_of(RunFolder(arguments.run))
    pplkit.complete(arguments.run, data, **_given(arguments, "steps", "device"))
    print(f"The completer is in {arguments.run}; `pplkit estimate` will use it.")


def _loaded(arguments: argparse.Namespace) -> Any:
    """The model on the device that is wanted, or on the best one present."""
    import pplkit

    return pplkit.load(arguments.run, arguments.device or "auto")


def _check_out(name: str, path: Path, *endings: str) -> None:
    """Raise PplkitError for a file that cannot come to be, before anything is computed."""
    _check_folder(path, name)
    if path.suffix.lower() not in endings:
        raise PplkitError(f"{name} {path} does not end in {' or '.join(endings)}: name the file so.")


def _estimator(arguments: argparse.Namespace, *options: str, device: str = "auto") -> Any:
    """The model of the run, on --device or else `device`, and how it is to estimate poses."""
    import pplkit
    from pplkit.inference.estimate import Estimator
    from pplkit.inference.landmarks.fitting import load_landmarks

    model = pplkit.load(arguments.run, arguments.device or device)
    named = load_landmarks(arguments.run, model) if arguments.named else None
    return Estimator(model, crop=_crop(arguments), landmarks=named, **_given(arguments, *options))


def _crop(arguments: argparse.Namespace) -> str:
    """The crop that is named, or that of the run's data set."""
    from pplkit.experiments.project_runs import crop_of

    return arguments.crop or crop_of(arguments.run)


def estimate(arguments: argparse.Namespace) -> None:
    """Write the poses of pictures and videos as JSON or CSV."""
    _check_out("--out", arguments.out, ".json", ".csv")
    from pplkit.inference.estimate import write_poses

    estimator = _estimator(arguments, "iterations", "procedure", "batch_size")
    number = write_poses(estimator, arguments.paths, arguments.out, bar=not arguments.quiet)
    print(f"The poses of {number} images are in {arguments.out}.")


def landmarks(arguments: argparse.Namespace) -> None:
    """Fit named landmarks to labels, or say which images to label."""
    from pplkit.inference.landmarks import fitting
    from pplkit.training.run_folder import RunFolder, data_of

    model, data = _loaded(arguments), data_of(RunFolder(arguments.run))
    if arguments.suggest is not None:
        for index in fitting.suggest(model, data, arguments.suggest, arguments.split):
            print(f"{index}  {data[arguments.split].sources[index]}")
        return
    found = fitting.name_landmarks(model, data, arguments.labels or arguments.run / fitting.TABLE, arguments.split)
    out = arguments.run / fitting.MAP
    found.save(out)
    print("\n".join(fitting.summary(found)))
    print(f"The landmarks are in {out}; `pplkit estimate`, `track` and `export` write them with --named.")


def track(arguments: argparse.Namespace) -> None:
    """Write smooth tracks of a video, and the video with them drawn over it."""
    _check_out("--out", arguments.out, ".csv")
    from pplkit.inference import tracking as tracks
    from pplkit.viz import overlay

    if arguments.video is not None:
        _check_out("--video", arguments.video, ".mp4")
        overlay.check_apart(arguments.source, arguments.video)
    estimator = _estimator(arguments, "batch_size")
    options = _given(arguments, "smoothing", "gap", "least")
    found = tracks.track(estimator, arguments.source, bar=not arguments.quiet, **options)
    tracks.write_tracks(arguments.out, found)
    if arguments.video is not None:
        overlay.track_video(estimator.model, arguments.source, arguments.video, found)
    print("\n".join(tracks.summary(found)))
    print(f"The tracks are in {arguments.out}{f', drawn in {arguments.video}' if arguments.video else ''}.")


def _check_folder(path: Path, option: str) -> None:
    if not path.parent.is_dir():
        raise PplkitError(f"the folder {path.parent} of {option} does not exist: create it or name another file.")


def export(arguments: argparse.Namespace) -> None:
    """Write poses, the prior or the model of a run for other programs; all that is wrong is said before anything."""
    given = _given(arguments, "prior", "model", "onnx")
    for name, path in given.items():
        _check_folder(path, f"--{name}")
    if "prior" in given and arguments.prior.suffix != ".svg":
        raise PplkitError(f"--prior {arguments.prior} does not end in .svg: name another file; prior.json has numbers.")
    if "onnx" in given:
        _check_out("--onnx", arguments.onnx, ".onnx")
    sources = (arguments.images is not None) + (arguments.poses is not None)
    if sources > 1 or (sources == 1) != (arguments.format is not None) or (sources == 1) != (arguments.out is not None):
        raise PplkitError("poses are exported from --images or --poses, with both --format and --out: give these.")
    if arguments.named and arguments.images is None:
        raise PplkitError("--named is for the poses of --images: give these, or --poses of `pplkit estimate --named`.")
    if not sources and not given:
        raise PplkitError("nothing to export is named: give --images, --poses, --prior, --model or --onnx.")
    if sources:
        _export_poses(arguments)
    if "model" in given:
        from pplkit.inference.export.model_card import save_pretrained

        print(f"The model and its card are in {save_pretrained(arguments.run, arguments.model)}.")
    if "prior" in given or "onnx" in given:
        _export_model(arguments)


def _export_poses(arguments: argparse.Namespace) -> None:
    from pplkit.core.files import same_file
    from pplkit.inference.export.pose_formats import check_format, export_poses, pose_table, read_poses

    if not 0 <= arguments.visible <= 1:
        raise PplkitError(f"--visible {arguments.visible} is no confidence: give a number from 0 to 1.")
    check_format(arguments.format, arguments.out)
    _check_folder(arguments.out, "--out")
    if arguments.poses is not None:
        if same_file(arguments.poses, arguments.out):
            raise PplkitError(f"--out {arguments.out} is the file of --poses: name another, or what it has is lost.")
        poses = read_poses(arguments.poses)
    else:
        from pplkit.inference.estimate import estimate_files

        estimator = _estimator(arguments, "iterations", "procedure", device="cpu")
        poses = pose_table(estimate_files(estimator, arguments.images))
    export_poses(poses, arguments.format, arguments.out, arguments.visible)
    print(f"The poses of {len(poses.files)} images are in {arguments.out}.")


def _export_model(arguments: argparse.Namespace) -> None:
    import pplkit

    model = pplkit.load(arguments.run)
    if arguments.prior is not None:
        from pplkit.core.files import write_text
        from pplkit.viz.svg import prior_svg

        write_text(arguments.prior, prior_svg(model.prior()))
        print(f"The prior is in {arguments.prior}.")
    if arguments.onnx is not None:
        from pplkit.inference.export.onnx import export_onnx

        print(f"The estimator is in {export_onnx(model, arguments.onnx)}.")


def check(arguments: argparse.Namespace) -> None:
    """Say what a prepared data set holds, and all that is wrong with it."""
    from pplkit.data.dataset import open_dataset
    from pplkit.data.sampling import evenly_spaced
    from pplkit.data.validation import faults, summary
    from pplkit.viz import images as plots

    found = faults(arguments.dataset)
    if found:
        print("\n".join(found))
        raise PplkitError(f"{arguments.dataset} has {len(found)} fault{'s' * (len(found) > 1)}, named above.")
    data = open_dataset(arguments.dataset)
    print("\n".join(summary(data)))
    first = next(iter(data.splits.values()))
    shown = evenly_spaced(first, 48)
    labels = None if first.keypoints is None else first.keypoints[shown]
    sheet = arguments.sheet or arguments.dataset.with_name(f"{arguments.dataset.name}.png")
    try:
        plots.contact_sheet(first.images[shown], labels, data.skeleton).savefig(sheet)
    except OSError as error:
        raise PplkitError(f"{sheet} cannot be written ({error}): name another file with --sheet.") from None
    print(f"No faults. Samples: {sheet}")


def convert(arguments: argparse.Namespace) -> None:
    """Make a run folder of a checkpoint of the authors' code."""
    from pplkit.training.saved_model import convert_official

    config = convert_official(arguments.checkpoint, arguments.run, arguments.preset)
    print(f"The weights are in {arguments.run}, with links of width {config.thickness}: see config.json.")
