"""What a transfer of mesh poses starts from: files or arrays, checked against one another, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import read_landmarks
from pplkit.data.meshes import Mesh, read_mesh, read_sequence
from pplkit.geometry.mesh.frames import Turn, UnitBox, find_turn, turn_from_words, unit_box, unit_of
from pplkit.geometry.mesh.landmarks import Landmarks, shared_points

MeshSource = Mesh | Path | str
LandmarkSource = Landmarks | Path | str
SAME_SCALE = 1.5  # factor between the edges of poses and of the rest pose that a pose itself may bring
OTHER_ORDER = 0.25  # median change of an edge's length that no pose brings, but another order of vertices
UNLIKE = 0.05  # mean distance of rest poses, in sides of the unit box, from which landmarks are advised
MERGED = 1e-6  # of the side of the box, within which vertices are one


@dataclass(frozen=True, eq=False)
class TransferInputs:
    """Source, poses and target, both bodies in their unit boxes with the axes of the source.

    Attributes:
        source: at rest.
        poses: (K, V, 3) of the source, moved and scaled as its rest pose.
        target: at rest, turned to the axes of the source.
        original: the target as it was given.
        box: of the target as it was given.
        rotation: (3, 3) turns the target's axes to the source's.
        landmarks: of both, in their boxes, if there are any.
        notes: a sentence for everything that was recognized, or left out of the files.
    """

    source: Mesh
    poses: np.ndarray
    target: Mesh
    original: Mesh
    box: UnitBox
    rotation: np.ndarray
    landmarks: tuple[Landmarks, Landmarks] | None
    notes: tuple[str, ...]

    def inside(self, points: Any) -> np.ndarray:
        """Points (..., 3) of the target's file in the frame of the transfer."""
        return self.box.inside(np.asarray(points, np.float64)) @ self.rotation.T

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the frame of the transfer as the target's file has them."""
        return self.box.outside(points @ self.rotation)


def transfer_inputs(
    source_rest: MeshSource,
    source_poses: np.ndarray | MeshSource | Sequence[Path | str],
    target: MeshSource,
    landmarks: tuple[LandmarkSource, LandmarkSource] | None,
    turn: str,
) -> TransferInputs:
    """Read and check everything; see `pplkit.transfer_pose`. Raises PplkitError naming the file."""
    source, goal = _mesh(source_rest), _mesh(target)
    boxes = unit_box(source.vertices), unit_box(goal.vertices)
    poses, notes = _poses(source, source_poses)
    marks = None if landmarks is None else (_landmarks(landmarks[0], source), _landmarks(landmarks[1], goal))
    if turn:
        best_turn = turn_from_words(turn)
    else:
        pairs = {} if marks is None else {"landmarks": shared_points(*marks)}
        best_turn = find_turn(source.vertices, source.faces, goal.vertices, goal.faces, **pairs)
    notes = [
        *source.repairs,
        *goal.repairs,
        *notes,
        *_frame_notes(source, goal, best_turn, marks is not None, bool(turn)),
    ]
    rotation = best_turn.rotation
    moved = boxes[1].inside(goal.vertices) @ rotation.T
    if marks is not None:
        first, second = marks
        points = boxes[1].inside(second.points) @ rotation.T
        marks = _moved(first, boxes[0].inside(first.points)), _moved(second, points)
    return TransferInputs(
        Mesh(boxes[0].inside(source.vertices), source.faces, source.source),
        boxes[0].inside(poses), Mesh(moved, goal.faces, goal.source), goal, boxes[1], rotation, marks, tuple(notes),
    )  # fmt: skip


def welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and faces of a mesh whose vertices in one place are one, and which of them each vertex is.

    Programs split vertices along the seams of textures; without this, a surface would come apart there. Returns
    (W, 3), (F, 3) and (V,).
    """
    step = MERGED * unit_box(mesh.vertices).side
    places = np.round((mesh.vertices - mesh.vertices.min(0)) / step).astype(np.int64)
    _, first, number = np.unique(places, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as in the file
    rank = np.argsort(order)
    number = rank[number.reshape(-1)]
    return mesh.vertices[first[order]], number[mesh.faces], number


def _mesh(source: MeshSource) -> Mesh:
    return source if isinstance(source, Mesh) else read_mesh(source)


def _landmarks(source: LandmarkSource, mesh: Mesh) -> Landmarks:
    marks = source if isinstance(source, Landmarks) else read_landmarks(source)
    box = unit_box(mesh.vertices)
    if np.abs(box.inside(marks.points)).max() > 1:
        name = marks.names[int(np.abs(box.inside(marks.points)).max(1).argmax())]
        raise PplkitError(
            f"the landmark {name!r} lies far outside of {mesh.source}: give it in the unit and axes of that file."
        )
    return marks


def _moved(marks: Landmarks, points: np.ndarray) -> Landmarks:
    return Landmarks(marks.names, points, marks.bones)


def _poses(rest: Mesh, source: np.ndarray | MeshSource | Sequence[Path | str]) -> tuple[np.ndarray, list[str]]:
    """Poses (K, V, 3) in the unit of the rest pose, and what was done to them."""
    if isinstance(source, np.ndarray):
        poses, name = source.reshape(-1, *source.shape[-2:]).astype(np.float64), "source_poses"
    elif isinstance(source, Mesh):
        poses, name = source.vertices[None], source.source
    else:
        sequence = read_sequence(source)
        poses, name = sequence.poses, sequence.mesh.source
    if poses.shape[1:] != rest.vertices.shape:
        counts = f"{poses.shape[1]:,} vertices and {rest.source} {len(rest.vertices):,}"
        raise PplkitError(f"{name} has {counts}: give poses of that mesh, exported without merging vertices.")
    if not np.isfinite(poses).all():
        raise PplkitError(f"some vertices of {name} are not finite: export the poses again.")
    first, second = np.concatenate([rest.faces[:, [0, 1]], rest.faces[:, [1, 2]]]).T
    lengths = np.linalg.norm(rest.vertices[first] - rest.vertices[second], axis=1)
    ratios = np.linalg.norm(poses[:, first] - poses[:, second], axis=2) / lengths
    factor = float(np.median(ratios))
    if not factor > 0 or float(np.median(np.abs(ratios / factor - 1))) > OTHER_ORDER:
        raise PplkitError(
            f"the edges of {rest.source} have other lengths in {name}: its vertices are in another order, so export "
            "rest pose and poses with the same settings."
        )
    if 1 / SAME_SCALE < factor < SAME_SCALE:
        return poses, []
    return poses / factor, [f"{name} is {factor:.4g} times as large as {rest.source}: it was scaled to that size."]


def _frame_notes(source: Mesh, target: Mesh, turn: Turn, marked: bool, turn_named: bool) -> list[str]:
    """What was recognized of axes and units, and what to do if it is wrong."""
    notes = []
    for mesh in (source, target):
        unit, _ = unit_of(mesh.height)
        unit = f"probably {unit}" if unit else "in an unknown unit"
        notes.append(f"{mesh.source} is {mesh.height:.4g} large, {unit}.")
    same = np.array_equal(turn.rotation, np.eye(3))
    axes = "has the axes of" if same else f"is turned: its x, y and z are {turn.words} of"
    notes.append(f"{target.source} {axes} {source.source}.")
    if not turn.clear and not turn_named:
        notes.append("Front and back are much alike: if poses come out backwards, say which axes are which (turn).")
    if turn.distance > UNLIKE and not marked:
        notes.append("The two rest poses are unlike: landmarks of both, such as their joints, give better poses.")
    return notes
