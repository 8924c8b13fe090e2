"""Scores against labels: the four published protocols (method section "Data sets and evaluation protocols").

Three of them regress every labelled point from the detected keypoints with a linear map fitted on the training
images, so an unsupervised model needs no names for its keypoints. The fourth pairs keypoints and labels one to one.
Inside, all points are scaled from [-1, 1] to [0, 1], as published: without a constant in the map that matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice

REGRESSIONS = ("h36m", "taichi", "cub")
TAICHI_PIXELS = 255
MAX_SWAPS_AT_END = 10  # h36m refits until at most this many samples change sides
MAX_REFITS = 100  # swapping need not settle; the published loop has no end


@dataclass(frozen=True, eq=False)
class Score:
    """The result of a protocol; float(score) is the error, lower is better.

    `error`: h36m and cub a mean distance as a fraction of the way from -1 to 1 (x 100 = %), taichi a sum of pixels over
    points and coordinates, matching a mean squared distance in [0, 1] coordinates. `per_keypoint` (J,): the same for
    each labelled point; taichi's add up to the error. `predictions` (n_test, J, 2): the labelled points as regressed or
    matched, (x, y) in [-1, 1]. A point without any training or any test label is NaN and does not count. `labels`
    (n_test, J, 2): what they were compared with, NaN where unknown; `distances` (n_test, J): how far apart the two are,
    as a fraction of the way from -1 to 1. `swapped`: test samples scored with left and right exchanged; `dropped`:
    training samples left out as outliers (h36m alone).
    """

    error: float
    per_keypoint: np.ndarray
    predictions: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    swapped: int = 0
    dropped: int = 0

    def __float__(self) -> float:
        return self.error


@dataclass(frozen=True, eq=False)
class _Points:
    """The points of n samples, all coordinates in [0, 1]."""

    keypoints: np.ndarray  # (n, N, 2)
    labels: np.ndarray  # (n, J, 2), 0 where unknown
    known: np.ndarray  # (n, J) bool


def evaluate(
    protocol: str,
    train_keypoints: np.ndarray,
    train_labels: np.ndarray,
    test_keypoints: np.ndarray,
    test_labels: np.ndarray,
    train_visible: np.ndarray | None = None,
    test_visible: np.ndarray | None = None,
    swap_pairs: Sequence[tuple[int, int]] | None = None,
) -> Score:
    """Score detected keypoints (n, N, 2) against labels (n, J, 2), both (x, y) in [-1, 1], by a published protocol.

    A label counts where both coordinates are finite and `visible` (n, J) is true (all, if not given). `swap_pairs` are
    the (left, right) labels that h36m may exchange. "matching" uses the test set alone.
    Least squares are solved in double precision; the published code inverts normal equations in single precision, so
    its results depend on the order of the samples in the fourth digit.
    Raises PplkitError for another protocol, a wrong shape, sets without a label, or fewer labelled training samples
    than the linear map has numbers for a coordinate.

    >>> points = np.random.default_rng(0).uniform(-1, 1, (100, 4, 2))
    >>> round(pplkit.evaluate("cub", points[:80], points[:80], points[80:], points[80:]).error, 6)
    0.0
    """
    test = _points("test", test_keypoints, test_labels, test_visible)
    if protocol == "matching":
        return _matching(test)
    if protocol not in REGRESSIONS:
        raise PplkitError(f"protocol {protocol!r} gives no score; {choice(protocol, (*REGRESSIONS, 'matching'))}")
    train = _points("train", train_keypoints, train_labels, train_visible)
    for part in ("keypoints", "labels"):
        trained, tested = getattr(train, part).shape[1], getattr(test, part).shape[1]
        if trained != tested:
            raise PplkitError(f"train_{part} has {trained} points and test_{part} {tested}; give both the same")
    _check_enough(train, protocol)
    if protocol == "h36m":
        return _h36m(train, test, () if swap_pairs is None else swap_pairs)
    return _taichi(train, test) if protocol == "taichi" else _cub(train, test)


def mean_pose_error(
    protocol: str,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    train_visible: np.ndarray | None = None,
    test_visible: np.ndarray | None = None,
    swap_pairs: Sequence[tuple[int, int]] | None = None,
) -> Score:
    """The score of a model that answers every image with the mean training pose.

    A constant stands in for the detected keypoints, so that the linear map can only give the mean; "matching" gets the
    mean itself. Arguments and errors are those of `evaluate`. A model must stay below this to have learned anything.
    """
    train, test = np.asarray(train_labels), np.asarray(test_labels)
    if protocol == "matching":
        points = _points("train", train, train, train_visible)
        mean = _mean(points.labels, points.known[..., None], axis=0) * 2 - 1
        constants = [np.broadcast_to(np.nan_to_num(mean), (len(labels), *mean.shape)) for labels in (train, test)]
    else:
        constants = [np.ones((len(labels), 1, 2)) for labels in (train, test)]
    return evaluate(protocol, constants[0], train, constants[1], test, train_visible, test_visible, swap_pairs)


def _points(name: str, keypoints: np.ndarray, labels: np.ndarray, visible: np.ndarray | None) -> _Points:
    keypoints, labels = np.asarray(keypoints, np.float64), np.asarray(labels, np.float64)
    for noun, array in ((f"{name}_keypoints", keypoints), (f"{name}_labels", labels)):
        if array.ndim != 3 or array.shape[2] != 2 or 0 in array.shape:
            raise PplkitError(f"{noun} has shape {array.shape}; give (samples, points, 2) with at least one of each")
    if len(keypoints) != len(labels):
        counts = f"{name}_keypoints has {len(keypoints)} samples and {name}_labels {len(labels)}"
        raise PplkitError(f"{counts}; give one each")
    if not np.isfinite(keypoints).all():
        raise PplkitError(f"{name}_keypoints holds values that are not finite; leave those samples out")
    known = np.isfinite(labels).all(-1)
    if visible is not None:
        if np.shape(visible) != known.shape:
            raise PplkitError(f"{name}_visible has shape {np.shape(visible)}; give {known.shape}, one for each label")
        known &= np.asarray(visible, bool)
    if not known.any():
        raise PplkitError(f"{name}_labels has no labelled, visible point; choose a split that has labels")
    return _Points((keypoints + 1) / 2, np.where(known[..., None], (labels + 1) / 2, 0), known)


def _check_enough(train: _Points, protocol: str) -> None:
    needed = 2 * train.keypoints.shape[1] + (protocol == "taichi")
    samples = int(train.known.sum(0).max())
    # Fewer samples than unknowns are enough where the keypoints hardly vary (a constant has rank 1).
    if samples < needed and np.linalg.matrix_rank(_features(train, protocol == "taichi")) >= samples:
        raise PplkitError(
            f"train_labels has {samples} labelled samples, but the fit on {train.keypoints.shape[1]} keypoints needs "
            f"{needed}; label more images or train fewer keypoints"
        )


def _features(points: _Points, constant: bool = False) -> np.ndarray:
    flat = points.keypoints.reshape(len(points.keypoints), -1)
    return np.hstack((flat, np.ones((len(flat), 1)))) if constant else flat


def _fit(features: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Least squares weights (F, J, 2), each point on its known samples; NaN for a point without any."""
    weights = np.full((features.shape[1], *labels.shape[1:]), np.nan)
    if known.all():  # every point has the same samples: one decomposition does for all
        return np.linalg.lstsq(features, labels.reshape(len(labels), -1), rcond=None)[0].reshape(weights.shape)
    for point in np.flatnonzero(known.any(0)):
        rows = known[:, point]
        weights[:, point] = np.linalg.lstsq(features[rows], labels[rows, point], rcond=None)[0]
    return weights


def _mean(values: np.ndarray, known: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean over the known finite values; NaN where there are none."""
    known = known & np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis) / np.asarray(known.sum(axis), float)


def _score(
    predicted: np.ndarray,
    test: _Points,
    errors: tuple[float, np.ndarray] | None = None,
    swapped: int = 0,
    dropped: int = 0,
) -> Score:
    """Score of points in [0, 1]; `errors`, in all and by point, are mean distances unless given."""
    labels = np.where(test.known[..., None], test.labels, np.nan)
    distances = np.linalg.norm(predicted - labels, axis=-1)
    error, per_keypoint = errors or (float(_mean(distances, test.known)), _mean(distances, test.known, axis=0))
    return Score(error, per_keypoint, predicted * 2 - 1, labels * 2 - 1, distances, swapped, dropped)


def _cub(train: _Points, test: _Points) -> Score:
    weights = _fit(_features(train), train.labels, train.known)
    return _score(np.tensordot(_features(test), weights, 1), test)


def _taichi(train: _Points, test: _Points) -> Score:
    weights = _fit(_features(train, constant=True), train.labels, train.known)
    predicted = np.tensordot(_features(test, constant=True), weights, 1)
    errors = np.abs(predicted - test.labels) * TAICHI_PIXELS
    per_keypoint = _mean(errors, test.known[..., None], axis=0).sum(-1)
    return _score(predicted, test, (float(np.nansum(per_keypoint)), per_keypoint))


def _h36m(train: _Points, test: _Points, swap_pairs: Sequence[tuple[int, int]]) -> Score:
    points = train.labels.shape[1]
    order = np.arange(points)
    for left, right in swap_pairs:
        if not (0 <= left < points and 0 <= right < points):
            raise PplkitError(f"swap_pairs has ({left}, {right}), but there are {points} labels; use 0 to {points - 1}")
        order[left], order[right] = right, left  # as published: a later pair overwrites an earlier one
    train, distances, _ = _choose_sides(train, order, None)
    labelled = np.isfinite(distances)
    kept = distances <= distances[labelled].mean() + 3 * distances[labelled].std(ddof=min(1, labelled.sum() - 1))
    weights = _fit(_features(train)[kept], train.labels[kept], train.known[kept])
    predicted = np.tensordot(_features(test), weights, 1)
    test, _, swapped = _choose_sides(test, order, weights)
    return _score(predicted, test, None, int(swapped.sum()), int(labelled.sum() - kept.sum()))


def _choose_sides(
    points: _Points, order: np.ndarray, weights: np.ndarray | None
) -> tuple[_Points, np.ndarray, np.ndarray]:
    """Exchange left and right where that brings a sample's labels nearer to their regression, until few change.

    Without `weights` the regression is fitted anew each time. Returns the points, each sample's mean distance (n,),
    NaN without labels, and whether it is swapped (n,).
    """
    features, labels, known = _features(points), points.labels, points.known
    swapped = np.zeros(len(labels), bool)
    for _ in range(MAX_REFITS):
        predicted = np.tensordot(features, _fit(features, labels, known) if weights is None else weights, 1)
        distances = _mean(np.linalg.norm(predicted - labels, axis=-1), known, axis=1)
        other = _mean(np.linalg.norm(predicted - labels[:, order], axis=-1), known[:, order], axis=1)
        nearer = other < distances
        if nearer.sum() <= MAX_SWAPS_AT_END:
            break
        labels = np.where(nearer[:, None, None], labels[:, order], labels)
        known = np.where(nearer[:, None], known[:, order], known)
        swapped ^= nearer
    return _Points(points.keypoints, labels, known), distances, swapped


def _matching(test: _Points) -> Score:
    # Exact, unlike the published code: its network simplex on floating-point costs can leave labels without a pair.
    squared = np.square(test.keypoints[:, :, None] - test.labels[:, None]).sum(-1)  # (n, N, J)
    costs = _mean(squared, test.known[:, None], axis=0)
    usable = np.flatnonzero(test.known.any(0))
    rows, columns = linear_sum_assignment(costs[:, usable])
    columns = usable[columns]
    per_keypoint = np.full(test.labels.shape[1], np.nan)
    per_keypoint[columns] = costs[rows, columns]
    predicted = np.full(test.labels.shape, np.nan)
    predicted[:, columns] = test.keypoints[:, rows]
    return _score(predicted, test, (float(costs[rows, columns].mean()), per_keypoint))
