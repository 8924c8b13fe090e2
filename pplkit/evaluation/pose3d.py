"""Errors of 3D poses (T, J, 3): MPJPE and its aligned forms, velocities, PCK, AUC, the table of Human3.6M's actions.

Errors have the unit of the poses; only the table turns meters into millimeters. Nothing is centered here: a predicted
root counts as it is. Sources: Human3.6M's protocols 1 to 3 as VideoPose3D (Pavllo et al., CVPR 2019) computes them;
PCK and AUC as MPI-INF-3DHP (Mehta et al., 3DV 2017).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError

PCK_METERS = 0.150
AUC_THRESHOLDS = 31  # from 0 to PCK_METERS, both included
MILLIMETERS = 1000.0  # in a meter
SMALLEST = 1e-12  # extent of a pose to divide by


def joint_distances(prediction: Any, target: Any) -> np.ndarray:
    """Euclidean distances (T, J) of poses (T, J, 3), arrays or tensors; raises PplkitError if the shapes differ."""
    prediction, target = _poses(prediction, target)
    return np.linalg.norm(prediction - target, axis=-1)


def mpjpe(prediction: Any, target: Any, weights: Any = None) -> float:
    """Mean per-joint position error (protocol 1) of poses (T, J, 3).

    `weights`, if any, are broadcast to the distances (T, J), which they multiply; they need not sum to 1.
    """
    return float(np.mean(joint_distances(prediction, target) * (1.0 if weights is None else np.asarray(weights))))


def p_mpjpe(prediction: Any, target: Any) -> float:
    """MPJPE after rotation, scale and shift of each predicted pose onto its target (protocol 2)."""
    return mpjpe(align_similarity(prediction, target), target)


def n_mpjpe(prediction: Any, target: Any) -> float:
    """MPJPE after scaling of each predicted pose (protocol 3)."""
    return mpjpe(align_scale(prediction, target), target)


def mpjve(prediction: Any, target: Any) -> float:
    """Mean per-joint velocity error of the frames (T, J, 3) of one sequence, per frame; NaN for a single frame."""
    prediction, target = _poses(prediction, target)
    return mpjpe(np.diff(prediction, axis=0), np.diff(target, axis=0)) if len(target) > 1 else float("nan")


def align_similarity(prediction: Any, target: Any) -> np.ndarray:
    """Predicted poses (T, J, 3), each turned, scaled and shifted to fit its target in least squares; never mirrored."""
    prediction, target = _poses(prediction, target)
    centers, target_centers = prediction.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    centered, target_centered = prediction - centers, target - target_centers
    size = np.maximum(np.linalg.norm(centered, axis=(-2, -1), keepdims=True), SMALLEST)
    left, singular, right = np.linalg.svd(np.swapaxes(centered / size, -2, -1) @ target_centered)
    turned = np.linalg.det(left @ right) < 0
    singular[turned, -1] *= -1
    left[turned, :, -1] *= -1
    scale = singular.sum(-1)[..., None, None] / size
    return scale * (centered @ left @ right) + target_centers


def align_scale(prediction: Any, target: Any) -> np.ndarray:
    """Predicted poses (T, J, 3), each scaled around the origin to fit its target in least squares."""
    prediction, target = _poses(prediction, target)
    square = np.maximum(np.square(prediction).sum((-2, -1), keepdims=True), SMALLEST**2)
    return prediction * ((target * prediction).sum((-2, -1), keepdims=True) / square)


def pck(prediction: Any, target: Any, threshold: float = PCK_METERS) -> float:
    """Fraction of joints of poses (T, J, 3) that are closer to their targets than `threshold`."""
    return float(np.mean(joint_distances(prediction, target) < threshold))


def auc(prediction: Any, target: Any, threshold: float = PCK_METERS) -> float:
    """Mean of `pck` over 31 evenly spaced thresholds from 0 to `threshold`."""
    distances = joint_distances(prediction, target)
    return float(np.mean([np.mean(distances < limit) for limit in np.linspace(0, threshold, AUC_THRESHOLDS)]))


class PoseErrors(NamedTuple):
    """Errors in millimeters; the velocity error in millimeters a frame."""

    mpjpe: float
    p_mpjpe: float
    n_mpjpe: float
    mpjve: float


class ActionTable(NamedTuple):
    """Errors of several sequences."""

    actions: dict[str, PoseErrors]  # means over the frames of an action
    average: PoseErrors  # plain mean over the actions, the number that papers compare
    frames: PoseErrors  # mean over all frames; larger than `average` where long actions are hard


def pose_errors(prediction: Any, target: Any) -> PoseErrors:
    """The errors of one sequence (T, J, 3) in meters."""
    return PoseErrors(*(MILLIMETERS * metric(prediction, target) for metric in (mpjpe, p_mpjpe, n_mpjpe, mpjve)))


def action_table(sequences: Iterable[tuple[str, Any, Any]]) -> ActionTable:
    """The errors of sequences (name, prediction, target), (T, J, 3) in meters, for each action.

    The action is the name up to the first space: "Walking 1" is Walking. All means weigh a sequence by its frames, the
    velocity error as well, for which sequences of one frame do not count.
    """
    rows: dict[str, list[tuple[PoseErrors, int]]] = {}
    for name, prediction, target in sequences:
        rows.setdefault(name.split(" ")[0], []).append((pose_errors(prediction, target), len(target)))
    if not rows:
        raise PplkitError("there are no sequences to score: give at least one.")
    actions = {action: _weighted(members) for action, members in rows.items()}
    average = PoseErrors(*np.mean(list(actions.values()), axis=0).tolist())
    return ActionTable(actions, average, _weighted([row for members in rows.values() for row in members]))


def _weighted(rows: list[tuple[PoseErrors, int]]) -> PoseErrors:
    errors, frames = np.array([row for row, _ in rows]), np.array([[count] for _, count in rows])
    known = np.isfinite(errors) * frames
    with np.errstate(invalid="ignore"):  # of an action of single frames alone
        return PoseErrors(*(np.nansum(errors * frames, axis=0) / known.sum(0)).tolist())


def _poses(prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    arrays = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if arrays[0].shape != arrays[1].shape or arrays[0].ndim != 3 or arrays[0].shape[-1] != 3:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise PplkitError(f"predicted and true poses have the shapes {shapes}: give both as (frames, joints, 3).")
    return arrays
