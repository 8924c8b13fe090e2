"""Tracks of labelled films against the truth: error, jitter and lag, as found and smooth.

Split "films" of a data set holds films whole, every frame with its labels. The keypoints of each frame (procedure
"published", which needs no completer) become joints by a linear map fitted to labels of other images, so that they can
be compared with the truth. Smooth ones come from keypoints that are smoothed as `inference.tracking.track` does, with
long gaps filled.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pplkit.data.dataset import Split
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.trajectories import MIN_LAG_FRAMES, jitter, lag, smooth
from pplkit.inference.tracking import SMOOTHING, confidence_weights
from pplkit.models.prior.model import PosePriorLearner

JointMap = Callable[[np.ndarray], np.ndarray]  # from keypoints (T, N, 2) to joints (T, J, 2)


class Film(NamedTuple):
    """One film of T frames with J joints, (x, y) in [-1, 1]; NaN in `truth` where unlabelled."""

    truth: np.ndarray  # (T, J, 2)
    found: np.ndarray  # (T, J, 2) frame by frame
    smooth: np.ndarray  # (T, J, 2)


def joint_map(keypoints: np.ndarray, labels: np.ndarray) -> JointMap:
    """Least squares, with a constant, from keypoints (n, ...) to each joint of labels (n, J, 2), NaN where unknown.

    A joint that has no label at all stays unknown.
    """
    rows = _rows(keypoints)
    numbers = np.empty((rows.shape[1], labels.shape[1], 2))
    for joint in range(labels.shape[1]):
        known = np.isfinite(labels[:, joint]).all(-1)
        fitted = np.linalg.lstsq(rows[known], labels[known, joint], rcond=None)[0]
        numbers[:, joint] = fitted if known.any() else np.nan
    return lambda points: np.einsum("tr,rjc->tjc", _rows(points), numbers)


def _rows(points: np.ndarray) -> np.ndarray:
    flat = points.reshape(len(points), -1).astype(float)
    return np.hstack([flat, np.ones((len(flat), 1))])


def follow(model: PosePriorLearner, split: Split, joints: JointMap, smoothing: float = SMOOTHING) -> list[Film]:
    """The films of a split, in order of their numbers; `smoothing` in pixels of the model's images.

    Films without a joint that is labelled in three frames in a row are left out: they have no jitter.
    """
    if split.videos is None or split.keypoints is None:
        return []
    within = smoothing * 2 / (model.config.image_size - 1)
    made = []
    for video in np.unique(split.videos):
        frames = np.flatnonzero(np.asarray(split.videos) == video)
        poses = model.estimate(np.asarray(split.images[frames]), procedure="published")
        points, sure = poses.keypoints.numpy().astype(float), poses.confidence.numpy()
        steady = smooth(points, np.arange(len(points)), within, confidence_weights(sure))
        made.append(Film(np.asarray(split.keypoints)[frames], joints(points), joints(steady)))
    return [film for film in made if np.isfinite(jitter(film.found, film.truth))]


def report(films: Sequence[Film], size: int) -> dict[str, float]:
    """Numbers of films, one at least, of `size` x `size` pixels, as found and smooth; see `follow`.

    Means over films, as shares of the image side: the error, and the jitter, which is the root mean square acceleration
    of the error per frame². `jitter_left`: smooth of found, mean over films; `halved`: share of the films where it is
    at most half. `lag` in frames behind the truth, mean over films, and `largest_lag` to either side, of films that are
    long enough (`MIN_LAG_FRAMES`) and move.
    """
    side = sides_per_unit(size)
    numbers: dict[str, float] = {"films": len(films), "frames": sum(len(film.truth) for film in films)}
    shaking = []
    for name in ("found", "smooth"):
        off = [np.linalg.norm(getattr(film, name) - film.truth, axis=-1) for film in films]
        shaking.append(np.array([jitter(getattr(film, name), film.truth) for film in films]))
        numbers[f"error_{name}"] = side * float(np.mean([np.nanmean(one) for one in off]))
        numbers[f"jitter_{name}"] = side * float(shaking[-1].mean())
    before, after = shaking
    left = np.divide(after, before, out=np.ones(len(films)), where=before > 0)
    numbers |= {"jitter_left": float(left.mean()), "halved": float((left <= 0.5).mean())}
    late = np.array([lag(film.smooth, film.truth) for film in films if len(film.truth) >= MIN_LAG_FRAMES])
    late = late[np.isfinite(late)]
    if len(late):
        numbers |= {"lag": float(late.mean()), "largest_lag": float(np.abs(late).max())}
    return numbers


def summary(numbers: dict[str, float]) -> list[str]:
    """Lines of text of a `report`."""
    percent = {name: f"{100 * value:.2f}" for name, value in numbers.items() if name.startswith(("error", "jitter"))}
    late = f"lag {numbers['lag']:.2f} frames, at most {numbers['largest_lag']:.2f}" if "lag" in numbers else ""
    return [
        f"{numbers['films']} films, {numbers['frames']} frames",
        f"error {percent['error_found']} % of the image side as found, {percent['error_smooth']} smooth",
        f"jitter {percent['jitter_found']} % per frame² as found, {percent['jitter_smooth']} smooth: "
        f"{numbers['jitter_left']:.2f} of it is left, at most half in {numbers['halved']:.0%} of the films",
        *([late] if late else []),
    ]
