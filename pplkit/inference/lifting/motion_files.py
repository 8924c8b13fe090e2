"""Lifted motion as files: .npz, which keeps all of it, .bvh for animation programs, .json and .csv for everything else.

.json  `fps`, `joints` (names), `parents` (-1 for the root), `unit` and `up`, and `frames`, each with its joints
       [x, y, z], and for each joint `confidence` and, if known, `spread`
.csv   frame,seconds,joint,x,y,z,confidence,spread, a line for each joint
"""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path, write_text
from pplkit.data.bvh import write_bvh
from pplkit.data.sequences import PoseSequence

HEADER = ("frame", "seconds", "joint", "x", "y", "z", "confidence", "spread")


def write_motion(path: str | os.PathLike[str], motion: PoseSequence) -> Path:
    """Write 3D motion in the format that the ending of the path says, whole or not at all; returns the path.

    Raises PplkitError for 2D points and other endings than those of WRITERS, and WriteError.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise PplkitError(f"{path} ends in none of {', '.join(WRITERS)}: give the file one of these endings.")
    if motion.points.shape[-1] != 3:
        raise PplkitError(f"{path} cannot be written from 2D points: lift them first.")
    return WRITERS[path.suffix.lower()](path, motion)


def _write_npz(path: Path, motion: PoseSequence) -> Path:
    return motion.write(path)


def _write_json(path: Path, motion: PoseSequence) -> Path:
    skeleton, values = motion.skeleton, motion.points.astype(float).round(5)
    head = {
        "fps": motion.fps, "joints": skeleton.joints, "parents": skeleton.parents, "unit": "m",
        "up": "y" if motion.space == "world" else "-y", "source": motion.source,
    }  # fmt: skip
    rows = []
    for frame in range(len(motion)):
        row = {"joints": values[frame].tolist(), "confidence": motion.weight[frame].astype(float).round(4).tolist()}
        if motion.spread is not None:
            row["spread"] = motion.spread[frame].astype(float).round(5).tolist()
        rows.append(json.dumps(row))
    write_text(path, f'{json.dumps(head)[:-1]}, "frames": [\n' + ",\n".join(rows) + "\n]}\n")
    return path


def _write_csv(path: Path, motion: PoseSequence) -> Path:
    spread = np.full(motion.points.shape[:2], np.nan) if motion.spread is None else motion.spread
    with atomic_path(path) as partial, partial.open("w", encoding="utf8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for frame, rows in enumerate(zip(motion.points, motion.weight, spread, strict=True)):
            for name, point, sure, error in zip(motion.skeleton.joints, *rows, strict=True):
                numbers = ("" if np.isnan(value) else f"{value:.5f}" for value in (*point, sure, error))
                table.writerow((frame, f"{frame / motion.fps:.4f}", name, *numbers))
    return path


WRITERS: dict[str, Callable[[Path, PoseSequence], Path]] = {
    ".npz": _write_npz,
    ".bvh": write_bvh,
    ".json": _write_json,
    ".csv": _write_csv,
}
"""What writes files of each ending."""
