"""Tracks of labelled videos against the truth: error, jitter and lag, frame by frame (raw) and smoothed.

Split "films" of a data set holds whole videos, every frame with its labels. The keypoints of each frame (procedure
"published", which needs no completer) become joints by a linear map fitted to labels of other images, so that they can
be compared with the truth. Smooth joints come from keypoints that are smoothed as in `inference.tracking.track`, long
gaps filled.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pplkit.core.words import quantity
from pplkit.data.dataset import Split
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.trajectories import MIN_LAG_FRAMES, jitter, lag, smooth
from pplkit.inference.tracking import SMOOTHING, confidence_weights
from pplkit.models.prior.model import PosePriorLearner

JointMap = Callable[[np.ndarray], np.ndarray]  # from keypoints (T, N, 2) to joints (T, J, 2)


class LabelledTracks(NamedTuple):
    """J joints in T frames of a video, (x, y) in [-1, 1]; NaN in `truth` where there is no label."""

    truth: np.ndarray  # (T, J, 2)
    raw: np.ndarray  # (T, J, 2), each frame by itself
    smooth: np.ndarray  # (T, J, 2)


def joint_map(keypoints: np.ndarray, labels: np.ndarray) -> JointMap:
    """Least squares, with a constant, from keypoints (n, ...) to each joint of labels (n, J, 2), NaN where unknown.

    A joint without any label is mapped to NaN.
    """
    features = _features(keypoints)
    weights = np.full((features.shape[1], labels.shape[1], 2), np.nan)
    for joint in range(labels.shape[1]):
        known = np.isfinite(labels[:, joint]).all(-1)
        if known.any():
            weights[:, joint] = np.linalg.lstsq(features[known], labels[known, joint], rcond=None)[0]
    return lambda points: np.einsum("tr,rjc->tjc", _features(points), weights)


def _features(points: np.ndarray) -> np.ndarray:
    flat = points.reshape(len(points), -1).astype(float)
    return np.hstack([flat, np.ones((len(flat), 1))])


def track_videos(
    model: PosePriorLearner, split: Split, joints: JointMap, smoothing: float = SMOOTHING
) -> list[LabelledTracks]:
    """Tracks of the videos of a split, in order of their numbers; `smoothing` in pixels of the model's images.

    Videos without a joint that is labelled in three frames in a row are left out: they have no jitter.
    """
    if split.videos is None or split.keypoints is None:
        return []
    deviation, tracks = smoothing * 2 / (model.config.image_size - 1), []
    for video in np.unique(split.videos):
        frames = np.flatnonzero(np.asarray(split.videos) == video)
        poses = model.estimate(np.asarray(split.images[frames]), procedure="published")
        points, confidence = poses.keypoints.numpy().astype(float), poses.confidence.numpy()
        steady = smooth(points, np.arange(len(points)), deviation, confidence_weights(confidence))
        tracks.append(LabelledTracks(np.asarray(split.keypoints)[frames], joints(points), joints(steady)))
    return [track for track in tracks if np.isfinite(jitter(track.raw, track.truth))]


def tracking_report(tracks: Sequence[LabelledTracks], size: int) -> dict[str, float]:
    """Numbers of tracks, at least one, in videos of `size` x `size` pixels; names with "found" are of the raw tracks.

    Means over videos, as fractions of the image side: the error, and the jitter, which is the root mean square
    acceleration of the error per frame². `jitter_left`: smooth / raw, mean over videos; `halved`: fraction of the
    videos where it is at most half. `lag` in frames behind the truth, mean over videos, and `largest_lag` to either
    side, of videos that are long enough (`MIN_LAG_FRAMES`) and move.
    """
    side = sides_per_unit(size)
    report: dict[str, float] = {"films": len(tracks), "frames": sum(len(track.truth) for track in tracks)}
    jitters = []
    for name, field in (("found", "raw"), ("smooth", "smooth")):
        points = [getattr(track, field) for track in tracks]
        pairs = [(p, track.truth) for p, track in zip(points, tracks, strict=True)]
        errors = [np.nanmean(np.linalg.norm(p - truth, axis=-1)) for p, truth in pairs]
        jitters.append(np.array([jitter(*pair) for pair in pairs]))
        report |= {f"error_{name}": side * float(np.mean(errors)), f"jitter_{name}": side * float(jitters[-1].mean())}
    raw, smoothed = jitters
    left = np.divide(smoothed, raw, out=np.ones(len(tracks)), where=raw > 0)
    report |= {"jitter_left": float(left.mean()), "halved": float((left <= 0.5).mean())}
    lags = np.array([lag(track.smooth, track.truth) for track in tracks if len(track.truth) >= MIN_LAG_FRAMES])
    lags = lags[np.isfinite(lags)]
    if len(lags):
        report |= {"lag": float(lags.mean()), "largest_lag": float(np.abs(lags).max())}
    return report


def tracking_summary(report: dict[str, float]) -> list[str]:
    """Lines of text of a `tracking_report`."""
    percent = {name: f"{100 * value:.2f}" for name, value in report.items() if name.startswith(("error", "jitter"))}
    lines = [
        f"{quantity(int(report['films']), 'video')}, {quantity(int(report['frames']), 'frame')}",
        f"error {percent['error_found']} % of the image side raw, {percent['error_smooth']} smooth",
        f"jitter {percent['jitter_found']} % per frame² raw, {percent['jitter_smooth']} smooth: "
        f"{report['jitter_left']:.2f} of it is left, at most half in {report['halved']:.0%} of the videos",
    ]
    if "lag" in report:
        lines.append(f"lag {report['lag']:.2f} frames, at most {report['largest_lag']:.2f}")
    return lines
