"""Landmarks from keypoints, learned from a handful of labeled images by ridge regression towards a prior guess.

Landmark j lies at w·P + U P + b: one weight w_k for x and y of each keypoint, and weaker weights U for everything else,
such as x by y. Ten images are too few for least squares on 32 coordinates, so the weights start from a guess, a mean of
the keypoints that keep their distance to the landmark. With s_k the variance over the images of the landmark's offset
from keypoint k, the guess is w_k ~ s_k^-2 with sum 1, and the prior variance of w_k around it is ~ s_k^-2 as well. The
strength of the ridge and the freedom of U follow from how well left-out images are predicted: the map is the mean over
all strengths, weighted by their errors. On few images that errs less than the strength that seems best.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRENGTHS = (1e-4, 1e-3, 0.01, 0.1, 0.3, 1.0, 3.0)  # of the ridge; 1 counts as much as one image
COUPLING = (0.0, 0.1, 0.3, 1.0)  # prior variance of U beside that of w
DEFAULT = (1.0, 0.0)  # strength and coupling where there are too few images to choose by
TEMPERATURE = 0.2  # a choice whose error exceeds the least error by this fraction counts 1/e as much
PSEUDO_COUNT = 1.0  # images that the mean offset counts for in s: a single image takes its nearest keypoints
MIN_ERROR = 1e-9
MIN_VARIANCE = 1e-4  # of s, squared [-1, 1] units


class Fit(NamedTuple):
    """n images, J landmarks, N keypoints; coordinates in [-1, 1]."""

    weights: np.ndarray  # (J, 2, N, 2): coordinate of the landmark, keypoint, its coordinate
    offsets: np.ndarray  # (J, 2)
    left_out: np.ndarray  # (n, J, 2) predicted by the other images; NaN without a label, or with labels on one image
    score: float  # mean distance of these from the labels; NaN if there are none


def fit(
    keypoints: np.ndarray,
    labels: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    coupling: Sequence[float] = COUPLING,
) -> Fit:
    """Fit keypoints (n, C, N, 2) to labels (n, C, J, 2), NaN where missing, of C copies of each image.

    The first copy is the image itself: it alone is scored, and all copies of it are left out together. Each landmark
    needs a label. `strengths` and `coupling` are the values to choose from.
    """
    ridges = [_Ridge(keypoints, labels[:, :, j]) for j in range(labels.shape[2])]
    choices = [(strength, couple) for strength in strengths for couple in coupling]
    scores = np.array([[ridge.score(*choice) for ridge in ridges] for choice in choices])
    if np.isfinite(scores).any():
        shares = _shares(scores)
    else:
        choices, shares = [DEFAULT], np.ones((1, len(ridges)))
    maps = [ridge.mean_of(choices, share) for ridge, share in zip(ridges, shares.T, strict=True)]
    weights, offsets, left_out = (np.stack(part) for part in zip(*maps, strict=True))
    left_out = left_out.swapaxes(0, 1)
    score = mean(np.linalg.norm(left_out - labels[:, 0], axis=-1).reshape(-1), 0)
    return Fit(weights, offsets, left_out, float(score))


def _shares(scores: np.ndarray) -> np.ndarray:
    """The weight of each choice for each landmark, from errors (choices, J); sums to 1 over the choices.

    A landmark's own errors, if it has any, count as much as the mean over all landmarks, as few images say little.
    """
    scores = scores + MIN_ERROR
    own = np.nan_to_num(scores / scores.min(0), nan=1.0)
    total = mean(scores, 1)
    shares = np.exp(-np.sqrt(own * (total / total.min())[:, None]) / TEMPERATURE)
    return np.asarray(shares / shares.sum(0))


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """As np.nanmean, without its warning: NaN where all values are NaN."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))


class _Ridge:
    """The normal equations of one landmark, labels (n, C, 2), for any strength."""

    def __init__(self, keypoints: np.ndarray, labels: np.ndarray) -> None:
        self.known = np.isfinite(labels).all(-1)
        self.labels = labels
        offsets = labels[self.known][:, None] - keypoints[self.known]  # (rows, N, 2)
        middle = offsets.mean(0)
        squares = np.square(offsets - middle).sum((0, 2)) + PSEUDO_COUNT * np.square(middle).sum(-1)
        trust = (squares / (len(offsets) - 1 + PSEUDO_COUNT) + MIN_VARIANCE) ** -2.0
        self.guess = trust / trust.sum()
        self.center = keypoints[self.known].mean(0)
        centered = np.where(self.known[..., None, None], keypoints - self.center, 0)
        size = float((np.square(centered[self.known]) * trust[:, None]).sum((1, 2)).mean()) / 2
        self.scale = np.sqrt(trust / max(size, 1e-12))
        self.scaled = centered * self.scale[:, None]
        guessed = np.einsum("k,nckd->ncd", self.guess, keypoints)
        self.residuals = np.where(self.known[..., None], labels - guessed, 0).reshape(len(labels), -1)
        self.solutions: dict[tuple[float, float], tuple[np.ndarray, np.ndarray]] = {}

    def score(self, strength: float, coupling: float) -> float:
        """Mean distance between labels and predictions of left-out images; NaN with fewer than two images."""
        return float(mean(np.linalg.norm(self.errors(strength, coupling), axis=-1), 0))

    def mean_of(
        self, choices: Sequence[tuple[float, float]], shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, offset and left-out predictions as in `Fit`: means over the choices with these shares."""
        weights, offsets = (np.stack(part) for part in zip(*(self.map(*choice) for choice in choices), strict=True))
        errors = np.stack([self.errors(*choice) for choice in choices])
        left_out = self.labels[:, 0] - np.tensordot(shares, errors, 1)
        return np.tensordot(shares, weights, 1), np.tensordot(shares, offsets, 1), left_out

    def map(self, strength: float, coupling: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (2, N, 2) and offset (2,)."""
        numbers, points = self._solve(strength, coupling)[0], len(self.guess)
        weights = np.einsum("k,cd->ckd", numbers[:points] * self.scale, np.eye(2))
        if coupling:
            weights += numbers[points:-2].reshape(2, points, 2) * (self.scale * np.sqrt(coupling))[:, None]
        offset = numbers[-2:] - np.einsum("ckd,kd->c", weights, self.center)
        return weights + np.einsum("k,cd->ckd", self.guess, np.eye(2)), offset

    def errors(self, strength: float, coupling: float) -> np.ndarray:
        """Label minus prediction by the other images, of each image itself: (n, 2), NaN without a label."""
        return np.where(self.known[:, :1], self._solve(strength, coupling)[1][:, :2], np.nan)

    def _solve(self, strength: float, coupling: float) -> tuple[np.ndarray, np.ndarray]:
        """The solution (P,), and the errors (n, 2C) of each image when it is left out."""
        if (strength, coupling) not in self.solutions:
            rows = self._rows(coupling)
            flat = rows.reshape(-1, rows.shape[-1])
            penalty = np.full(flat.shape[1], strength)
            penalty[-2:] = 0  # the constant is free
            inverse = np.linalg.inv(flat.T @ flat + np.diag(penalty))
            numbers = inverse @ (flat.T @ self.residuals.reshape(-1))
            hat = rows @ inverse @ rows.transpose(0, 2, 1)
            errors = np.full_like(self.residuals, np.nan)
            if self.known.any(1).sum() > 1:
                rest = (self.residuals - rows @ numbers)[..., None]
                errors = np.linalg.solve(np.eye(hat.shape[1]) - hat, rest)[..., 0]
            self.solutions[strength, coupling] = numbers, errors
        return self.solutions[strength, coupling]

    def _rows(self, coupling: float) -> np.ndarray:
        """The design matrix of each image: (n, 2C, N + 2), or with U (n, 2C, 5N + 2)."""
        images, copies, points = self.scaled.shape[:3]
        parts = [self.scaled.swapaxes(2, 3), np.eye(2) * self.known[..., None, None]]
        if coupling:
            both = np.zeros((images, copies, 2, 2, 2 * points))
            both[:, :, 0, 0] = both[:, :, 1, 1] = self.scaled.reshape(images, copies, -1) * np.sqrt(coupling)
            parts.insert(1, both.reshape(images, copies, 2, -1))
        return np.concatenate(parts, -1).reshape(images, 2 * copies, -1)
