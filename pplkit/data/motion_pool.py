"""Whole 3D motions as a source of training windows: bodies of other sizes, cameras, other speeds."""

from collections.abc import Sequence

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.pose_views import LiftBatch, detected_views
from pplkit.data.sequences import PoseSequence

BODY, BONE = 0.08, 0.05  # deviations of a body's size, and of each bone's length against it


class MotionPool:
    """Windows of 3D motions in world space, y up, the floor at 0, drawn at random by a seed.

    Called with (seed, count, frames) it gives pairs of keypoints and poses for a lifter: each window on a body with
    other bone lengths, seen by a random camera, with a detector's errors. `windows` gives motion itself, at any speed.

    Attributes:
        skeleton: the joints.
        fps: frames a second of all motions.
        motions: (T, J, 3) meters each.
    """

    def __init__(
        self, motions: Sequence[PoseSequence], body: float = BODY, bone: float = BONE, noise: float | None = None
    ) -> None:
        """`body` and `bone` are deviations of sizes; `noise` is that of `pose_views.detected_views`.

        Raises PplkitError without motions, and for motions that differ in skeleton or frame rate or have gaps.
        """
        if not motions:
            raise PplkitError("there is no motion to learn from: give at least one.")
        self.skeleton, self.fps = motions[0].skeleton, motions[0].fps
        self.body, self.bone, self.noise = body, bone, noise
        for motion in motions:
            name = motion.source or "a motion"
            if motion.skeleton.joints != self.skeleton.joints or motion.fps != self.fps:
                raise PplkitError(f"{name} has other joints or frames a second than the others: convert it first.")
            if motion.space != "world" or not np.isfinite(motion.points).all():
                raise PplkitError(f"{name} is not whole 3D motion in world space: complete it first.")
        self.motions = [motion.points for motion in motions]
        self.ends = np.cumsum([len(points) for points in self.motions])

    def __call__(self, seed: int, count: int, frames: int) -> LiftBatch:
        """`count` windows as cameras see them; the same seed gives the same."""
        rng = np.random.default_rng([seed, 2])
        windows = self._drawn(rng, count, frames, 1.0)
        windows = self.other_bodies(rng, windows)
        return detected_views(rng, windows, self.noise, list(self.skeleton.flip_pairs))

    def windows(self, seed: int, count: int, frames: int, fps: float) -> np.ndarray:
        """Windows (count, frames, J, 3) played so that they have `fps` frames a second."""
        return self._drawn(np.random.default_rng([seed, 4]), count, frames, self.fps / fps)

    def _drawn(self, rng: np.random.Generator, count: int, frames: int, step: float) -> np.ndarray:
        """Windows (count, frames, J, 3) float32 with `step` frames of the motion between theirs.

        A window lies in its motion if it can; the first and the last frame are repeated where that is too short.
        """
        numbers = np.searchsorted(self.ends, rng.integers(self.ends[-1], size=count), side="right")
        starts = rng.random(count)
        windows = np.empty((count, frames, len(self.skeleton.joints), 3), np.float32)
        for window, (number, start) in enumerate(zip(numbers, starts, strict=True)):
            points = self.motions[number]
            room = max(len(points) - 1 - step * (frames - 1), 0)
            time = np.clip(start * room + step * np.arange(frames), 0, len(points) - 1)
            first = np.minimum(time.astype(int), max(len(points) - 2, 0))
            second = np.minimum(first + 1, len(points) - 1)
            share = (time - first).astype(np.float32)[:, None, None]
            windows[window] = (1 - share) * points[first] + share * points[second]
        return windows

    def other_bodies(self, rng: np.random.Generator, windows: np.ndarray) -> np.ndarray:
        """Windows (B, F, J, 3) whose bones are longer or shorter by a factor each, the same on both sides.

        Directions stay; the path of the root is scaled as the bones of the whole body are on average.
        """
        count, skeleton = len(windows), self.skeleton
        size = 1 + self.body * np.clip(rng.normal(size=(count, 1)), -2, 2)
        factor = size * (1 + self.bone * np.clip(rng.normal(size=(count, len(skeleton.joints))), -2, 2))
        for left, right in skeleton.flip_pairs:
            factor[:, right] = factor[:, left]
        factors = factor.astype(np.float32)[:, None, :, None]
        result = windows * size.astype(np.float32)[:, None, None]
        for joint in skeleton.order[1:]:
            parent = skeleton.parents[joint]
            bone = windows[:, :, joint] - windows[:, :, parent]
            result[:, :, joint] = result[:, :, parent] + factors[:, :, joint] * bone
        return np.asarray(result)
