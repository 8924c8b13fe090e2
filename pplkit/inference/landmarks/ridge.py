"""Landmarks from keypoints, learned from a handful of labelled images: ridge regression towards a good guess.

Landmark j lies at w·P + U P + b: the keypoints' places with one weight w_k each for x and y, and weaker weights U for
whatever else tells, such as x by y. Ten images are too few for least squares on 32 coordinates, so the weights start
from a guess, a mean of the keypoints that keep their distance to the landmark, and leave it only as far as the images
ask for. With s_k the variance, from image to image, of the landmark's offset from keypoint k, the guess is w_k ~ s_k^-2
with sum 1, and the variance with which the weights of k leave it is ~ s_k^-2 as well. How tightly they are held, and
how much U may do, is told by how well images are predicted that are left out: the map is the mean of those of all
strengths, each counting the more the better it does. That errs less than the one that seems best on few images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HELD = (1e-4, 1e-3, 0.01, 0.1, 0.3, 1.0, 3.0)  # how tightly weights are held to the guess; 1: as by one image
FREE = (0.0, 0.1, 0.3, 1.0)  # variance of U's weights beside that of w's
USUAL = (1.0, 0.0)  # where too few images tell
SOFT = 0.2  # a choice whose error is so much higher than the best one's, as a share of that, counts 1/e of it
SURE = 1.0  # images that the mean offset counts for in s: of one image the keypoints nearest to the landmark are taken
TINY = 1e-9  # of errors, which may all be none
LEAST = 1e-4  # of s, squared [-1, 1] units


class Fit(NamedTuple):
    """n images, J landmarks, N keypoints; all places in [-1, 1]."""

    weights: np.ndarray  # (J, 2, N, 2): coordinate of the landmark, keypoint, its coordinate
    offsets: np.ndarray  # (J, 2)
    left_out: np.ndarray  # (n, J, 2) where the other images put it; NaN without a label, or one on another image
    score: float  # mean distance of these from the labels; NaN if there are none


def fit(
    keypoints: np.ndarray, labels: np.ndarray, tightness: Sequence[float] = HELD, freedom: Sequence[float] = FREE
) -> Fit:
    """From keypoints (n, C, N, 2) and labels (n, C, J, 2), NaN where missing, of C copies of each image.

    The first copy is the image itself: it alone is scored, while all copies of it are left out. Each landmark has at
    least one label. `tightness` and `freedom` are the strengths to choose from.
    """
    ridges = [_Ridge(keypoints, labels[:, :, j]) for j in range(labels.shape[2])]
    choices = [(held, free) for held in tightness for free in freedom]
    scores = np.array([[ridge.score(*choice) for ridge in ridges] for choice in choices])
    told = np.isfinite(scores).any()
    choices, shares = (choices, _shares(scores)) if told else ([USUAL], np.ones((1, len(ridges))))
    parts = zip(ridges, shares.T, strict=True)
    weights, offsets, left_out = zip(*(ridge.mean_of(choices, share) for ridge, share in parts), strict=True)
    there = np.stack(left_out, 1)
    score = mean(np.linalg.norm(there - labels[:, 0], axis=-1).reshape(-1), 0)
    return Fit(np.stack(weights), np.stack(offsets), there, float(score))


def _shares(scores: np.ndarray) -> np.ndarray:
    """How much each choice counts for each landmark, from errors (choices, J); sums to 1 over the choices.

    A landmark's own errors, if it has any, count as much as the mean of all: few images say little about each alone.
    """
    scores = scores + TINY
    alone = np.nan_to_num(scores / scores.min(0), nan=1.0)
    every = mean(scores, 1)
    shares = np.exp(-np.sqrt(alone * (every / every.min())[:, None]) / SOFT)
    return np.asarray(shares / shares.sum(0))


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is a number; NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))


class _Ridge:
    """The numbers of one landmark, labels (n, C, 2), for any strength."""

    def __init__(self, keypoints: np.ndarray, labels: np.ndarray) -> None:
        self.known = np.isfinite(labels).all(-1)
        self.labels = labels
        offsets = labels[self.known][:, None] - keypoints[self.known]  # (rows, N, 2)
        middle = offsets.mean(0)
        squares = np.square(offsets - middle).sum((0, 2)) + SURE * np.square(middle).sum(-1)
        trust = (squares / (len(offsets) - 1 + SURE) + LEAST) ** -2.0
        self.guess = trust / trust.sum()
        self.centre = keypoints[self.known].mean(0)
        moved = np.where(self.known[..., None, None], keypoints - self.centre, 0)
        size = float((np.square(moved[self.known]) * trust[:, None]).sum((1, 2)).mean()) / 2
        self.scale = np.sqrt(trust / max(size, 1e-12))
        self.moved = moved * self.scale[:, None]
        guessed = np.einsum("k,nckd->ncd", self.guess, keypoints)
        self.rest = np.where(self.known[..., None], labels - guessed, 0).reshape(len(labels), -1)
        self.solved: dict[tuple[float, float], tuple[np.ndarray, np.ndarray]] = {}

    def score(self, held: float, free: float) -> float:
        """Mean distance between a label and where the other images put the landmark; NaN with fewer than two images."""
        return float(mean(np.linalg.norm(self._missed(held, free), axis=-1), 0))

    def mean_of(
        self, choices: Sequence[tuple[float, float]], shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, offset and places of images left out, as in `Fit`: means of the choices with these shares."""
        maps = [self._map(*choice) for choice in choices]
        missed = np.stack([self._missed(*choice) for choice in choices])
        weights, offsets = (np.stack(part) for part in zip(*maps, strict=True))
        there = self.labels[:, 0] - np.tensordot(shares, missed, 1)
        return np.tensordot(shares, weights, 1), np.tensordot(shares, offsets, 1), there

    def _map(self, held: float, free: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (2, N, 2) and offset (2,)."""
        numbers, points = self._solve(held, free)[0], len(self.guess)
        weights = np.einsum("k,cd->ckd", numbers[:points] * self.scale, np.eye(2))
        if free:
            weights += numbers[points:-2].reshape(2, points, 2) * (self.scale * np.sqrt(free))[:, None]
        offset = numbers[-2:] - np.einsum("ckd,kd->c", weights, self.centre)
        return weights + np.einsum("k,cd->ckd", self.guess, np.eye(2)), offset

    def _missed(self, held: float, free: float) -> np.ndarray:
        """From where the others put it to the label of each image itself: (n, 2)."""
        return np.where(self.known[:, :1], self._solve(held, free)[1][:, :2], np.nan)

    def _solve(self, held: float, free: float) -> tuple[np.ndarray, np.ndarray]:
        """The numbers (P,) of the ridge, and by how much it misses each image (n, 2C) when that is left out."""
        if (held, free) not in self.solved:
            rows = self._rows(free)
            flat = rows.reshape(-1, rows.shape[-1])
            kept = np.full(flat.shape[1], held)
            kept[-2:] = 0  # the constant is free
            inverse = np.linalg.inv(flat.T @ flat + np.diag(kept))
            numbers = inverse @ (flat.T @ self.rest.reshape(-1))
            hat = rows @ inverse @ rows.transpose(0, 2, 1)
            missed = np.full_like(self.rest, np.nan)
            if self.known.any(1).sum() > 1:
                missed = np.linalg.solve(np.eye(hat.shape[1]) - hat, (self.rest - rows @ numbers)[..., None])[..., 0]
            self.solved[held, free] = numbers, missed
        return self.solved[held, free]

    def _rows(self, free: float) -> np.ndarray:
        """What the numbers are multiplied by, for each coordinate: (n, 2C, N + 2), or with U (n, 2C, 5N + 2)."""
        images, copies, points = self.moved.shape[:3]
        parts = [self.moved.swapaxes(2, 3), np.eye(2) * self.known[..., None, None]]
        if free:
            own = np.zeros((images, copies, 2, 2, 2 * points))
            own[:, :, 0, 0] = own[:, :, 1, 1] = self.moved.reshape(images, copies, -1) * np.sqrt(free)
            parts.insert(1, own.reshape(images, copies, 2, -1))
        return np.concatenate(parts, -1).reshape(images, 2 * copies, -1)
