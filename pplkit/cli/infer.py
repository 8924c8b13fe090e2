"""`pplkit estimate`, `landmarks` and `track`: what a trained model sees in images and videos."""

import argparse
from pathlib import Path

from pplkit import training
from pplkit.cli.options import Commands, add_command, check_output, estimator_of, given, warn_if_unfinished
from pplkit.core.words import quantity
from pplkit.inference import estimate as estimation
from pplkit.inference import tracking
from pplkit.inference.landmarks import fitting, landmark_head
from pplkit.training import run_folder

INFERENCE = ("--named", "--crop", "--batch-size", "--device", "--quiet")


def add_commands(commands: Commands) -> None:
    """Add `estimate`, `landmarks` and `track`."""
    parser = add_command(commands, estimate, "run", "--iterations", "--procedure", *INFERENCE)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATHS", help="images, videos, or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write: .json or .csv")
    text = "folder to write: every image with its keypoints and links drawn over it, as PNG"
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help=text)

    parser = add_command(commands, landmarks, "run", "--device")
    text = "table file,name,x,y,visible in pixels of your images, labels of DeepLabCut, SLEAP, labelme or COCO, or the "
    text += "table of notebook 04, image,landmark,x,y in pixels of the prepared images (default: RUN/landmarks.csv)"
    parser.add_argument("labels", type=Path, nargs="?", metavar="LABELS", help=text)
    text = "also learn how the points look (1 to 2 minutes), for points that no keypoint lies on; needs a backbone"
    parser.add_argument("--looks", action="store_true", help=text)
    parser.add_argument("--suggest", type=int, metavar="N", help="only print which N images are best to label")
    parser.add_argument("--split", default="train", help="split of the images (default: train)")

    parser = add_command(commands, track, "run", *INFERENCE)
    parser.add_argument("source", type=Path, metavar="VIDEO", help="video")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    parser.add_argument("--video", type=Path, metavar="FILE", help="MP4 file to write: the video with its tracks")
    text = "how far smoothing may move a point, in pixels of the model's images (default: 0.5; 0: no smoothing)"
    parser.add_argument("--smooth", type=float, dest="smoothing", metavar="PIXELS", help=text)
    parser.add_argument("--gap", type=int, metavar="FRAMES", help="longest gap that is filled (default: 5)")
    text = "fraction of its median confidence below which a point counts as missing (default: a third)"
    parser.add_argument("--least", type=float, metavar="FRACTION", help=text)


def estimate(arguments: argparse.Namespace) -> None:
    """Write the poses of images and videos as JSON or CSV."""
    check_output("--out", arguments.out, ".json", ".csv")
    if arguments.draw is not None:
        check_output("--draw", arguments.draw)
    estimator = estimator_of(arguments, "iterations", "procedure", "batch_size")
    count = estimation.write_poses(estimator, arguments.paths, arguments.out, bar=not arguments.quiet)
    print(f"The poses of {quantity(count, 'image')} are in {arguments.out}.")
    if arguments.draw is not None:
        from pplkit.viz.overlay import pose_images

        names = ("iterations", "procedure", "landmarks", "head")
        options = {name: getattr(estimator, name) for name in names}
        drawn = pose_images(estimator.model, arguments.paths, arguments.draw, estimator.crop, **options)
        print(f"{quantity(len(drawn), 'image')} with poses drawn over them: {arguments.draw}.")


def landmarks(arguments: argparse.Namespace) -> None:
    """Learn named points from labels on a handful of images."""
    model = training.load(arguments.run, arguments.device or "auto")
    warn_if_unfinished(arguments.run)
    data = run_folder.data_of(run_folder.RunFolder(arguments.run))
    if arguments.suggest is not None:
        print("The images to label first (position, file); name points in them, then `pplkit landmarks RUN LABELS`:")
        for index in fitting.suggest(model, data, arguments.suggest, arguments.split):
            print(f"{index}  {data[arguments.split].sources[index]}")
        return
    labels, path = arguments.labels or arguments.run / fitting.TABLE, arguments.run / fitting.MAP
    landmark_map = fitting.name_landmarks(model, data, labels, arguments.split)
    landmark_map.save(path)
    print("\n".join(fitting.summary(landmark_map)))
    landmark_head.head_file(path).unlink(missing_ok=True)
    if arguments.looks:
        fit = landmark_head.fit_head(model, fitting.labeled_images(data, labels, arguments.split), landmark_map)
        if fit.head is not None:
            fit.head.save(landmark_head.head_file(path), landmark_map)
        print(fit.summary())
    print(f"The landmarks are in {arguments.run / fitting.MAP}; --named of estimate, track and export writes them.")


def track(arguments: argparse.Namespace) -> None:
    """Write smooth tracks of a video as CSV, and draw them over it."""
    check_output("--out", arguments.out, ".csv")
    from pplkit.viz import overlay

    if arguments.video is not None:
        check_output("--video", arguments.video, ".mp4")
        overlay.check_output(arguments.source, arguments.video)
    estimator = estimator_of(arguments, "batch_size")
    options = given(arguments, "smoothing", "gap", "least")
    tracks = tracking.track(estimator, arguments.source, bar=not arguments.quiet, **options)
    tracking.write_tracks(arguments.out, tracks)
    if arguments.video is not None:
        overlay.track_video(estimator.model, arguments.source, arguments.video, tracks)
    print("\n".join(tracking.summary(tracks)))
    print(f"The tracks are in {arguments.out}{f', drawn in {arguments.video}' if arguments.video else ''}.")
