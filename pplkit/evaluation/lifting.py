"""How well a lifter does beside simple baselines, on clips whose 3D poses are known.

Baselines in every table: the mean pose, a linear map of one frame, and a network for one frame, each of the last two on
the keypoints as they are and on smoothed ones.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from pplkit.data.pose_views import LiftBatch, detector_noise, random_views
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.evaluation.pose3d import MILLIMETERS, ActionTable, PoseErrors, action_table, joint_distances
from pplkit.models.lifting.features import frame_features
from pplkit.models.lifting.poseformer import PoseFormer
from pplkit.models.lifting.windows import lift_centers, lift_sequence
from pplkit.training.saved_lifter import LifterRun

SMOOTHING = 1.5  # frames, deviation of the Gaussian; the best on rule-made motion with 5 px of noise
RIDGE = 1e-4

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From keypoints (T, J, 2) in screen units and confidence (T, J), 0 where missing, to positions (T, J, 3)."""


class Clip(NamedTuple):
    """A sequence as one camera sees it, and the truth."""

    name: str
    keypoints: np.ndarray  # (T, J, 2) screen units
    confidence: np.ndarray  # (T, J), 0 where hidden
    positions: np.ndarray  # (T, J, 3) meters, camera space, relative to the root


class Row(NamedTuple):
    """A line of the table: errors in mm, means over all frames; the velocity error in mm a frame."""

    clips: str
    condition: str
    method: str
    errors: PoseErrors


def clips_of(batch: LiftBatch, root: int = 0, name: str = "window") -> list[Clip]:
    """The windows of a batch as clips, called `name` 0, `name` 1, ..."""
    positions = batch.positions - batch.positions[:, :, root, None]
    parts = zip(batch.keypoints, batch.confidence, positions, strict=True)
    return [Clip(f"{name} {number}", *part) for number, part in enumerate(parts)]


def camera_clips(sequences: Iterable[PoseSequence], views: int = 2, seed: int = 0) -> list[Clip]:
    """Sequences in world space, each seen by `views` random cameras."""
    rng, clips = np.random.default_rng(seed), []
    for sequence in sequences:
        for _ in range(views):
            keypoints, positions = random_views(rng, sequence.points[None])[1::-1]
            relative = positions[0] - positions[0][:, sequence.skeleton.root, None]
            clips.append(Clip(sequence.source, keypoints[0], np.ones(relative.shape[:2], np.float32), relative))
    return clips


def degraded(clips: Sequence[Clip], skeleton: Skeleton, noise: float = 0.0, hidden: float = 0.0) -> list[Clip]:
    """Clips with a detector's errors of deviation `noise` (screen units; 0.01 are 5 px of 1000), and joints hidden.

    Of the joints but the root, the share `hidden` is hidden in single frames, and half of it in the whole clip.
    """
    rng, results = np.random.default_rng(3), []
    for clip in clips:
        keypoints, confidence = clip.keypoints, clip.confidence
        if noise:
            noisy, sure = detector_noise(rng, keypoints[None], noise)
            keypoints, confidence = noisy[0], sure[0]
        if hidden:
            throughout = rng.random(confidence.shape[1]) < hidden / 2
            lost = (rng.random(confidence.shape) < hidden) | throughout
            lost[:, skeleton.root] = False
            keypoints = np.where(lost[..., None], np.nan, keypoints).astype(np.float32)
            confidence = np.where(lost, 0, confidence).astype(np.float32)
        results.append(clip._replace(keypoints=keypoints, confidence=confidence))
    return results


class Baselines:
    """The mean pose, a linear map of one frame, and keypoints with their gaps filled or smoothed."""

    def __init__(self, batch: LiftBatch, skeleton: Skeleton) -> None:
        """Fit them to windows in which nothing is hidden."""
        self.root = skeleton.root
        positions = (batch.positions - batch.positions[:, :, self.root, None]).reshape(-1, len(skeleton.joints), 3)
        self.mean = positions.mean(0)
        keypoints = batch.keypoints.reshape(-1, len(skeleton.joints), 2)
        features = self._features(keypoints)
        self.standing = features[:, :-4].reshape(len(keypoints), -1, 2).mean(0)  # in sizes of the pose
        gram = features.T @ features + RIDGE * np.eye(features.shape[1])
        self.linear_map = np.linalg.solve(gram, features.T @ positions.reshape(len(positions), -1))

    def _features(self, keypoints: np.ndarray) -> np.ndarray:
        """Of frames (T, J, 2) by themselves: joints in sizes of the pose, the root, the logarithm of the size, 1."""
        points = torch.from_numpy(np.ascontiguousarray(keypoints, np.float32))[:, None]
        values = frame_features(points, torch.ones(points.shape[:3]), self.root)[:, 0].double().numpy()
        joints = values[:, :-3].reshape(len(values), -1, 3)[..., :2].reshape(len(values), -1)
        return np.concatenate((joints, values[:, -3:], np.ones((len(values), 1))), axis=1)

    def mean_pose(self, keypoints: np.ndarray, _: np.ndarray) -> np.ndarray:
        """The mean of the training poses in each frame."""
        return np.broadcast_to(self.mean, (*keypoints.shape[:2], 3))

    def linear(self, keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """The linear map of each frame; gaps are filled."""
        features = self._features(self.filled(keypoints, confidence))
        return (features @ self.linear_map).reshape(*keypoints.shape[:2], 3)

    def filled(self, keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Keypoints whose gaps are interpolated in time, relative to the root.

        A joint that no frame shows lies where it does in the mean training pose of this size.
        """
        seen, frames = confidence > 0, np.arange(len(keypoints))
        relative = np.where(seen[..., None], keypoints - keypoints[:, self.root, None], 0)
        size = np.sqrt((relative**2).sum() / max(seen.sum(), 1))
        for joint in np.flatnonzero(~seen.all(0)):
            known = seen[:, joint]
            for axis in range(2):
                path = relative[known, joint, axis] if known.any() else [size * self.standing[joint, axis]]
                relative[:, joint, axis] = np.interp(frames, frames[known] if known.any() else [0], path)
        return (relative + keypoints[:, self.root, None]).astype(np.float32)

    def smoothed(self, keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Filled keypoints through a Gaussian in time."""
        filled = self.filled(keypoints, confidence)
        return gaussian_filter1d(filled, SMOOTHING, axis=0, mode="nearest")  # type: ignore[no-any-return]

    def methods(self, run: LifterRun, one_frame: LifterRun | None = None) -> dict[str, Method]:
        """All lines of the table: the baselines, then the lifter of `run` as it is and with gaps filled before it."""
        lift = lifting_method(run)

        def after(prepare: Method, method: Method) -> Method:
            return lambda keypoints, confidence: method(prepare(keypoints, confidence), np.ones_like(confidence))

        methods: dict[str, Method] = {"mean pose": self.mean_pose, "linear, one frame": self.linear}
        methods["linear, smoothed"] = after(self.smoothed, self.linear)
        if one_frame is not None:
            alone = lifting_method(one_frame)
            methods["MLP, one frame"] = after(self.filled, alone)
            methods["MLP, smoothed"] = after(self.smoothed, alone)
        return methods | {run.config.name: lift, f"{run.config.name}, gaps interpolated": after(self.filled, lift)}


def lifting_method(run: LifterRun) -> Method:
    """A trained lifter as a line of the table, with the mean over mirror images if its settings say so."""
    pairs = run.skeleton.flip_pairs if run.config.flip_test else None

    def lift(keypoints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(np.array(keypoints, np.float32))
        if isinstance(run.model, PoseFormer):
            return lift_centers(run.model, points, pairs).numpy()
        return lift_sequence(run.model, points, torch.from_numpy(confidence), pairs).positions.numpy()

    return lift


def compare(methods: dict[str, Method], clips: dict[tuple[str, str], Sequence[Clip]]) -> list[Row]:
    """Each method on each set of clips, by (name, condition); those that fill gaps only where there are some."""
    rows = []
    for (name, condition), members in clips.items():
        complete = all((clip.confidence > 0).all() for clip in members)
        for method, lift in methods.items():
            if not (complete and method.endswith("gaps interpolated")):
                rows.append(Row(name, condition, method, mean_errors(lift, members)))
    return rows


def mean_errors(method: Method, clips: Sequence[Clip]) -> PoseErrors:
    """Errors of a method, means over all frames."""
    return _lifted_table(method, clips).frames


def action_errors(method: Method, clips: Sequence[Clip]) -> dict[str, PoseErrors]:
    """Errors by action, which is a clip's name up to the first space."""
    return _lifted_table(method, clips).actions


def joint_errors(method: Method, clips: Sequence[Clip]) -> np.ndarray:
    """Mean distance (J,) of each joint from the truth in mm."""
    parts = [joint_distances(method(clip.keypoints, clip.confidence), clip.positions) for clip in clips]
    return MILLIMETERS * np.concatenate(parts).mean(0)  # type: ignore[no-any-return]


def _lifted_table(method: Method, clips: Sequence[Clip]) -> ActionTable:
    return action_table((clip.name, method(clip.keypoints, clip.confidence), clip.positions) for clip in clips)


def table_lines(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    lines = ["| clips | condition | method | MPJPE | P-MPJPE | N-MPJPE | MPJVE |", "|---|---|---|---:|---:|---:|---:|"]
    for row in rows:
        numbers = " | ".join(f"{value:.1f}" for value in row.errors)
        lines.append(f"| {row.clips} | {row.condition} | {row.method} | {numbers} |")
    return lines


def row_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for a JSON file."""
    return [{**row._asdict(), "errors": row.errors._asdict()} for row in rows]
