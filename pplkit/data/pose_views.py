"""3D motion seen by random cameras, and the errors that a 2D detector would make there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.geometry.cameras import normalize_screen, project_linear

DISTANCE = (3.0, 6.0)  # meters from the camera to the middle of the body
CAMERA_HEIGHT = (0.4, 2.4)  # meters above the floor
FOCAL_LENGTH = (2.0, 2.6)  # in screen units; 2.29 in Human3.6M
DRIFT_FRAMES = 9  # between the key frames of a slow drift: 27 of them in 243 frames


class Views(NamedTuple):
    """Windows as cameras see them."""

    positions: np.ndarray  # (B, F, J, 3) meters, camera space: x right, y down, z away
    keypoints: np.ndarray  # (B, F, J, 2) screen units, in [-1, 1] where the image shows the point
    focal_length: np.ndarray  # (B,) screen units


def random_views(rng: np.random.Generator, windows: np.ndarray) -> Views:
    """Windows (B, F, J, 3) of motion in meters, y up, the floor at 0, from any direction.

    Each camera stands still, 3 to 6 m away and 0.4 to 2.4 m high, and looks at a point near the middle of the body.
    """
    count = len(windows)
    target = windows.mean((1, 2)) + rng.normal(0, 0.15, (count, 3))
    yaw = rng.uniform(-np.pi, np.pi, count)
    height, distance = rng.uniform(*CAMERA_HEIGHT, count), rng.uniform(*DISTANCE, count)
    drop = np.clip(height - target[:, 1], -0.9 * distance, 0.9 * distance)
    floor = np.sqrt(distance**2 - drop**2)
    place = target + np.stack([floor * np.sin(yaw), drop, floor * np.cos(yaw)], -1)
    away = (target - place) / distance[:, None]
    right = np.cross(away, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(away, right), away], axis=1)  # rows: right, down, away
    positions = np.einsum("bij,bftj->bfti", axes, windows - place[:, None, None]).astype(np.float32)
    focal_length = rng.uniform(*FOCAL_LENGTH, count)
    intrinsics = np.zeros((count, 1, 1, 9), np.float32)
    intrinsics[..., :2] = focal_length[:, None, None, None]
    return Views(positions, project_linear(positions, intrinsics), focal_length)


def detector_noise(
    rng: np.random.Generator,
    keypoints: np.ndarray,
    jitter: float | np.ndarray,
    drift: float | np.ndarray = 0.0,
    swaps: float = 0.0,
    swap_pairs: list[tuple[int, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (B, F, J, 2) with a detector's errors, and the confidence (B, F, J) that it might give.

    Args:
        rng: Source of the errors.
        keypoints: In any unit.
        jitter: Deviation of an error that is new in each frame: a number, or (B,), in the unit of the keypoints. Every
            twentieth error is four times as large.
        drift: Deviation of a slow error, interpolated between key frames `DRIFT_FRAMES` apart.
        swaps: The fraction of windows in which the joints of one pair are exchanged for a third of the frames.
        swap_pairs: Pairs (left, right) that are mistaken for each other.

    Confidence falls with the true error of a point, and with chance, as a detector's does.
    """
    count, frames, joints, _ = keypoints.shape
    shape = (count, frames, joints)
    scale = np.broadcast_to(jitter, count)[:, None, None] * np.where(rng.random(shape) < 0.05, 4, 1)
    error = scale[..., None] * rng.normal(size=(*shape, 2))
    keys = rng.normal(size=(count, (frames - 1) // DRIFT_FRAMES + 2, joints, 2))
    time = np.arange(frames) / DRIFT_FRAMES
    first = time.astype(int)
    share = (time - first)[:, None, None]
    slow = (1 - share) * keys[:, first] + share * keys[:, first + 1]
    error = error + np.broadcast_to(drift, count)[:, None, None, None] * slow
    noisy = keypoints + error
    if swaps and swap_pairs:
        length = max(frames // 3, 1)
        pairs = np.array(swap_pairs)
        for window in np.flatnonzero(rng.random(count) < swaps):
            start, (left, right) = rng.integers(frames - length + 1), pairs[rng.integers(len(pairs))]
            part = noisy[window, start : start + length]
            part[:, [left, right]] = part[:, [right, left]]
    distance = np.linalg.norm(noisy - keypoints, axis=-1)
    unit = 3 * np.broadcast_to(np.asarray(jitter) + np.asarray(drift), count)[:, None, None] + 1e-6
    confidence = np.exp(-((distance / unit) ** 2)) * rng.uniform(0.75, 1, shape)
    return noisy.astype(np.float32), np.clip(confidence, 0.05, 1).astype(np.float32)


class LiftBatch(NamedTuple):
    """What a network that lifts poses is trained with."""

    keypoints: np.ndarray  # (B, F, J, 2) screen units, as a detector finds them
    confidence: np.ndarray  # (B, F, J) in [0, 1]
    positions: np.ndarray  # (B, F, J, 3) meters, camera space; the path of the root is that of the root joint
    focal_length: np.ndarray  # (B,) screen units


def detected_views(
    rng: np.random.Generator, windows: np.ndarray, noise: float | None, swap_pairs: list[tuple[int, int]]
) -> LiftBatch:
    """Windows (B, F, J, 3) of motion in meters, y up, each seen by a random camera, with a detector's errors.

    `noise` is the deviation of the errors in screen units (0.01 are 5 pixels of an image of 1000), or None for another
    in each window: none for a third of them, up to 0.012 for the others.
    """
    count, views = len(windows), random_views(rng, windows)
    if noise is None:
        level = np.where(rng.random(count) < 1 / 3, 0, rng.uniform(0.001, 0.012, count))
        drift, swaps = 0.7 * level * (rng.random(count) < 0.5), 0.03
    else:
        level, drift, swaps = np.full(count, noise), np.zeros(count), 0.0
    keypoints, confidence = detector_noise(rng, views.keypoints, level, drift, swaps, swap_pairs)
    return LiftBatch(keypoints, confidence, views.positions, views.focal_length.astype(np.float32))


class SequenceWindows:
    """Windows of recorded sequences, in any order, as often as wanted.

    Sequences in world space are seen by random cameras and given a detector's errors, and turned into the frame rate
    asked for. Pairs of the keypoints that a detector has found and the joints in the space of their camera are taken as
    they are.

    Attributes:
        examples: how many windows there are, one around each frame.
    """

    def __init__(
        self, sequences: Sequence[PoseSequence] | Sequence[tuple[PoseSequence, PoseSequence]], fps: float
    ) -> None:
        """Raises PplkitError without sequences, for different skeletons, and for 3D poses in no usable space."""
        if not sequences:
            raise PplkitError("there are no sequences to train on: give at least one.")
        pairs = [pair if isinstance(pair, tuple) else (None, pair) for pair in sequences]
        self.skeleton = pairs[0][1].skeleton
        self.clips: list[tuple[np.ndarray | None, np.ndarray | None, np.ndarray]] = []
        for keypoints, joints in pairs:
            name = joints.source or "a sequence"
            if joints.skeleton.joints != self.skeleton.joints:
                raise PplkitError(
                    f"{name} has other joints than {pairs[0][1].source}: train on one skeleton at a time."
                )
            if joints.space != ("world" if keypoints is None else "camera"):
                raise PplkitError(
                    f"{name} holds poses in {joints.space} space: give 3D poses in world space, or pairs."
                )
            if not np.isfinite(joints.points).all():
                raise PplkitError(f"{name} lacks joints in some frames: fill the gaps, or leave the sequence out.")
            if keypoints is None:
                self.clips.append((None, None, joints.resampled(fps).points))
            else:
                if keypoints.size is None:
                    raise PplkitError(f"{name} has keypoints without the size of the image: give size.")
                screen = normalize_screen(keypoints.resampled(fps).points, *keypoints.size).astype(np.float32)
                self.clips.append((screen, keypoints.resampled(fps).weight, joints.resampled(fps).points))
        self.ends = np.cumsum([len(points) for _, _, points in self.clips])
        self.examples = int(self.ends[-1])

    def __call__(self, seed: int, count: int, frames: int) -> LiftBatch:
        """`count` windows around frames drawn at random; the first and last frame are repeated beyond the ends."""
        rng = np.random.default_rng([seed, 2])
        centers = rng.integers(self.examples, size=count)
        clips = np.searchsorted(self.ends, centers, side="right")
        before = frames // 2
        windows, keypoints, confidence = [], [], []
        for center, number in zip(centers - np.r_[0, self.ends][clips], clips, strict=True):
            screen, weight, points = self.clips[number]
            index = np.clip(np.arange(center - before, center - before + frames), 0, len(points) - 1)
            windows.append(points[index])
            if screen is not None and weight is not None:
                keypoints.append(screen[index])
                confidence.append(weight[index])
        if not keypoints:
            return detected_views(rng, np.stack(windows), None, list(self.skeleton.flip_pairs))
        return LiftBatch(np.stack(keypoints), np.stack(confidence), np.stack(windows), np.ones(count, np.float32))
