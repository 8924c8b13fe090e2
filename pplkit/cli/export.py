"""`pplkit export`: poses, prior or model for other programs and people."""

import argparse
from pathlib import Path

from pplkit import training
from pplkit.cli.options import Commands, add_command, check_output, estimator_of
from pplkit.core.errors import PplkitError
from pplkit.core.files import same_file, write_bytes
from pplkit.core.words import quantity
from pplkit.inference import estimate as estimation
from pplkit.inference.export import model_card, onnx, pose_formats
from pplkit.inference.export.lifter_onnx import export_lifter
from pplkit.training.saved_lifter import is_lifter


def add_commands(commands: Commands) -> None:
    """Add `export`."""
    parser = add_command(commands, export, "run", "--iterations", "--procedure", "--named", "--crop")
    text = "images, videos, or folders of them, whose poses are estimated and written"
    parser.add_argument("--images", nargs="+", type=Path, metavar="IMAGES", help=text)
    parser.add_argument("--poses", type=Path, metavar="FILE", help="or a JSON file of `pplkit estimate`")
    parser.add_argument("--format", help="of poses: coco (.json), csv, dlc (.csv or .h5) or sleap (.slp)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file of poses to write")
    text = "confidence from which COCO calls a keypoint visible (default: 0)"
    parser.add_argument("--visible", type=float, default=0.0, metavar="CONFIDENCE", help=text)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--prior", type=Path, metavar="FILE", help="drawing of the prior to write (.svg)")
    text = "folder to write: weights, settings, prior and a model card; pplkit.load reads it"
    parser.add_argument("--model", type=Path, metavar="FOLDER", help=text)
    parser.add_argument(
        "--onnx", type=Path, metavar="FILE", help="estimator, or lifter, to write for ONNX Runtime and others"
    )


def export(arguments: argparse.Namespace) -> None:
    """Write poses, the prior or the model for other programs and people."""
    _check(arguments)
    if arguments.out is not None:
        _export_poses(arguments)
    if arguments.model is not None:
        folder = model_card.save_pretrained(arguments.run, arguments.model)
        print(f"The model and its card are in {folder}.")
    if arguments.prior is not None:
        from pplkit.viz.drawing import image_bytes
        from pplkit.viz.prior import prior_figure

        figure = prior_figure(training.load(arguments.run).prior(), weights=False)
        write_bytes(arguments.prior, image_bytes(figure, "svg"))
        print(f"The prior is in {arguments.prior}.")
    if arguments.onnx is not None:
        if is_lifter(arguments.run):
            print(f"The lifter is in {export_lifter(training.load_lifter(arguments.run), arguments.onnx)}.")
        else:
            print(f"The estimator is in {onnx.export_onnx(training.load(arguments.run), arguments.onnx)}.")


def _check(arguments: argparse.Namespace) -> None:
    for option, suffixes in {"prior": (".svg",), "model": (), "onnx": (".onnx",)}.items():
        if (path := getattr(arguments, option)) is not None:
            check_output(f"--{option}", path, *suffixes)
    sources = [path for path in (arguments.images, arguments.poses) if path is not None]
    if not sources and not any((arguments.format, arguments.out, arguments.prior, arguments.model, arguments.onnx)):
        raise PplkitError("there is nothing to export: give --images, --poses, --prior, --model or --onnx.")
    if len(sources) > 1 or {bool(sources)} != {arguments.format is not None, arguments.out is not None}:
        raise PplkitError("poses are exported from --images or --poses, with both --format and --out: give these.")
    if arguments.named and arguments.images is None:
        raise PplkitError("--named is for the poses of --images: give these, or --poses of `pplkit estimate --named`.")
    if not 0 <= arguments.visible <= 1:
        raise PplkitError(f"--visible {arguments.visible} is not a confidence: give a number from 0 to 1.")
    if sources:
        pose_formats.check_format(arguments.format, arguments.out)
        check_output("--out", arguments.out)
        if arguments.poses is not None and same_file(arguments.poses, arguments.out):
            raise PplkitError(f"--out {arguments.out} is the file of --poses and would be lost: name another file.")


def _export_poses(arguments: argparse.Namespace) -> None:
    if arguments.poses is not None:
        poses = pose_formats.read_poses(arguments.poses)
    else:
        estimator = estimator_of(arguments, "iterations", "procedure", device="cpu")
        poses = pose_formats.pose_table(estimation.estimate_files(estimator, arguments.images))
    folder = arguments.images[0] if arguments.images and len(arguments.images) == 1 else None
    root = folder if folder and folder.is_dir() else arguments.out.parent
    pose_formats.export_poses(poses, arguments.format, arguments.out, arguments.visible, root)
    print(f"The poses of {quantity(len(poses.files), 'image')} are in {arguments.out}.")
