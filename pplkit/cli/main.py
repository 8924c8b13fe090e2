"""The command line: what a line may say, and what becomes of errors; `commands` does what it says."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

from pplkit.cli import commands
from pplkit.core.errors import PplkitError
from pplkit.core.files import parse_json
from pplkit.training.distributed import error_to_report, launched, rank

CROP = "the square seen: centre, pad for all, or object to follow it (default: as in training, else centre)"
DESCRIPTION = "Learn the pose of an object category from unlabelled images: keypoints, links and a pose prior."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process) and return the exit status.

    0 = done, 2 = wrong input, or runs of a batch that failed (one line on stderr, no traceback), 130 = interrupted, 143
    = ended by SIGTERM after saving. Of the processes that a launcher starts one speaks for all.
    """
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere) if rank() else nullcontext():
        parsed = _parser().parse_args(arguments)
    handler: Callable[[argparse.Namespace], None] = parsed.handler
    try:
        if launched() and handler is not commands.train:
            raise PplkitError("only `pplkit train` takes several processes: start this command without a launcher.")
        handler(parsed)
    except PplkitError as error:
        if said := error_to_report(error):
            print(f"pplkit: {said}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt as error:
        if not rank():
            print(f"pplkit: {error if str(error) else 'interrupted'}", file=sys.stderr, flush=True)
        return 128 + getattr(error, "number", signal.SIGINT)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pplkit", description=DESCRIPTION)
    parsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = parsers.add_parser("run", help="prepare, train, distil, evaluate, occlude: notebooks 01 to 05")
    run.add_argument("dataset", metavar="DATASET", help="name of the data set, such as puppets, cub or video-mine")
    _add_training_options(run)
    run.add_argument("--source", metavar="DIR", help="folder of the raw data set (puppets: the category)")
    run.add_argument("--size", type=int, help="side of the prepared images in pixels (default: the preset's)")
    run.add_argument("--scale", choices=("default", "smoke"), help="smoke: only to see that everything works")
    run.add_argument("--name", metavar="RUNNAME", help="name of the run folder in runs/ (default: DATASET)")
    several: dict[str, Any] = {"action": "extend", "nargs": "+", "default": [], "metavar": "NAME=VALUE"}
    told = "option of the data set's preparation, such as classes=1,2,3 or classes=1, (a list of one)"
    run.add_argument("--option", type=_option, help=told, **several)
    run.add_argument("--variant", help="short for --option variant=..., such as three for cub (classes 1 to 3)")
    run.set_defaults(handler=commands.run)

    _add_batch(parsers)

    train = parsers.add_parser("train", help="train on a prepared data set, or continue a run")
    train.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="folder of the prepared data set")
    train.add_argument("run", type=Path, metavar="RUN_DIR", help="run folder; continues where it stopped")
    _add_training_options(train)
    train.add_argument("--precision", help="32-true, bf16-mixed or 16-mixed")
    train.add_argument("--save-every", type=int, metavar="STEPS", help="steps between checkpoints (default: 200)")
    told = "the same numbers each time on a GPU as well, which takes longer"
    train.add_argument("--deterministic", action="store_true", default=None, help=told)
    train.set_defaults(handler=commands.train)

    doctor = parsers.add_parser("doctor", help="what went wrong in a training, in words, and what to try")
    doctor.add_argument("run", type=Path, metavar="RUN", help="run folder; doctor.json is written to it")
    doctor.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    doctor.set_defaults(handler=commands.doctor)

    _add_poses(parsers)

    check = parsers.add_parser("check", help="what a prepared data set holds, and every fault of its files")
    check.add_argument("dataset", type=Path, metavar="DIR", help="folder of the prepared data set")
    check.add_argument("--sheet", type=Path, metavar="FILE", help="picture of samples to write (default: DIR.png)")
    check.set_defaults(handler=commands.check)

    convert = parsers.add_parser("convert-official", help="a checkpoint of the authors' code to a run folder")
    convert.add_argument("checkpoint", type=Path, metavar="IN", help="file of torch.save; nothing in it is executed")
    convert.add_argument("run", type=Path, metavar="OUT", help="run folder to write: safetensors and JSON")
    convert.add_argument("--preset", help="settings it was trained with, such as released-h36m-128")
    convert.set_defaults(handler=commands.convert)
    return parser


def _add_batch(parsers: Any) -> None:
    batch = parsers.add_parser("batch", help="notebooks over data sets x variants x seeds, as a plan says")
    batch.add_argument("plan", type=Path, metavar="PLAN", help="YAML file; docs/batches.md has an example")
    batch.add_argument("--jobs", type=int, help="runs at a time (default: the plan's; else one for each GPU or core)")
    told = "send the runs to a SLURM cluster, with these options beside the plan's, such as partition=gpu gpus=1"
    batch.add_argument("--slurm", type=_option, nargs="*", metavar="NAME=VALUE", help=told)
    batch.set_defaults(handler=commands.batch)


def _add_poses(parsers: Any) -> None:
    complete = parsers.add_parser("complete", help="teach a trained run to see past what hides the object")
    complete.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    complete.add_argument("--steps", type=int, help="learning steps of 64 images (default: as many as the training's)")
    complete.add_argument("--device", help="auto, cpu, cuda or mps (default: the best one present)")
    complete.set_defaults(handler=commands.complete)

    _add_inference(parsers)
    _add_export(parsers)


def _add_inference(parsers: Any) -> None:
    estimate = parsers.add_parser("estimate", help="poses of pictures and videos, as JSON or CSV")
    estimate.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    estimate.add_argument("paths", nargs="+", type=Path, metavar="PATHS", help="pictures, videos, or folders of them")
    estimate.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write: .json, or .csv")
    estimate.add_argument("--iterations", type=int, default=0, help="rounds through the memory (default: 0; paper: 4)")
    estimate.add_argument("--procedure", help="completed or published (default: completed, if it can, without rounds)")
    _add_inference_options(estimate)
    estimate.set_defaults(handler=commands.estimate)

    landmarks = parsers.add_parser("landmarks", help="name points by labels on a handful of images")
    landmarks.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    told = "table image,landmark,x,y in pixels of the prepared images (default: RUN/landmarks.csv)"
    landmarks.add_argument("labels", type=Path, nargs="?", metavar="LABELS", help=told)
    landmarks.add_argument("--suggest", type=int, metavar="N", help="only say which N images it pays most to label")
    landmarks.add_argument("--split", default="train", help="split of the images (default: train)")
    landmarks.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps (default: the best one present)")
    landmarks.set_defaults(handler=commands.landmarks)

    track = parsers.add_parser("track", help="smooth tracks of a video, as CSV and drawn over it")
    track.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    track.add_argument("source", type=Path, metavar="VIDEO", help="video")
    track.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    track.add_argument("--video", type=Path, metavar="FILE", help="MP4 file to write: the video with its tracks")
    told = "how far smooth points may be from found ones, in pixels of the model's images (default: 0.5; 0: as found)"
    track.add_argument("--smooth", type=float, dest="smoothing", metavar="PIXELS", help=told)
    track.add_argument("--gap", type=int, metavar="FRAMES", help="longest gap that is filled (default: 5)")
    told = "a point counts as not found below this share of its median confidence (default: a third)"
    track.add_argument("--least", type=float, metavar="SHARE", help=told)
    _add_inference_options(track)
    track.set_defaults(handler=commands.track)


def _add_export(parsers: Any) -> None:
    export = parsers.add_parser("export", help="poses, prior or model for other programs and people")
    export.add_argument("run", type=Path, metavar="RUN", help="run folder of a trained model")
    told = "pictures, videos, or folders of them, to export the poses of"
    export.add_argument("--images", nargs="+", type=Path, metavar="IMAGES", help=told)
    export.add_argument("--poses", type=Path, metavar="FILE", help="or poses that `pplkit estimate` has written")
    export.add_argument("--format", help="of poses: coco (.json), csv, dlc (.csv or .h5) or sleap (.slp)")
    export.add_argument("--out", type=Path, metavar="FILE", help="file of poses to write")
    export.add_argument("--named", action="store_true", help="the landmarks of the run instead of its keypoints")
    told = "confidence from which COCO calls a keypoint visible (default: 0)"
    export.add_argument("--visible", type=float, default=0.0, metavar="SHARE", help=told)
    export.add_argument("--iterations", type=int, default=0, help="rounds through the memory (default: 0; paper: 4)")
    export.add_argument("--procedure", help="completed or published (default: completed, if it can, without rounds)")
    export.add_argument("--crop", help=CROP)
    export.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    export.add_argument("--prior", type=Path, metavar="FILE", help="the prior as a drawing (.svg)")
    told = "folder to write: weights, config, prior and a card, which pplkit.load reads"
    export.add_argument("--model", type=Path, metavar="FOLDER", help=told)
    export.add_argument("--onnx", type=Path, metavar="FILE", help="the estimator for ONNX Runtime and others")
    export.set_defaults(handler=commands.export)


def _add_inference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--named", action="store_true", help="the landmarks of the run instead of its keypoints")
    parser.add_argument("--crop", help=CROP)
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time through the model (default: 64)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps (default: the best one present)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help="named settings (default: those of the data set's name or kind)")
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
        return parse_json(text)
    except ValueError:
        return text
