"""Poses drawn over pictures at their own resolution, and pictures written as a video."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from pplkit.core.errors import PplkitError
from pplkit.core.files import same_file
from pplkit.data.reader import Frame, FrameSource
from pplkit.data.video import frame_rate, readable
from pplkit.data.video_writer import write_video
from pplkit.inference.estimate import Estimator
from pplkit.inference.object_crop import cropper
from pplkit.inference.tracking import Tracks
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.drawing import BLUE, keypoint_colours

AT_ONCE = 16  # pictures held at full size
THICKNESS = 1 / 90  # of the picture's longer side: the strongest link


def draw(
    image: np.ndarray,
    points: np.ndarray,
    links: Sequence[tuple[int, int]] = (),
    strengths: Sequence[float] | None = None,
    confidence: np.ndarray | None = None,
    least: float = 0.0,
) -> np.ndarray:
    """A pose over a uint8 image (H, W, 3): points (N, 2) in its pixels, 0 = centre of the first, and their links.

    `strengths` in [0, 1] set the width of each link. Points whose confidence (N,) is below `least`, or that are NaN,
    are left out, with their links.
    """
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    shown = np.isfinite(points).all(-1) & (True if confidence is None else confidence >= least)
    widest = max(image.shape[:2]) * THICKNESS
    for (i, j), strength in zip(links, [1.0] * len(links) if strengths is None else strengths, strict=True):
        if shown[i] and shown[j]:
            ends = [tuple(points[i].tolist()), tuple(points[j].tolist())]
            width = max(1, round(widest * (0.3 + 0.7 * strength)))
            if widest >= 3:  # a rim, which on a small picture would be all that is seen
                pen.line(ends, fill="white", width=width + 2)
            pen.line(ends, fill=ImageColor.getrgb(BLUE), width=width)
    radius = max(1.5, widest)
    for (x, y), colour, here in zip(points, keypoint_colours(len(points)), shown, strict=True):
        if here:
            fill = tuple((255 * colour[:3]).astype(int).tolist())
            rim = "white" if widest >= 3 else None
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=rim)
    return np.asarray(picture)


def check_apart(source: Path, out: Path) -> None:
    """Raise PplkitError where drawing would put a video in the place of its source."""
    if same_file(source, out):
        raise PplkitError(f"{out} is the video that is to be drawn over: name another file, or it would be lost.")


def pose_video(model: PosePriorLearner, source: Path, out: Path, crop: str = "center", **options: Any) -> Path:
    """The video `source` with the pose of every frame drawn over it, as the MP4 file `out`; returns it.

    `crop` says, as in the preparation of the data, which square of a frame the model sees: "center" or "pad". `options`
    are those of `posed`. Raises PplkitError for a video that cannot be read, or a file that cannot be written.
    """
    check_apart(source, out)
    rate = frame_rate(source)
    with closing(iter(FrameSource([source], model.config.image_size, cropper(crop), AT_ONCE, whole=True))) as images:
        return write_video(out, posed(model, images, **options), rate)


def pose_pictures(
    model: PosePriorLearner, files: Sequence[Path], out: Path, crop: str = "center", **options: Any
) -> list[Path]:
    """Pictures with their poses drawn over them, as PNG files in the folder `out`; returns these. See `pose_video`."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with closing(iter(FrameSource(files, model.config.image_size, cropper(crop), AT_ONCE, whole=True))) as images:
        for number, (file, picture) in enumerate(zip(files, posed(model, images, **options), strict=True)):
            path = out / f"{number:05d}-{file.stem}.png"  # two files of a tree may have one name
            Image.fromarray(picture).save(path)
            written.append(path)
    return written


def posed(
    model: PosePriorLearner, images: Iterable[Frame], iterations: int = 0, least: float = 0.0
) -> Iterator[np.ndarray]:
    """Images, of a FrameSource that keeps them whole, with their poses, one by one; `iterations` as in `Estimator`.

    Points less sure than `least` are left out.
    """
    links, strengths = _skeleton(model)
    for pose in Estimator(model, iterations, batch_size=AT_ONCE).poses(images):
        assert pose.frame.image is not None
        yield draw(pose.frame.image, pose.points, links, strengths, pose.confidence, least)


def track_video(model: PosePriorLearner, source: Path, out: Path, tracks: Tracks) -> Path:
    """The video `source` with its tracks drawn over it, as the MP4 file `out`; returns it.

    Keypoints have the links of the model; named landmarks have none. Raises PplkitError as `pose_video`.
    """
    plain = tracks.names == [str(number) for number in range(model.config.keypoints)]
    links, strengths = _skeleton(model) if plain else ([], [])
    check_apart(source, out)
    rate = frame_rate(source)
    points, nowhere = dict(enumerate(tracks.points)), np.full(tracks.points.shape[1:], np.nan)
    with closing(readable(source, quiet=True)) as film:
        # Of a damaged video the decoder need not give the same frames again.
        drawn = (draw(np.asarray(image), points.get(n, nowhere), links, strengths) for _, image, n in film)
        return write_video(out, drawn, rate)


def _skeleton(model: PosePriorLearner) -> tuple[list[tuple[int, int]], list[float]]:
    prior = model.prior()
    links = prior.links()
    return links, [prior.strength(link) for link in links]
