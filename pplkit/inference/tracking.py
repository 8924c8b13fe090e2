"""The keypoints of a video over time, smoothed without lag and with short gaps filled.

`geometry.trajectories.smooth` smooths them, each point weighted by the square of its confidence. The smooth points of
a video stay, in root mean square, within `smoothing` pixels of the estimated ones, by default half a pixel of the
model's images: no farther than the model can see. Choosing the strength by cross-validation hardly smooths at all,
since the errors of neighboring frames are alike.
"""

import csv
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path
from pplkit.core.progress import counted
from pplkit.core.words import quantity
from pplkit.data.label_readers import TRACK_TABLE
from pplkit.data.reader import is_video
from pplkit.data.video import frame_table
from pplkit.geometry.trajectories import jitter, short_gaps, smooth
from pplkit.inference.estimate import Estimator, ImagePose
from pplkit.inference.foreground import MAX_IMAGES, foreground_fraction
from pplkit.inference.landmarks.left_right import swap_sides, viterbi_swaps

SMOOTHING = 0.5  # pixels of the model's images
MAX_GAP = 5  # frames
MIN_CONFIDENCE = 1 / 3  # of a keypoint's median confidence


class Tracks(NamedTuple):
    """T frames of N keypoints or named landmarks, in pixels of the frames; 0 = center of the first pixel."""

    names: list[str]
    seconds: np.ndarray  # (T,)
    points: np.ndarray  # (T, N, 2) smooth; NaN in gaps too long to fill
    raw: np.ndarray  # (T, N, 2) as estimated; NaN in unreadable frames
    confidence: np.ndarray  # (T, N); 0 in unreadable frames
    filled: np.ndarray  # (T, N) bool: hardly visible, interpolated from the frames before and after
    side: float  # of the square that the model sees, in pixels; the median where it changes
    on_object: float | None = None  # fraction of the keypoints on the object; None where the object is unknown


def track(
    estimator: Estimator,
    video: Path,
    *,
    smoothing: float = SMOOTHING,
    gap: int = MAX_GAP,
    least: float = MIN_CONFIDENCE,
    bar: bool = True,
) -> Tracks:
    """The tracks of the keypoints, or of the estimator's landmarks, in a video.

    Args:
        estimator: how each frame is estimated.
        video: the video file.
        smoothing: how far smoothing may move points, in pixels of the model's images; 0 for none.
        gap: the longest gap, in frames, that is filled.
        least: a keypoint below this fraction of its median confidence counts as not visible.
        bar: whether to show progress.

    Raises:
        PplkitError: for a file that is not a video or cannot be read, and for numbers below 0.
    """
    for name, value in (("smoothing", smoothing), ("gap", gap), ("least", least)):
        if not value >= 0:
            raise PplkitError(f"{name}={value} is below 0: give 0 or more.")
    if not is_video(video):
        raise PplkitError(f"{video} does not have the file name of a video: give a file such as {video.stem}.mp4.")
    poses, squares = _poses(estimator, video, bar)
    numbers = np.array([pose.frame.number for pose in poses])
    raw, confidence = (np.array([getattr(pose, name) for pose in poses]) for name in ("points", "confidence"))
    landmarks = estimator.landmarks
    if landmarks is not None and landmarks.side_accuracy is not None:
        swapped = viterbi_swaps(raw, landmarks.pairs)
        raw, confidence = (swap_sides(values, landmarks.pairs, swapped) for values in (raw, confidence))
    seconds = frame_table(video).seconds
    raw, confidence = (
        _all_frames(values, numbers, len(seconds), missing) for values, missing in ((raw, np.nan), (confidence, 0))
    )
    weights = confidence_weights(confidence, least)
    known = weights > 0
    side = float(np.median([pose.frame.box[2] - pose.frame.box[0] for pose in poses]))
    points = smooth(raw, seconds, smoothing * side / estimator.model.config.image_size, weights)
    filled = ~known & short_gaps(known, gap)
    points = np.where((known | filled)[..., None], points, np.nan)
    on_object = foreground_fraction(estimator.model, squares)
    return Tracks(estimator.names, seconds, points, raw, confidence, filled, side, on_object)


def _poses(estimator: Estimator, video: Path, bar: bool) -> tuple[list[ImagePose], np.ndarray]:
    """The poses of the frames, without their images, and at most 2 * MAX_IMAGES evenly spread images."""
    poses: list[ImagePose] = []
    squares, step = list[np.ndarray](), 1
    source = estimator.frames([video])
    with closing(estimator.file_poses(source)) as estimates:
        for pose in counted(estimates, len(source) if bar else 0, "frames", shown=bar):
            if len(poses) % step == 0:
                squares.append(pose.frame.square)
                if len(squares) > 2 * MAX_IMAGES:
                    squares, step = squares[::2], 2 * step
            poses.append(pose._replace(frame=pose.frame._replace(square=np.empty(0))))
    return poses, np.stack(squares)


def _all_frames(values: np.ndarray, numbers: np.ndarray, total: int, missing: float) -> np.ndarray:
    """Values (n, ...) of the frames `numbers` (n,) with a row for each of `total`; `missing` for unreadable frames."""
    rows = np.full((total, *values.shape[1:]), missing, values.dtype)
    rows[numbers] = values
    return rows


def confidence_weights(confidence: np.ndarray, least: float = MIN_CONFIDENCE) -> np.ndarray:
    """The weights (T, N) for smoothing: the confidence squared, 0 below `least` of the keypoint's median.

    Frames of confidence 0, which could not be read, do not count in the median.
    """
    medians = [np.median(values[values > 0]) if (values > 0).any() else 0 for values in confidence.T]
    return np.where(confidence >= least * np.array(medians), confidence**2, 0)


def write_tracks(path: str | os.PathLike[str], tracks: Tracks) -> Path:
    """Write a CSV file with a line for each point of each frame, whole or not at all; coordinates empty in long gaps.

    Columns: frame, seconds, keypoint, x, y (smooth), confidence, filled (0 or 1), found_x, found_y (as estimated).
    Raises PplkitError if it cannot be written.
    """
    path = Path(path)
    with atomic_path(path) as partial, partial.open("w", encoding="utf8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(TRACK_TABLE)
        for frame, (time, *rows) in enumerate(zip(*tracks[1:6], strict=True)):
            for name, point, raw, confidence, filled in zip(tracks.names, *rows, strict=True):
                x, y, raw_x, raw_y = ("" if np.isnan(v) else f"{v:.2f}" for v in (*point, *raw))
                table.writerow((frame, f"{time:.4f}", name, x, y, f"{confidence:.4f}", int(filled), raw_x, raw_y))
    return path


def summary(tracks: Tracks) -> list[str]:
    """Lines of text: the length, the acceleration before and after smoothing, and the fraction filled."""
    before, after = (100 * jitter(points) / tracks.side for points in (tracks.raw, tracks.points))
    acceleration = f"acceleration {before:.2f} % of the square's side per frame² as estimated, {after:.2f} smooth"
    missing = np.isnan(tracks.points).any(-1)
    return [
        f"{quantity(len(tracks.seconds), 'frame')}, {quantity(len(tracks.names), 'point')}",
        *([] if np.isnan(before + after) else [acceleration]),  # needs three frames in a row
        f"filled {tracks.filled.mean():.1%}, left open {missing.mean():.1%}",
        *([] if tracks.on_object is None else [f"{tracks.on_object:.0%} of the keypoints lie on the object"]),
    ]
