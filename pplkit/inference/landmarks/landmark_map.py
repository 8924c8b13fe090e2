"""Names for learned keypoints: a map from them to landmarks that somebody has labelled on a handful of images.

`ridge` fits it, and `sides` says which side is which. Mirrored copies of the labelled images, in which left and right
landmarks have changed places, are fitted as well where that helps.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.texts import read_json
from pplkit.geometry.coordinates import mirror, sides_per_unit
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.left_right import (
    agreement,
    direction,
    exchanged,
    nearer_exchanged,
    one_sided,
    side_pairs,
    turned,
)
from pplkit.training.run_folder import write_json

SCHEMA = "pplkit-landmarks-1"
FOLDS = 10  # fits for the error: one for each image, or for each tenth of many
TOLD = 0.8  # of the labelled images whose side the points must tell, if they are to say it


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """From N keypoints to J named landmarks, all (x, y) in [-1, 1]."""

    names: list[str]
    weights: np.ndarray  # (J, 2, N, 2): coordinate of the landmark, keypoint, its coordinate
    offsets: np.ndarray  # (J, 2)
    error: np.ndarray  # (J,) mean distance on labelled images left out of the fit, in image sides; NaN: one label
    still: np.ndarray  # (J,) the same of the mean of the other images' labels
    labelled: np.ndarray  # (J,) images
    pairs: list[tuple[int, int]] = field(default_factory=list)  # (left, right) landmarks
    sides: np.ndarray | None = None  # (pairs, 2), see `sides.direction`; None: as the keypoints have them
    told: float | None = None  # share of labelled images whose side was told when left out; None where none had to be
    mirrored: bool = False  # whether mirrored copies were fitted as well
    made_by: dict[str, Any] = field(default_factory=dict)

    def apply(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints (B, N, 2) to landmarks (B, J, 2); raises PplkitError for another N."""
        return self._placed(keypoints)[0]

    def named(self, keypoints: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks as of `apply`, and their confidence (B, J) from that of the keypoints (B, N).

        It is the mean by what each keypoint weighs, and goes with the landmark where left and right are exchanged.
        """
        points, back = self._placed(keypoints)
        shares = np.linalg.norm(self.weights, axis=(1, 3))
        return points, exchanged(confidence @ (shares / shares.sum(1, keepdims=True)).T, self.pairs, back)

    def _placed(self, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The landmarks, and in which poses (B,) left and right were exchanged."""
        wanted = self.weights.shape[2]
        if keypoints.ndim != 3 or keypoints.shape[1:] != (wanted, 2):
            raise PplkitError(
                f"keypoints of shape {keypoints.shape} do not fit landmarks of {wanted}: fit landmarks to this model."
            )
        points = np.einsum("jckd,bkd->bjc", self.weights, keypoints) + self.offsets
        if self.sides is None:
            return points, np.zeros(len(points), bool)
        back = agreement(points, self.pairs, self.sides) < 0
        return exchanged(points, self.pairs, back), back

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, complete or not at all."""
        write_json(Path(path), {"schema": SCHEMA, **{name: _plain(value) for name, value in vars(self).items()}})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LandmarkMap":
        """The inverse of `save`; raises PplkitError if the file is missing, torn or of another version."""
        content = read_json(Path(path), "run `pplkit landmarks` with a table of labels")
        try:
            if content.pop("schema") != SCHEMA:
                raise ValueError("of another version")
            for name in ("weights", "offsets", "error", "still", "sides"):
                content[name] = None if content[name] is None else np.array(content[name], float)
            content["labelled"] = np.array(content["labelled"], int)
            content["pairs"] = [(int(a), int(b)) for a, b in content["pairs"]]
            found = cls(**content)
            found._check()
            return found
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise PplkitError(f"{path} holds no landmarks ({reason(error)}): run `pplkit landmarks` again.") from None

    def _check(self) -> None:
        """Raise ValueError unless all parts are of one number of landmarks and keypoints, and finite."""
        count = len(self.names)
        keypoints = self.weights.shape[2] if self.weights.ndim == 4 else 0
        shapes = {"weights": (count, 2, keypoints, 2), "offsets": (count, 2)}
        shapes |= dict.fromkeys(("error", "still", "labelled"), (count,))
        shapes |= {} if self.sides is None else {"sides": (len(self.pairs), 2)}
        wrong = [name for name, shape in shapes.items() if getattr(self, name).shape != shape]
        wrong += [name for name in ("weights", "offsets") if not np.isfinite(getattr(self, name)).all()]
        if wrong or not count or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"{', '.join(wrong) or 'names'} is not of the shape that it should be")
        if not all(0 <= end < count for pair in self.pairs for end in pair) or not isinstance(self.made_by, dict):
            raise ValueError("pairs or made_by is not what it should be")
        if self.told is not None and not isinstance(self.told, float | int):
            raise ValueError(f"told is {self.told!r}")


def _plain(value: Any) -> Any:
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
    """The map from keypoints (n, N, 2) of n images to labels (n, J, 2), NaN where missing, both in [-1, 1].

    `mirrored` (n, N, 2), the keypoints found in the mirrored images, doubles the labels if that predicts images left
    out better; left and right landmarks are known by their names. `size` of the images in pixels.
    Raises PplkitError for other shapes, and for a landmark without any label.
    """
    keypoints, labels = np.asarray(keypoints, float), np.asarray(labels, float)
    _check(keypoints, labels, names)
    fitted = _fitted(keypoints, labels, names, mirrored)
    count = np.isfinite(labels).all(-1).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.linalg.norm(labels - ridge.mean(labels, 0), axis=-1) * (count / (count - 1))
    expected = _expected(keypoints, labels, names, mirrored)
    scale = sides_per_unit(size)
    error = ridge.mean(np.linalg.norm(expected - labels, axis=-1), 0) * scale
    return replace(fitted, error=error, still=ridge.mean(apart, 0) * scale, labelled=count, made_by=made_by or {})


def _fitted(
    keypoints: np.ndarray, labels: np.ndarray, names: Sequence[str], mirrored: np.ndarray | None
) -> LandmarkMap:
    """The map without what is said of its errors."""
    pairs = side_pairs(names)
    back = turned(keypoints, labels, pairs)
    straight = exchanged(labels, pairs, back)
    found, both = ridge.fit(keypoints[:, None], straight[:, None]), labels
    if mirrored is not None:
        copies = _mirrored(labels, names, pairs)
        there = np.einsum("jckd,bkd->bjc", found.weights, mirrored) + found.offsets
        sided = exchanged(copies, pairs, nearer_exchanged(there, copies, pairs) & back.any())
        second = ridge.fit(np.stack((keypoints, mirrored), 1), np.stack((straight, sided), 1))
        if np.isnan(found.score) or second.score < found.score:
            found, both = second, np.concatenate((labels, copies))
    none = np.full(len(names), np.nan)
    made = LandmarkMap(list(names), found.weights, found.offsets, none, none, none, pairs, mirrored=both is not labels)
    if not back.any():
        return made
    sides = direction(both, pairs)
    told = float(((agreement(found.left_out, pairs, sides) < 0) == back).mean())
    return replace(made, sides=sides if told >= TOLD else None, told=told)


def _expected(
    keypoints: np.ndarray, labels: np.ndarray, names: Sequence[str], mirrored: np.ndarray | None
) -> np.ndarray:
    """Where maps fitted anew to the other images put the landmarks (n, J, 2), at most FOLDS maps; NaN as `labels`."""
    expected = np.full_like(labels, np.nan)
    fold = np.arange(len(labels)) % FOLDS
    for number in range(fold.max() + 1 if len(labels) > 1 else 0):
        rest = fold != number
        there = np.flatnonzero(np.isfinite(labels[rest]).all(-1).any(0))
        some = None if mirrored is None else mirrored[rest]
        fitted = _fitted(keypoints[rest], labels[rest][:, there], [names[index] for index in there.tolist()], some)
        expected[np.ix_(~rest, there)] = fitted.apply(keypoints[~rest])
    return np.where(np.isfinite(labels), expected, np.nan)


def _check(keypoints: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or labels.shape != (len(keypoints), len(names), 2):
        raise PplkitError(
            f"labels of shape {labels.shape} do not fit keypoints of shape {keypoints.shape} and {len(names)} names: "
            "give (images, landmarks, 2) and (images, keypoints, 2)."
        )
    for name, known in zip(names, np.isfinite(labels).all(-1).T, strict=True):
        if not known.any():
            raise PplkitError(f"landmark {name!r} is labelled on no image: label it, or leave it out.")


def _mirrored(labels: np.ndarray, names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Labels (n, J, 2) of the mirrored images; NaN for a landmark that is left or right without the other."""
    alone = one_sided(names)
    for pair in pairs:
        alone[list(pair)] = False
    return np.where(alone[:, None], np.nan, mirror(labels, pairs))
