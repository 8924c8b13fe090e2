"""How well keypoints and links lie on the object and on its true skeleton; all coordinates (x, y) in [-1, 1]."""

from collections.abc import Mapping, Sequence

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import to_pixels

SAMPLES = 48
"""Points at which a line is looked at, in the middles of as many equal pieces."""


def on_object(keypoints: np.ndarray, masks: np.ndarray) -> float:
    """Share (0 to 1) of the keypoints (n, N, 2) whose nearest pixel lies on its mask (n, S, S), object > 127.

    A point outside the image is off the object. Raises PplkitError if the shapes do not fit.
    """
    return float(_on_mask(_points("keypoints", keypoints), _masks(masks, len(keypoints))).mean())


def links_on_object(keypoints: np.ndarray, links: Sequence[tuple[int, int]], masks: np.ndarray) -> float:
    """Share (0 to 1) of the total length of the links that lies on the masks (n, S, S), object > 127.

    `links` are pairs of indices into keypoints (n, N, 2); give those that are strong enough to be drawn. NaN if
    the links have no length. Raises PplkitError if the shapes or indices do not fit.
    """
    keypoints = _points("keypoints", keypoints)
    masks = _masks(masks, len(keypoints))
    on, total = 0.0, 0.0
    for start, end in _ends("links", keypoints, links):
        lengths = np.linalg.norm(end - start, axis=-1)
        on += float((_on_mask(_along(start, end), masks).mean(1) * lengths).sum())
        total += float(lengths.sum())
    return on / total if total > 0 else float("nan")


def skeleton_coverage(
    keypoints: np.ndarray,
    links: Sequence[tuple[int, int]],
    labels: np.ndarray,
    skeleton: Sequence[tuple[int, int]],
    radius: float = 0.1,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> tuple[float, dict[str, float]]:
    """Share (0 to 1) of the true skeleton's length that lies within `radius` of a link.

    `links` are pairs of indices into keypoints (n, N, 2), `skeleton` pairs of indices into labels (n, J, 2), `groups`
    limb name -> indices into `skeleton`. A bone counts in the images where both its ends are labelled. Returns the
    share of all bones and that of each group; NaN where no bone is labelled.
    Raises PplkitError if the shapes or indices do not fit.
    """
    keypoints, labels = _points("keypoints", keypoints), _points("labels", labels)
    if len(keypoints) != len(labels):
        raise PplkitError(f"keypoints has {len(keypoints)} samples and labels {len(labels)}; give one each")
    segments = _ends("links", keypoints, links)
    covered, total = np.zeros(len(skeleton)), np.zeros(len(skeleton))
    for bone, (start, end) in enumerate(_ends("skeleton", labels, skeleton)):
        lengths = np.nan_to_num(np.linalg.norm(end - start, axis=-1))  # (n,), 0 where an end is not labelled
        points = np.nan_to_num(_along(start, end))
        near = np.zeros(points.shape[:2], bool)
        for link in segments:
            near |= _segment_distance(points, *link) <= radius
        covered[bone], total[bone] = (near.mean(1) * lengths).sum(), lengths.sum()

    def share(bones: Sequence[int]) -> float:
        length = float(total[list(bones)].sum())
        return float(covered[list(bones)].sum()) / length if length > 0 else float("nan")

    return share(range(len(skeleton))), {name: share(bones) for name, bones in (groups or {}).items()}


def _points(name: str, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or 0 in points.shape:
        raise PplkitError(f"{name} has shape {points.shape}; give (samples, points, 2) with at least one of each")
    return points


def _masks(masks: np.ndarray, count: int) -> np.ndarray:
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.shape[1] != masks.shape[2] or len(masks) != count:
        raise PplkitError(f"masks has shape {masks.shape}; give ({count}, S, S), a square mask for each sample")
    return masks > 127


def _ends(name: str, points: np.ndarray, pairs: Sequence[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    wrong = [index for pair in pairs for index in pair if not 0 <= index < points.shape[1]]
    if wrong:
        raise PplkitError(f"{name} names point {wrong[0]}, but there are {points.shape[1]}; use indices below that")
    return [(points[:, first], points[:, second]) for first, second in pairs]


def _along(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (n, SAMPLES, 2) on the segments from start (n, 2) to end (n, 2)."""
    share = ((np.arange(SAMPLES) + 0.5) / SAMPLES)[:, None]
    return start[:, None] * (1 - share) + end[:, None] * share


def _on_mask(points: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether points (n, P, 2) lie on their masks (n, S, S) bool; (n, P) bool."""
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
    share = (offset * along).sum(-1) / np.where(squared > 0, squared, 1)
    return np.linalg.norm(offset - np.clip(share, 0, 1)[..., None] * along, axis=-1)
