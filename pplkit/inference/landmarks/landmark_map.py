"""A linear map from learned keypoints to named landmarks, fitted to labels on a handful of images.

`ridge` fits it and `left_right` decides the sides. Mirrored copies of the labeled images, in which left and right
landmarks change places, are fitted as well where that helps.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import read_json, write_json
from pplkit.geometry.coordinates import mirror, sides_per_unit
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.left_right import (
    names_side,
    nearer_swapped,
    side_directions,
    side_pairs,
    side_score,
    swap_sides,
    swapped_images,
)

SCHEMA = "pplkit-landmarks-1"
FOLDS = 10  # fits for the error: one for each image, or for each tenth of many
MIN_SIDE_ACCURACY = 0.8  # of a map that decides the sides of each image
JSON_KEYS = {"baseline_error": "still", "label_counts": "labelled", "side_accuracy": "told"}  # others are field names


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """From N keypoints to J named landmarks, all (x, y) in [-1, 1]."""

    names: list[str]
    weights: np.ndarray  # (J, 2, N, 2): coordinate of the landmark, keypoint, its coordinate
    offsets: np.ndarray  # (J, 2)
    error: np.ndarray  # (J,) mean distance on labeled images left out of the fit, in image sides; NaN: one label
    baseline_error: np.ndarray  # (J,) the same for the mean of the other images' labels
    label_counts: np.ndarray  # (J,) labeled images
    pairs: list[tuple[int, int]] = field(default_factory=list)  # (left, right) landmarks
    sides: np.ndarray | None = None  # (pairs, 2), see `side_directions`; None: sides are those of the keypoints
    side_accuracy: float | None = None  # fraction of left-out images with the right sides; None where sides are stable
    mirrored: bool = False  # whether mirrored copies were fitted as well
    made_by: dict[str, Any] = field(default_factory=dict)

    def apply(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints (B, N, 2) to landmarks (B, J, 2); raises PplkitError for another N."""
        return self._apply(keypoints)[0]

    def apply_with_confidence(self, keypoints: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks as of `apply`, and their confidence (B, J) from the confidence (B, N) of the keypoints.

        It is the mean over the keypoints by their weight, and moves with the landmark where left and right are swapped.
        """
        points, swapped = self._apply(keypoints)
        shares = np.linalg.norm(self.weights, axis=(1, 3))
        return points, swap_sides(confidence @ (shares / shares.sum(1, keepdims=True)).T, self.pairs, swapped)

    def _apply(self, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The landmarks, and in which poses (B,) left and right were swapped."""
        count = self.weights.shape[2]
        if keypoints.ndim != 3 or keypoints.shape[1:] != (count, 2):
            raise PplkitError(
                f"keypoints of shape {keypoints.shape} do not fit landmarks of {count} keypoints: fit landmarks to "
                "this model."
            )
        points = np.einsum("jckd,bkd->bjc", self.weights, keypoints) + self.offsets
        if self.sides is None:
            return points, np.zeros(len(points), bool)
        swapped = side_score(points, self.pairs, self.sides) < 0
        return swap_sides(points, self.pairs, swapped), swapped

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, whole or not at all."""
        values = {JSON_KEYS.get(name, name): _to_json(value) for name, value in vars(self).items()}
        write_json(Path(path), {"schema": SCHEMA, **values})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LandmarkMap":
        """The inverse of `save`; raises PplkitError for a missing or damaged file, or one of another version."""
        content = read_json(Path(path), "run `pplkit landmarks` with a table of labels")
        try:
            if content.pop("schema") != SCHEMA:
                raise ValueError("another version")
            for name, key in JSON_KEYS.items():
                content[name] = content.pop(key)
            for name in ("weights", "offsets", "error", "baseline_error", "sides"):
                content[name] = None if content[name] is None else np.array(content[name], float)
            content["label_counts"] = np.array(content["label_counts"], int)
            content["pairs"] = [(int(a), int(b)) for a, b in content["pairs"]]
            content["side_accuracy"] = None if content["side_accuracy"] is None else float(content["side_accuracy"])
            landmarks = cls(**content)
            landmarks._check()
            return landmarks
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise PplkitError(f"{path} holds no landmarks ({reason(error)}): run `pplkit landmarks` again.") from None

    def _check(self) -> None:
        """Raise ValueError, or what NumPy raises, unless all parts belong to one number of landmarks and keypoints."""
        count, keypoints = len(self.names), self.weights.shape[2]
        parts = self.offsets, self.error, self.baseline_error, self.label_counts
        wrong = self.weights.shape != (count, 2, keypoints, 2) or any(len(part) != count for part in parts)
        if wrong or not all(isinstance(name, str) for name in self.names) or not isinstance(self.made_by, dict):
            raise ValueError("its parts do not belong together")
        self.apply_with_confidence(np.zeros((1, keypoints, 2)), np.zeros((1, keypoints)))


def _to_json(value: Any) -> Any:
    """Arrays as lists, NaN as None."""
    return np.where(np.isnan(value), np.array(None), value).tolist() if isinstance(value, np.ndarray) else value


def fit_landmarks(
    keypoints: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    size: int,
    mirrored: np.ndarray | None = None,
    made_by: dict[str, Any] | None = None,
) -> LandmarkMap:
    """Fit the map from keypoints (n, N, 2) of n images to labels (n, J, 2), NaN where missing, both in [-1, 1].

    `mirrored` (n, N, 2), the keypoints in the mirrored images, doubles the labels if that predicts left-out images
    better. Left and right landmarks are known by their `names`. `size` is the side of the images in pixels.
    Raises PplkitError for other shapes, and for a landmark without a label.
    """
    keypoints, labels = np.asarray(keypoints, float), np.asarray(labels, float)
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or labels.shape != (len(keypoints), len(names), 2):
        raise PplkitError(
            f"labels of shape {labels.shape} do not fit keypoints of shape {keypoints.shape} and {len(names)} names: "
            "give (images, landmarks, 2) and (images, keypoints, 2)."
        )
    counts = np.isfinite(labels).all(-1).sum(0)
    if not counts.all():
        name = names[int(counts.argmin())]
        raise PplkitError(f"landmark {name!r} is labeled on no image: label it, or leave it out.")
    fitted = _fit(keypoints, labels, names, mirrored)
    with np.errstate(divide="ignore", invalid="ignore"):
        baseline = np.linalg.norm(labels - ridge.mean(labels, 0), axis=-1) * (counts / (counts - 1))
    expected = _cross_validated(keypoints, labels, names, mirrored)
    error, baseline_error = (
        ridge.mean(errors, 0) * sides_per_unit(size)
        for errors in (np.linalg.norm(expected - labels, axis=-1), baseline)
    )
    return replace(fitted, error=error, baseline_error=baseline_error, label_counts=counts, made_by=made_by or {})


def _fit(keypoints: np.ndarray, labels: np.ndarray, names: Sequence[str], mirrored: np.ndarray | None) -> LandmarkMap:
    """The map, without its errors."""
    pairs = side_pairs(names)
    swapped = swapped_images(keypoints, labels, pairs)
    sided = swap_sides(labels, pairs, swapped)
    fitted, all_labels = ridge.fit(keypoints[:, None], sided[:, None]), labels
    if mirrored is not None:
        copies = _mirrored_labels(labels, names, pairs)
        points = np.einsum("jckd,bkd->bjc", fitted.weights, mirrored) + fitted.offsets
        sided_copies = swap_sides(copies, pairs, nearer_swapped(points, copies, pairs) & swapped.any())
        doubled = ridge.fit(np.stack((keypoints, mirrored), 1), np.stack((sided, sided_copies), 1))
        if np.isnan(fitted.score) or doubled.score < fitted.score:
            fitted, all_labels = doubled, np.concatenate((labels, copies))
    none = np.full(len(names), np.nan)
    with_copies = all_labels is not labels
    landmarks = LandmarkMap(list(names), fitted.weights, fitted.offsets, none, none, none, pairs, mirrored=with_copies)
    if not swapped.any():
        return landmarks
    sides = side_directions(all_labels, pairs)
    accuracy = float(((side_score(fitted.left_out, pairs, sides) < 0) == swapped).mean())
    return replace(landmarks, sides=sides if accuracy >= MIN_SIDE_ACCURACY else None, side_accuracy=accuracy)


def _cross_validated(
    keypoints: np.ndarray, labels: np.ndarray, names: Sequence[str], mirrored: np.ndarray | None
) -> np.ndarray:
    """The landmarks (n, J, 2) by maps fitted to the other images, at most FOLDS maps; NaN as `labels`."""
    expected = np.full_like(labels, np.nan)
    fold = np.arange(len(labels)) % FOLDS
    for number in range(fold.max() + 1 if len(labels) > 1 else 0):
        rest = fold != number
        labeled = np.flatnonzero(np.isfinite(labels[rest]).all(-1).any(0))
        copies = None if mirrored is None else mirrored[rest]
        fitted = _fit(keypoints[rest], labels[rest][:, labeled], [names[j] for j in labeled.tolist()], copies)
        expected[np.ix_(~rest, labeled)] = fitted.apply(keypoints[~rest])
    return np.where(np.isfinite(labels), expected, np.nan)


def _mirrored_labels(labels: np.ndarray, names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Labels (n, J, 2) of the mirrored images; NaN for a landmark that is left or right without the other."""
    alone = names_side(names)
    for pair in pairs:
        alone[list(pair)] = False
    return np.where(alone[:, None], np.nan, mirror(labels, pairs))
