"""The pose prior V = (T, W), saved as JSON."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, write_json
from pplkit.core.words import quantity

SCHEMA = "pplkit-prior-1"
STRONG = 0.05  # relative to the strongest link


def origin_text(made_by: Mapping[str, Any], *names: str) -> str:
    """Entries of `made_by` in words; the data set by its folder, as many are called folder or video."""
    known = {name: made_by[name] for name in names if name in made_by}
    if "data" in known and "data_path" in made_by:
        known["data"] = Path(made_by["data_path"]).name
    return ", ".join(f"{name} {value}" for name, value in known.items())


@dataclass(frozen=True, repr=False)
class PosePrior:
    """The typical pose of a category and its skeleton.

    keypoints T: float32 (N, 2), (x, y) in [-1, 1]. connectivity W: float32 (N, N), symmetric, zero diagonal, >= 0.
    `made_by` says which run, config, data and version it came from. Raises PplkitError for other shapes.

    >>> prior = pplkit.PosePrior.load("runs/puppets/prior.json")
    >>> prior.keypoints.shape, len(prior.links(threshold=0.0))
    ((4, 2), 6)
    """

    keypoints: np.ndarray
    connectivity: np.ndarray
    made_by: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        if self.keypoints.shape != (count, 2) or self.connectivity.shape != (count, count):
            raise PplkitError(
                f"keypoints {self.keypoints.shape} and connectivity {self.connectivity.shape} do not fit: give arrays "
                "(N, 2) and (N, N)."
            )

    def __repr__(self) -> str:
        about = origin_text(self.made_by, "run", "data")
        sizes = f"{quantity(len(self.keypoints), 'keypoint')}, {quantity(len(self.links()), 'strong link')}"
        return f"PosePrior{f' of {about}' * bool(about)}: {sizes}"

    def _repr_html_(self) -> str:
        lines = [(*self.keypoints[[i, j]].ravel(), self.strength((i, j))) for i, j in self.links()]
        links = "".join(
            f'<line x1="{a:.3f}" y1="{b:.3f}" x2="{c:.3f}" y2="{d:.3f}" stroke="#0072B2" stroke-width="{w / 20:.3f}"/>'
            for a, b, c, d, w in lines
        )
        points = "".join(f'<circle cx="{x:.3f}" cy="{y:.3f}" r="0.04"/>' for x, y in self.keypoints)
        return f'<pre>{escape(repr(self))}</pre><svg width="160" viewBox="-1.1 -1.1 2.2 2.2">{links}{points}</svg>'

    def links(self, threshold: float = STRONG) -> list[tuple[int, int]]:
        """The strong links (i, j), i < j, strongest first: with at least `threshold` times the strongest weight."""
        rows, columns = np.triu_indices(len(self.keypoints), 1)
        weights = self.connectivity[rows, columns]
        order = np.argsort(-weights, kind="stable")
        keep = [k for k in order if weights[k] >= threshold * weights.max() and weights[k] > 0]
        return [(int(rows[k]), int(columns[k])) for k in keep]

    def strength(self, link: tuple[int, int]) -> float:
        """Weight of a link relative to the strongest, in [0, 1]."""
        return float(self.connectivity[link] / self.connectivity.max())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the prior as JSON, atomically; raises PplkitError if that cannot be."""
        path = Path(path)
        content = {
            "schema": SCHEMA,
            "keypoints": self.keypoints.astype(float).round(6).tolist(),
            "connectivity": self.connectivity.astype(float).tolist(),
            "made_by": self.made_by,
        }
        write_json(path, content)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "PosePrior":
        """Read a prior; raises PplkitError naming the file if it is missing or not a prior of this version."""
        if not os.path.lexists(path):
            raise PplkitError(f"{path} does not exist: train a model first, which writes it.")
        content = read_json(Path(path), "write it again with PosePrior.save")
        try:
            if content["schema"] != SCHEMA:
                raise ValueError(f"its schema is {content['schema']!r}, this version reads {SCHEMA!r}")
            keypoints = np.array(content["keypoints"], dtype=np.float32)
            connectivity = np.array(content["connectivity"], dtype=np.float32)
            prior = cls(keypoints, connectivity, dict(content["made_by"]))
            sound = np.isfinite(keypoints).all() and (connectivity >= 0).all() and np.isfinite(connectivity).all()
            if len(keypoints) < 2 or not sound or not (connectivity == connectivity.T).all():
                raise ValueError("it needs two keypoints or more, finite numbers, and links as strong there as back")
            return prior
        except (KeyError, TypeError, ValueError, OverflowError, PplkitError) as error:
            raise PplkitError(f"{path} is not a pose prior ({error}): write it again with PosePrior.save.") from None
