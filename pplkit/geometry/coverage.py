"""How well keypoints and links lie on the object and on its true skeleton; all coordinates (x, y) in [-1, 1]."""

from collections.abc import Mapping, Sequence

import numpy as np

from pplkit.geometry.coordinates import to_pixels

SAMPLES = 48  # points of a line, in the middles of as many equal pieces


def on_object(keypoints: np.ndarray, masks: np.ndarray) -> float:
    """Fraction of the keypoints (n, N, 2) whose nearest pixel lies on its mask (n, S, S), object > 127.

    A point outside the image is off the object.
    """
    return float(_on_mask(np.asarray(keypoints, np.float64), masks).mean())


def links_on_object(keypoints: np.ndarray, links: Sequence[tuple[int, int]], masks: np.ndarray) -> float:
    """Fraction of the total length of the links that lies on the masks (n, S, S), object > 127.

    `links` are pairs of indices into keypoints (n, N, 2); NaN if they have no length.
    """
    keypoints = np.asarray(keypoints, np.float64)
    covered, total = 0.0, 0.0
    for first, second in links:
        start, end = keypoints[:, first], keypoints[:, second]
        lengths = np.linalg.norm(end - start, axis=-1)
        covered += float((_on_mask(_samples(start, end), masks).mean(1) * lengths).sum())
        total += float(lengths.sum())
    return covered / total if total > 0 else float("nan")


def skeleton_coverage(
    keypoints: np.ndarray,
    links: Sequence[tuple[int, int]],
    labels: np.ndarray,
    skeleton: Sequence[tuple[int, int]],
    radius: float = 0.1,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> tuple[float, dict[str, float]]:
    """Fraction of the true skeleton's length that lies within `radius` of a link: of all bones, and of each group.

    `links` are pairs of indices into keypoints (n, N, 2), `skeleton` pairs of indices into labels (n, J, 2), `groups`
    limb name -> indices into `skeleton`. A bone counts in the images where both its ends are labelled; NaN where no
    bone is.
    """
    keypoints, labels = np.asarray(keypoints, np.float64), np.asarray(labels, np.float64)
    covered, total = np.zeros(len(skeleton)), np.zeros(len(skeleton))
    for bone, (first, second) in enumerate(skeleton):
        start, end = labels[:, first], labels[:, second]
        lengths = np.nan_to_num(np.linalg.norm(end - start, axis=-1))  # (n,), 0 where an end is not labelled
        points = np.nan_to_num(_samples(start, end))
        near = np.zeros(points.shape[:2], bool)
        for i, j in links:
            near |= _segment_distance(points, keypoints[:, i], keypoints[:, j]) <= radius
        covered[bone], total[bone] = (near.mean(1) * lengths).sum(), lengths.sum()

    def fraction(bones: Sequence[int]) -> float:
        length = float(total[list(bones)].sum())
        return float(covered[list(bones)].sum()) / length if length > 0 else float("nan")

    return fraction(range(len(skeleton))), {name: fraction(bones) for name, bones in (groups or {}).items()}


def _samples(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (n, SAMPLES, 2) on the segments from start (n, 2) to end (n, 2)."""
    fraction = ((np.arange(SAMPLES) + 0.5) / SAMPLES)[:, None]
    return start[:, None] * (1 - fraction) + end[:, None] * fraction


def _on_mask(points: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether points (n, P, 2) lie on their masks (n, S, S), object > 127; (n, P) bool."""
    masks = np.asarray(masks) > 127
    size = masks.shape[-1]
    pixels = np.floor(to_pixels(points, size) + 0.5)
    inside = ((pixels >= 0) & (pixels < size)).all(-1)  # false for NaN too
    columns, rows = np.moveaxis(np.where(inside[..., None], pixels, 0).astype(np.int64), -1, 0)
    return inside & masks[np.arange(len(masks))[:, None], rows, columns]


def _segment_distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distances (n, P) of points (n, P, 2) from the segments start (n, 2) to end (n, 2)."""
    along = (end - start)[:, None]
    offset = points - start[:, None]
    squared = np.square(along).sum(-1)
    fraction = (offset * along).sum(-1) / np.where(squared > 0, squared, 1)
    return np.linalg.norm(offset - np.clip(fraction, 0, 1)[..., None] * along, axis=-1)
