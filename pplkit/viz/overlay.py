"""Poses drawn over images and videos at their own resolution."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageOps

from pplkit.core.errors import PplkitError
from pplkit.core.files import same_file
from pplkit.data.image_inputs import as_image
from pplkit.data.reader import Frame, FrameSource, read_whole
from pplkit.data.video import frame_table, readable
from pplkit.data.video_writer import write_video
from pplkit.inference.estimate import Estimator
from pplkit.inference.landmarks.landmark_head import LandmarkHead
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.inference.tracking import Tracks
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Poses
from pplkit.viz.drawing import BLUE, keypoint_colors, strong_links

BATCH_SIZE = 16  # images held at full size
SHOWN_WIDTH = 480  # CSS pixels of what a notebook shows
EMBEDDED_BYTES = 8 * 2**20  # the largest video that a notebook keeps in itself
MAX_STEM = 50  # letters of a file's name in the name of its drawing
THICKNESS = 1 / 90  # of the strongest link, in longer sides of the image
SHEET = 16  # images of a sheet at most ...
TILE = 256  # ... and the pixels of each, a side
LEAST_RIM_PIXELS = 3  # thickness from which on lines and points have a rim, which on a small image would hide them
LEAST_STRENGTH = 0.1  # of the strongest link, below which a link is left out
RIM_STRENGTH = 0.5  # of the strongest link, from which on a link has a rim


def draw_pose(
    image: np.ndarray,
    points: np.ndarray,
    links: Sequence[tuple[int, int]] = (),
    strengths: Sequence[float] | None = None,
    confidence: np.ndarray | None = None,
    least: float = 0.0,
) -> np.ndarray:
    """A copy of a uint8 image (H, W, 3) with a pose: points (N, 2) in its pixels, 0 = center of the first, and links.

    `strengths` in [0, 1] set the width and opacity of each link; the weakest are left out. Points whose confidence (N,)
    is below `least`, or that are NaN, are left out, with their links.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas, "RGBA")  # blends what it draws
    shown = np.isfinite(points).all(-1) & (True if confidence is None else confidence >= least)
    widest = max(image.shape[:2]) * THICKNESS
    rim = widest >= LEAST_RIM_PIXELS
    strengths = [1.0] * len(links) if strengths is None else strengths
    for (i, j), strength in sorted(zip(links, strengths, strict=True), key=lambda pair: pair[1]):
        if shown[i] and shown[j] and strength >= LEAST_STRENGTH:
            ends = [tuple(points[i].tolist()), tuple(points[j].tolist())]
            width, opacity = max(1, round(widest * (0.1 + 0.9 * strength))), round(255 * (0.15 + 0.85 * strength))
            if rim and strength >= RIM_STRENGTH:
                pen.line(ends, fill=(255, 255, 255, opacity), width=width + 2)
            pen.line(ends, fill=(*ImageColor.getrgb(BLUE)[:3], opacity), width=width)
    radius = max(1.5, widest)
    for (x, y), color in zip(points[shown], keypoint_colors(len(points))[shown], strict=True):
        fill = tuple((255 * color[:3]).astype(int).tolist())
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline="white" if rim else None)
    return np.asarray(canvas)


def check_output(source: Path, out: Path) -> None:
    """Raise PplkitError if the file to write is the video to draw over."""
    if same_file(source, out):
        raise PplkitError(f"{out} is the video to draw over and would be overwritten: name another file.")


def pose_video(model: PosePriorLearner, source: Path, out: Path, crop: str = "center", **options: Any) -> Path:
    """The video `source` with the pose of every frame drawn over it, as the MP4 file `out`; returns it.

    `crop` says, as in the preparation of the data, which square of a frame the model sees: "center" or "pad". `options`
    are those of `overlays`. Raises PplkitError for a video that cannot be read, or a file that cannot be written.
    """
    check_output(source, out)
    with closing(iter(FrameSource([source], model.config.image_size, crop, BATCH_SIZE, whole=True))) as images:
        timed, drawn = tee(images)
        times = (image.seconds or 0.0 for image in timed)
        return write_video(out, overlays(model, drawn, **options), 1 / frame_table(source).step, times)


def shown_file(path: Path) -> Any:
    """A written video or image as the last expression of a cell: played in the notebook, from the notebook's own file.

    Videos above EMBEDDED_BYTES are played from their place instead, so that the notebook stays small.
    """
    from IPython.display import Image as ShownImage
    from IPython.display import Video

    if path.suffix.lower() != ".mp4":
        return ShownImage(filename=str(path), width=SHOWN_WIDTH)
    return Video(str(path), embed=path.stat().st_size <= EMBEDDED_BYTES, width=SHOWN_WIDTH)


def pose_images(
    model: PosePriorLearner, files: Sequence[Path], out: Path, crop: str = "center", **options: Any
) -> list[Path]:
    """Images, and all those of files with several, with their poses drawn over them, as PNG files in the folder `out`.

    Returns the files. For `crop` and `options` see `pose_video`.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with closing(iter(FrameSource(files, model.config.image_size, crop, BATCH_SIZE, whole=True))) as source:
        frames, shown = tee(source)
        for number, (frame, image) in enumerate(zip(frames, overlays(model, shown, **options), strict=True)):
            page = "" if frame.number is None else f"-{frame.number}"
            # Files of two folders may have one name, and one may be as long as a file system allows.
            written.append(out / f"{number:05d}-{frame.file.stem[:MAX_STEM]}{page}.png")
            Image.fromarray(image).save(written[-1])
    return written


def overlays(
    model: PosePriorLearner,
    images: Iterable[Frame],
    iterations: int = 0,
    least: float = 0.0,
    procedure: str | None = None,
    landmarks: LandmarkMap | None = None,
    head: LandmarkHead | None = None,
) -> Iterator[np.ndarray]:
    """Images of a FrameSource that keeps them whole, with their poses, or with `landmarks`, which have no links.

    Points with a confidence below `least` are left out. `iterations`, `procedure` and `head` are as in `Estimator`.
    """
    skeleton = ([], []) if landmarks else strong_links(model.prior())
    options: Any = {"procedure": procedure, "landmarks": landmarks, "head": head, "batch_size": BATCH_SIZE}
    for pose in Estimator(model, iterations, **options).poses(images):
        assert pose.frame.image is not None
        yield draw_pose(pose.frame.image, pose.points, *skeleton, pose.confidence, least)


def draw_poses(poses: Poses, least: float = 0.0) -> Image.Image:
    """A single image with its pose, at its own size, or a sheet of at most SHEET of several images."""
    if poses.prior is None or not poses.frames:
        raise PplkitError("these poses do not say of which images they are: take those of model.estimate(...).")
    skeleton, points = strong_links(poses.prior()), poses.pixels().numpy()
    chosen = np.unique(np.linspace(0, len(poses) - 1, min(len(poses), SHEET)).round().astype(int))
    points = points.reshape(len(poses), -1, 2)
    confidence = poses.confidence.numpy().reshape(len(poses), -1)
    images = [as_image(image) for image in read_whole([poses.frames[n] for n in chosen])]
    if len(poses) == 1:
        return Image.fromarray(draw_pose(np.asarray(images[0]), points[0], *skeleton, confidence[0], least))
    columns = math.ceil(math.sqrt(len(images)))
    sheet = Image.new("RGB", (columns * TILE, -(-len(images) // columns) * TILE), "white")
    for number, (n, image) in enumerate(zip(chosen, images, strict=True)):
        tile = ImageOps.contain(image, (TILE - 4, TILE - 4))
        inside = (points[n] + 0.5) * (tile.width / image.width) - 0.5
        drawn = Image.fromarray(draw_pose(np.asarray(tile), inside, *skeleton, confidence[n], least))
        left, top = (TILE - tile.width) // 2, (TILE - tile.height) // 2
        sheet.paste(drawn, (number % columns * TILE + left, number // columns * TILE + top))
    return sheet


def track_video(model: PosePriorLearner, source: Path, out: Path, tracks: Tracks) -> Path:
    """The video `source` with its tracks drawn over it, as the MP4 file `out`; returns it.

    Keypoints have the links of the model; named landmarks have none. Raises PplkitError as `pose_video`.
    """
    unnamed = tracks.names == [str(number) for number in range(model.config.keypoints)]
    skeleton = strong_links(model.prior()) if unnamed else ([], [])
    check_output(source, out)
    with closing(readable(source, quiet=True)) as frames:
        timed, shown = tee(frames)
        drawn = (draw_pose(np.asarray(image), tracks.points[number], *skeleton) for _, image, number in shown)
        return write_video(out, drawn, 1 / frame_table(source).step, (seconds for seconds, *_ in timed))
