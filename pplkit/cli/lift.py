"""`pplkit lift`: 3D motion from 2D keypoints, of any detector or of the kit's own."""

import argparse
from pathlib import Path
from typing import Any

from pplkit.cli.options import BEST, Commands, add_command, check_output, given
from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity
from pplkit.data.reader import is_video

NEEDS_PRIOR = ("landmarks", "crop")  # options for videos alone


def add_commands(commands: Commands) -> None:
    """Add `lift`."""
    parser = add_command(commands, lift, "run", "--crop", "--quiet")
    text = "keypoints: JSON of COCO results, AlphaPose, OpenPose (or its folder) or MMPose, CSV, NumPy, or a video"
    parser.add_argument("source", type=Path, metavar="KEYPOINTS", help=text)
    text = "file to write: .npz (all of it), .bvh, .json or .csv"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=text)
    text = "joints of the keypoints: coco17, h36m17, halpe26, mpii16, body25, or a JSON file of names"
    parser.add_argument("--layout", help=f"{text} (default: the names in the file)")
    text = "size of the image in pixels, such as 1920x1080 (default: what the file says)"
    parser.add_argument("--size", type=_size, metavar="WIDTHxHEIGHT", help=text)
    text = "frames a second of the keypoints (default: what the file says, else the rate of the lifter)"
    parser.add_argument("--fps", type=float, help=text)
    parser.add_argument("--person", help="which of several people: the number of the tracker, or 1 for the first")
    parser.add_argument("--height", type=float, metavar="METERS", help="of the person, which sets the scale")
    text = "one length for each bone in all frames, the same on both sides (a BVH always has constant lengths)"
    parser.add_argument("--constant-bones", action="store_true", help=text)
    parser.add_argument("--focal-length", type=float, metavar="PIXELS", help="of the camera (default: 47 degrees wide)")
    text = "show the lifter the frames as they are instead of at the rate that it was trained on"
    parser.add_argument("--as-is", action="store_true", help=text)
    text = "for a video: run folder of a pose prior with landmarks, which finds the keypoints"
    parser.add_argument("--keypoints", type=Path, metavar="PRIOR_RUN", help=text)
    text = "file of `pplkit landmarks` (default: that of the prior's run)"
    parser.add_argument("--landmarks", type=Path, metavar="FILE", help=text)
    parser.add_argument("--device", help=BEST)


def _size(text: str) -> tuple[int, int]:
    """The type of --size: WIDTHxHEIGHT."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 1920x1080")
    return int(width), int(height)


def lift(arguments: argparse.Namespace) -> None:
    """Write 3D motion that is lifted from 2D keypoints, or from a video through a pose prior."""
    from pplkit.inference.lifting.lift import lift as lift_keypoints
    from pplkit.inference.lifting.motion_files import WRITERS, write_motion
    from pplkit.training.saved_lifter import load_lifter

    check_output("--out", arguments.out, *WRITERS)
    run = load_lifter(arguments.run, arguments.device or "cpu")
    options = given(arguments, "size", "layout", "fps", "person", "height", "focal_length")
    source = _source(arguments)
    options |= {"constant_bones": arguments.constant_bones, "resample": not arguments.as_is}
    motion = lift_keypoints(source, model=run, **options)
    write_motion(arguments.out, motion)
    seen = (motion.weight > 0).mean()
    rate = "" if arguments.fps or motion.fps != run.fps else ", unless --fps says otherwise"
    print(f"{quantity(len(motion), 'frame')} at {motion.fps:g} a second{rate}; {seen:.0%} of the joints were seen.")
    print(f"The motion is in {arguments.out}.")


def _source(arguments: argparse.Namespace) -> Any:
    """The file of keypoints, or those of a video. Raises PplkitError for options that do not go together."""
    if arguments.source.is_file() and is_video(arguments.source):
        if arguments.keypoints is None:
            raise PplkitError(
                f"{arguments.source} is a video: give --keypoints, the run of a pose prior with landmarks, or lift the "
                "keypoints that another detector found in it."
            )
        from pplkit.inference.lifting.video_keypoints import video_keypoints

        options = given(arguments, *NEEDS_PRIOR, "device")
        return video_keypoints(arguments.source, arguments.keypoints, bar=not arguments.quiet, **options)
    if arguments.keypoints or any(getattr(arguments, name) for name in NEEDS_PRIOR):
        raise PplkitError("--keypoints, --landmarks and --crop are for videos: leave them out, or give a video.")
    return arguments.source
