"""The keypoints of a video over time: smooth without lag, short gaps filled.

Smooth points minimise Σ w |z - x|² + λ Σ |z''|² (Whittaker's smoother), w the square of the confidence of x, z'' the
acceleration at the times of the frames. Past and future count alike, so nothing lags. λ is one number for all keypoints
of a video, the largest with which all smooth points together stay, in root mean square, within `smoothing` of what was
found: in the mean no farther than the model can see anyway, by default half a pixel of its images. Choosing λ by
cross-validation smooths hardly at all, since the errors of neighbouring frames are alike.
"""

import csv
import os
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from pplkit.core.errors import PplkitError
from pplkit.data.reader import count, is_video, seen
from pplkit.geometry.trajectories import smooth
from pplkit.inference.estimate import BATCH, located
from pplkit.inference.foreground import LIMIT, foreground_share
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.inference.landmarks.left_right import exchanged, restless
from pplkit.inference.object_crop import cropper
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import writing

SMOOTHING = 0.5  # pixels of the model's images
GAP = 5  # frames that are filled
UNSURE = 1 / 3  # of its median confidence: a keypoint that is less sure counts as not found
LATE = 5  # frames that a lag is looked for
LONG = 40  # frames that it takes
HEADER = ("frame", "seconds", "keypoint", "x", "y", "confidence", "filled", "found_x", "found_y")


class Tracks(NamedTuple):
    """T frames, N keypoints or named landmarks; places in pixels of the frames, 0 = centre of the first."""

    names: list[str]
    seconds: np.ndarray  # (T,)
    points: np.ndarray  # (T, N, 2) smooth; NaN in gaps that are too long to be filled
    found: np.ndarray  # (T, N, 2) as the model found them; NaN in frames that could not be read
    confidence: np.ndarray  # (T, N), 0 there
    filled: np.ndarray  # (T, N) bool: hardly seen, and filled from the frames before and after
    side: float  # of the square that the model sees, in pixels; the median where it changes
    on_object: float | None = None  # share of the keypoints on what stands out as object; None where that is not told


def track(
    model: PosePriorLearner,
    video: Path,
    crop: str = "centre",
    *,
    smoothing: float = SMOOTHING,
    gap: int = GAP,
    least: float = UNSURE,
    landmarks: LandmarkMap | None = None,
    batch_size: int = BATCH,
    bar: bool = True,
) -> Tracks:
    """The tracks of the keypoints, or of the `landmarks`, in a video; `crop` as in `squared`.

    `smoothing` in pixels of the model's images, 0 for none. A keypoint less sure than `least` of its median confidence
    counts as not found; gaps of up to `gap` frames are filled. `bar` shows on stderr, if that is a terminal, how far it
    is. Raises PplkitError for a file that is no video or cannot be read, and for numbers below 0.
    """
    for name, value in (("smoothing", smoothing), ("gap", gap), ("least", least)):
        if not value >= 0:
            raise PplkitError(f"{name}={value} is below 0: give 0 or more.")
    if not is_video(video):
        raise PplkitError(f"{video} is no video that is known by its ending: name one that is.")
    side = model.config.image_size
    with (
        closing(seen([video], side, cropper(crop), batch_size)) as images,
        tqdm(total=count([video]) if bar else None, unit="image", disable=None if bar else True) as shown,
    ):
        rows: list[tuple[Any, ...]] = []
        squares, step = list[np.ndarray](), 1
        for one in located(model, images, batch_size=batch_size, landmarks=landmarks):
            width = one.of.box[2] - one.of.box[0]
            if len(rows) % step == 0:
                squares.append(one.of.square)
                if len(squares) > 2 * LIMIT:
                    squares, step = squares[::2], 2 * step
            rows.append((one.of.frame or 0, one.of.seconds or 0.0, one.points, one.confidence, width))
            shown.update()
    numbers, seconds, found, confidence, sides = (np.array(part) for part in zip(*rows, strict=True))
    names = landmarks.names if landmarks else [str(number) for number in range(found.shape[1])]
    if landmarks is not None and landmarks.told is not None:
        back = restless(found, landmarks.pairs)
        found, confidence = (exchanged(part, landmarks.pairs, back) for part in (found, confidence))
    found, confidence = _placed(found, numbers, np.nan), _placed(confidence, numbers, 0)
    seconds = np.interp(np.arange(len(found)), numbers, seconds)
    weights = trusted(confidence, least)
    known = weights > 0
    width = float(np.median(sides))
    points = smooth(found, seconds, smoothing * width / side, weights)
    filled = ~known & short_gaps(known, gap)
    points = np.where((known | filled)[..., None], points, np.nan)
    on_object = foreground_share(model, np.stack(squares))
    return Tracks(names, seconds, points, found, confidence, filled, width, on_object)


def _placed(values: np.ndarray, numbers: np.ndarray, nothing: float) -> np.ndarray:
    """Values (n, ...) of frames `numbers` (n,) in rows for all frames; `nothing` in those that could not be read."""
    made = np.full((numbers[-1] + 1, *values.shape[1:]), nothing, values.dtype)
    made[numbers] = values
    return made


def trusted(confidence: np.ndarray, least: float = UNSURE) -> np.ndarray:
    """What each point counts when it is smoothed, (T, N): its confidence squared, 0 below `least` of its median.

    The median is that of frames with some confidence: 0 stands for one that could not be read.
    """
    usual = [np.median(one[one > 0]) if (one > 0).any() else 0 for one in confidence.T]
    return np.where(confidence >= least * np.array(usual), confidence**2, 0)


def short_gaps(known: np.ndarray, longest: int) -> np.ndarray:
    """Where, bool (T, N), at most `longest` frames in a row are not known, with a known one before and after."""
    short = np.zeros_like(known)
    for n in range(known.shape[1]):
        there = np.flatnonzero(known[:, n])
        for before, after in zip(there[:-1], there[1:], strict=True):
            if 1 < after - before <= longest + 1:
                short[before + 1 : after, n] = True
    return short


def jitter(points: np.ndarray, truth: np.ndarray | None = None) -> float:
    """Root mean square acceleration of points (T, N, 2) per frame², NaN left out; with `truth`, that of the error.

    Without truth the motion's own acceleration is in it as well.
    """
    error = points if truth is None else points - truth
    bend = np.square(np.diff(error, 2, axis=0)).sum(-1)
    return float(np.sqrt(np.nanmean(bend))) if np.isfinite(bend).any() else float("nan")


def lag(points: np.ndarray, truth: np.ndarray) -> float:
    """By how many frames, up to `LATE`, points (T, N, 2) come later than `truth`: where their velocities differ least.

    The place of the least mean square, between frames by the parabola through it and its neighbours; NaN where nothing
    that is known moves. Raises PplkitError for fewer than `LONG` frames, which tell too little.
    """
    if len(points) < LONG:
        raise PplkitError(f"{len(points)} frames are too few to measure a lag: give {LONG}.")
    ours, theirs = np.diff(points, axis=0), np.diff(truth, axis=0)[LATE:-LATE]
    count = len(theirs)
    squares = [np.square(ours[shift : shift + count] - theirs) for shift in range(2 * LATE + 1)]
    known = np.isfinite(squares).all(0)  # the same at each shift
    if not np.abs(theirs[known]).sum() > 0:
        return float("nan")
    off = [float(square[known].mean()) for square in squares]
    best = int(np.argmin(off))
    if best in (0, 2 * LATE):
        return float(best - LATE)
    before, there, after = off[best - 1 : best + 2]
    return best - LATE + 0.5 * (before - after) / (before - 2 * there + after)


def write_tracks(path: str | os.PathLike[str], tracks: Tracks) -> Path:
    """A table with a line for each keypoint of each frame, complete or not at all; places left open in long gaps.

    frame, seconds, keypoint, x, y (smooth), confidence, filled (1 where it was hardly seen), found_x, found_y.
    Raises PplkitError if it cannot be written.
    """
    path = Path(path)
    try:
        with writing(path) as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(HEADER)
            for frame, (time, *rows) in enumerate(zip(*tracks[1:6], strict=True)):
                for name, place, found, sure, filled in zip(tracks.names, *rows, strict=True):
                    now, before = (["" if np.isnan(v) else f"{v:.2f}" for v in point] for point in (place, found))
                    lines.writerow((frame, f"{time:.4f}", name, *now, f"{sure:.4f}", int(filled), *before))
    except OSError as error:
        raise PplkitError(f"{path} cannot be written ({error}): choose another file.") from None
    return path


def summary(tracks: Tracks) -> list[str]:
    """Lines of text: how long, how steady before and after, and what was filled."""
    before, after = (100 * jitter(points) / tracks.side for points in (tracks.found, tracks.points))
    shaking = f"acceleration {before:.2f} % of the square's side per frame² as found, {after:.2f} smooth"
    missing = np.isnan(tracks.points).any(-1)
    return [
        f"{len(tracks.seconds)} frames, {len(tracks.names)} point{'s' * (len(tracks.names) > 1)}",
        *([] if np.isnan(before + after) else [shaking]),  # of three frames in a row at least
        f"filled {tracks.filled.mean():.1%}, left open {missing.mean():.1%}",
        *([] if tracks.on_object is None else [f"{tracks.on_object:.0%} of the keypoints lie on what stands out"]),
    ]
