"""Data sets of mesh pose: a mesh at rest, its poses, and landmarks of the rest pose."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, write_json
from pplkit.data.mesh_writers import write_obj, write_obj_series
from pplkit.data.meshes import ENDINGS, Mesh, checked_mesh, read_sequence
from pplkit.geometry.mesh.landmarks import Landmarks

LANDMARKS = "landmarks.json"  # beside the meshes of a data set
TEMPLATE = "template.obj"


@dataclass(frozen=True, eq=False)
class PosedMesh:
    """A mesh and its poses.

    Attributes:
        mesh: at rest, V vertices.
        poses: (N, V, 3) float64.
        landmarks: of the rest pose; None if nobody named any.
    """

    mesh: Mesh
    poses: np.ndarray
    landmarks: Landmarks | None = None


def read_mesh_set(folder: str | os.PathLike[str]) -> PosedMesh:
    """The data set in a folder, or in an .anime file.

    A folder holds mesh files, of which `template.…`, or else the first by name, is at rest and all others are poses of
    the same vertices; `landmarks.json` names landmarks of the rest pose. Raises PplkitError for a folder without poses
    and for what `read_sequence` refuses.
    """
    folder = Path(folder)
    landmarks = read_landmarks(folder / LANDMARKS) if (folder / LANDMARKS).exists() else None
    if folder.suffix.lower() == ".anime":
        sequence = read_sequence(folder)
        return PosedMesh(sequence.mesh, _some(sequence.poses[1:], folder), landmarks)
    if not folder.is_dir():
        raise PplkitError(f"{folder} is no folder: give one with a mesh at rest ({TEMPLATE}) and its poses.")
    files = [path for path in folder.glob("*") if path.suffix.lower() in ENDINGS]
    files.sort(key=lambda path: (path.stem != "template", path.name))
    if not files:
        raise PplkitError(f"{folder} holds no mesh files: give one with {', '.join(ENDINGS)}.")
    sequence = read_sequence(files)
    return PosedMesh(sequence.mesh, _some(sequence.poses[1:], folder), landmarks)


def write_mesh_set(folder: str | os.PathLike[str], data: PosedMesh) -> Path:
    """Write a data set as `read_mesh_set` reads it: OBJ files and the landmarks. Raises WriteError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_obj(folder / TEMPLATE, data.mesh.vertices, data.mesh.faces)
    write_obj_series(folder, data.poses, data.mesh.faces)
    if data.landmarks is not None:
        write_json(folder / LANDMARKS, data.landmarks.to_dict())
    return folder


def read_landmarks(path: str | os.PathLike[str]) -> Landmarks:
    """Landmarks from a JSON file (see `Landmarks.to_dict`). Raises PplkitError for any other file."""
    return Landmarks.from_dict(read_json(Path(path), "write the landmarks again"), str(path))


def posed_mesh(
    vertices: np.ndarray, faces: np.ndarray, poses: np.ndarray, landmarks: Landmarks | None, source: str
) -> PosedMesh:
    """A data set from arrays; raises PplkitError for those that are no mesh."""
    return PosedMesh(checked_mesh(vertices, faces, source), np.asarray(poses, np.float64), landmarks)


def _some(poses: np.ndarray, folder: Path) -> np.ndarray:
    if not len(poses):
        raise PplkitError(f"{folder} holds a mesh but no poses of it: add some, with the same vertices.")
    return poses
