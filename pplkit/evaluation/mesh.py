"""Poses of meshes against the truth, and methods of pose transfer beside baselines that learn nothing."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh
from pplkit.geometry.mesh.frames import unit_box
from pplkit.geometry.mesh.intersections import intersecting_faces
from pplkit.geometry.mesh.poisson import PoissonSolver
from pplkit.models.mesh.nearest_face import NearestFace, PoseMethod

PERCENT, THOUSANDTHS = 100.0, 1000.0


class MeshScores(NamedTuple):
    """Means over poses. Lengths are in % of the longest side of the box around the rest pose."""

    mean: float  # distance of a vertex from the truth
    worst: float  # 95th percentile of these distances, over all vertices and poses
    pmd: float  # mean squared distance in the unit box, times 1000
    edges: float  # mean change of an edge's length against rest, in % of that length
    intersections: float  # pairs of faces that cross; NaN if they were not counted


class Row(NamedTuple):
    """A line of the table."""

    body: str
    method: str
    scores: MeshScores
    milliseconds: float  # a pose, with everything that the method does


Method = Callable[[PosedMesh, PosedMesh], np.ndarray]
"""From a source and a target in their unit boxes to vertices (K, W, 3) of the target; its true poses are not read."""


def vertex_distances(prediction: Any, target: Any) -> np.ndarray:
    """Distances (K, V) of vertices from the truth (K, V, 3), each pose with its mean at the origin.

    No transfer of Jacobians determines where a pose lies; how it is turned counts. Raises PplkitError if the shapes
    differ or numbers are not finite.
    """
    prediction, target = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if prediction.shape != target.shape or prediction.ndim != 3 or prediction.shape[-1] != 3:
        shapes = f"{prediction.shape} and {target.shape}"
        raise PplkitError(f"predicted and true poses have the shapes {shapes}: give both as (poses, vertices, 3).")
    if not (np.isfinite(prediction).all() and np.isfinite(target).all()):
        raise PplkitError("some vertices of the predicted or true poses are not finite: leave out such poses.")
    difference = prediction - target
    return np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=2)


def pose_distances(poses: np.ndarray, others: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Mean distances (K, N) of the vertices of poses (K, V, 3) from those of others (N, V, 3), all centered.

    In % of the longest side of the mesh at rest (V, 3). Says whether generated poses are copies of known ones.
    """
    centered, known = (values - values.mean(1, keepdims=True) for values in (poses, others))
    distances = [np.linalg.norm(known - pose, axis=-1).mean(1) for pose in centered]
    return 100 * np.stack(distances) / np.ptp(rest, axis=0).max()  # type: ignore[no-any-return]


def edge_change(rest: np.ndarray, faces: np.ndarray, poses: np.ndarray) -> float:
    """Mean of |length / length at rest - 1| over the edges of poses (K, V, 3), in percent."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    first, second = np.unique(pairs, axis=0).T
    lengths = np.linalg.norm(rest[first] - rest[second], axis=1)
    posed = np.linalg.norm(poses[:, first] - poses[:, second], axis=2)
    known = lengths > 0
    return float(PERCENT * np.abs(posed[:, known] / lengths[known] - 1).mean())


def mesh_scores(prediction: np.ndarray, body: PosedMesh, intersections: bool = True) -> MeshScores:
    """Scores of predicted poses (K, V, 3) of a body, in the body's own unit, against its true ones."""
    distances = vertex_distances(prediction, body.poses) / unit_box(body.mesh.vertices).side
    crossings = [len(intersecting_faces(pose, body.mesh.faces)) for pose in prediction] if intersections else [np.nan]
    return MeshScores(
        mean=float(PERCENT * distances.mean()),
        worst=float(PERCENT * np.percentile(distances, 95)),
        pmd=float(THOUSANDTHS * np.square(distances).mean()),
        edges=edge_change(body.mesh.vertices, body.mesh.faces, prediction),
        intersections=float(np.mean(crossings)),
    )


def transferred(method: PoseMethod) -> Method:
    """A method that predicts Jacobians, with the Poisson solve."""

    def transfer(source: PosedMesh, target: PosedMesh) -> np.ndarray:
        rest, faces = target.mesh.vertices, target.mesh.faces
        marks = source.landmarks, target.landmarks
        field = method.predict_jacobians(source.mesh.vertices, source.mesh.faces, source.poses, rest, faces, *marks)
        return PoissonSolver(rest, faces).solve(field)

    return transfer


def baselines(training: np.ndarray | None = None) -> dict[str, Method]:
    """What needs no learning, by name.

    The mean training pose needs `training` (N, V, 3), poses of the source in its unit box: its mean Jacobians are
    copied from the nearest faces.
    """

    def rest_pose(source: PosedMesh, target: PosedMesh) -> np.ndarray:
        return np.broadcast_to(target.mesh.vertices, (len(source.poses), *target.mesh.vertices.shape))

    def mean_pose(source: PosedMesh, target: PosedMesh) -> np.ndarray:
        assert training is not None
        still = source.mesh.vertices, source.mesh.faces, target.mesh.vertices, target.mesh.faces
        field = NearestFace(warp=False).predict_jacobians(*still[:2], training, *still[2:]).mean(0)
        pose = PoissonSolver(*still[2:]).solve(field)
        return np.broadcast_to(pose, (len(source.poses), *pose.shape))

    def nearest_vertex(source: PosedMesh, target: PosedMesh) -> np.ndarray:
        nearest = KDTree(source.mesh.vertices).query(target.mesh.vertices)[1]
        return np.asarray(target.mesh.vertices + (source.poses - source.mesh.vertices)[:, nearest])

    return {
        "rest pose": rest_pose,
        **({} if training is None else {"mean training pose": mean_pose}),
        "nearest vertex, displacement": nearest_vertex,
        "nearest face, tangential": transferred(NearestFace(full=False, warp=False)),
        "nearest face, full": transferred(NearestFace(full=True, warp=False)),
        "nearest face, full, landmarks": transferred(NearestFace(full=True, warp=True)),
    }


def compare(
    methods: Mapping[str, PoseMethod],
    source: PosedMesh,
    targets: Sequence[PosedMesh],
    training: np.ndarray | None = None,
    intersections: bool = True,
) -> list[Row]:
    """The truth, all baselines, and methods, on each target; the source may be among the targets.

    Args:
        methods: Trained methods by name.
        source: The mesh whose poses are transferred: poses that no training has seen.
        targets: Bodies with the same axes, in the same poses. Landmarks are used where source and target have them.
        training: (N, V, 3) the poses of the source that methods were trained on, for the mean training pose.
        intersections: Whether crossing faces are counted, which takes longer than all else.

    Raises PplkitError for a target with another number of poses.
    """
    box = unit_box(source.mesh.vertices)
    known = None if training is None else box.inside(training)
    source = _boxed(source)
    rows = []
    for target in map(_boxed, targets):
        if len(target.poses) != len(source.poses):
            counts = f"{len(target.poses)} poses and {source.mesh.source} {len(source.poses)}"
            raise PplkitError(f"{target.mesh.source} has {counts}: give the same poses of all bodies.")
        marked = source.landmarks is not None and target.landmarks is not None
        lines = {
            "truth": lambda _, body: body.poses,
            **{name: line for name, line in baselines(known).items() if marked or not name.endswith("landmarks")},
            **{name: transferred(method) for name, method in methods.items()},
        }
        for name, line in lines.items():
            start = time.perf_counter()
            prediction = line(source, target)
            milliseconds = THOUSANDTHS * (time.perf_counter() - start) / len(target.poses)
            rows.append(Row(target.mesh.source, name, mesh_scores(prediction, target, intersections), milliseconds))
    return rows


def table_lines(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    lines = [
        "| body | method | mean, % | 95th percentile, % | PMD | edges, % | crossing faces | ms a pose |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for body, method, scores, milliseconds in rows:
        crossings = "–" if np.isnan(scores.intersections) else f"{scores.intersections:.1f}"
        numbers = f"{scores.mean:.2f} | {scores.worst:.2f} | {scores.pmd:.3f} | {scores.edges:.1f}"
        lines.append(f"| {body} | {method} | {numbers} | {crossings} | {milliseconds:.1f} |")
    return lines


def row_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for a JSON file; what was not counted is None."""
    return [
        {
            **row._asdict(),
            "scores": {name: None if np.isnan(value) else value for name, value in row.scores._asdict().items()},
        }
        for row in rows
    ]


def _boxed(body: PosedMesh) -> PosedMesh:
    """The body in its unit box."""
    box, marks = unit_box(body.mesh.vertices), body.landmarks
    mesh = replace(body.mesh, vertices=box.inside(body.mesh.vertices))
    return PosedMesh(mesh, box.inside(body.poses), marks and replace(marks, points=box.inside(marks.points)))
