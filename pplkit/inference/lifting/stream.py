"""Lifting frame by frame, as a camera delivers them."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import Camera
from pplkit.geometry.cameras import camera_to_world, normalize_screen
from pplkit.geometry.placement import root_path
from pplkit.inference.lifting.frames import poses_at
from pplkit.inference.lifting.joint_map import Layout, given_layout, joints_of
from pplkit.inference.lifting.keypoint_files import keypoints_from_array
from pplkit.inference.lifting.lift import FOCAL_LENGTH
from pplkit.training.saved_lifter import LifterRun, load_lifter

FACING = Camera(np.zeros(9), np.array([0.0, 1.0, 0.0, 0.0]), np.zeros(3))  # level, at the origin; y up


class StreamedPose(NamedTuple):
    """The pose of a frame."""

    frame: int  # counted from 0
    joints: np.ndarray  # (J, 3) meters: x right, y up, z towards the camera, which is at the origin unless it is given
    confidence: np.ndarray  # (J,) of the keypoints
    spread: np.ndarray | None  # (J,) expected error in meters, if the lifter has learned it


class LiftStream:
    """A lifter that takes one frame after the other, and keeps no more of them than its window.

    Each pose is lifted with the frames before it, and the `delay` frames after it. It is that of `lift` up to what
    later frames would have told: errors are larger and change faster. The camera is taken to be level, unless the
    `camera` of an earlier `lift` is given.
    """

    def __init__(
        self,
        model: LifterRun | str | os.PathLike[str],
        size: tuple[int, int],
        layout: Layout,
        fps: float | None = None,
        delay: int = 0,
        focal_length: float | None = None,
        camera: Camera | None = None,
        device: str = "cpu",
    ) -> None:
        """Arguments as those of `lift`; `delay` in frames. Raises PplkitError as `lift` does."""
        if delay < 0:
            raise PplkitError(f"delay={delay} is below 0: give how many frames a pose may wait.")
        self.run = model if isinstance(model, LifterRun) else load_lifter(model, device)
        self.size, self.skeleton, self.delay = size, given_layout(layout), delay
        self.fps = self.run.fps if fps is None else float(fps)
        self.focal_length = FOCAL_LENGTH if focal_length is None else focal_length * 2 / size[0]
        self.camera = FACING if camera is None else camera
        window = int(np.ceil((self.run.config.frames - 1) * self.fps / self.run.fps)) + 1
        self._frames: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=max(window, delay + 1))
        self._count = 0  # frames given
        self._next = 0  # the frame whose pose comes next

    def add(self, keypoints: Any, confidence: Any = None) -> StreamedPose | None:
        """The pose that is ready with a new frame of keypoints (K, 2 or 3) in pixels; none in the first `delay` frames.

        A frame without a person is None. Raises PplkitError for other points than those of the layout.
        """
        joints = len(self.run.skeleton.joints)
        points, sure = np.full((joints, 2), np.nan), np.zeros(joints)
        if keypoints is not None:
            pose2d = keypoints_from_array(keypoints, confidence, "the frame")
            if len(pose2d.points) > 1 or pose2d.points.shape[1] != len(self.skeleton.joints):
                raise PplkitError(
                    f"a frame has the shape {np.shape(keypoints)}: give ({len(self.skeleton.joints)}, 2 or 3), the "
                    f"points of layout {self.skeleton.name}."
                )
            seen = joints_of(pose2d, self.skeleton, self.run.skeleton)
            points, sure = normalize_screen(seen.points[0], *self.size), seen.confidence[0]
        self._frames.append((points, sure))
        self._count += 1
        return self._pose(self._count - 1 - self._next) if self._count > self._next + self.delay else None

    def finish(self) -> Iterator[StreamedPose]:
        """The poses of the last `delay` frames, after which there are no more."""
        while self._next < self._count:
            yield self._pose(self._count - 1 - self._next)

    def lift(self, frames: Iterable[Any]) -> Iterator[StreamedPose]:
        """The poses of all frames, one by one; each frame is what `add` takes."""
        for keypoints in frames:
            pose = self.add(keypoints)
            if pose is not None:
                yield pose
        yield from self.finish()

    def _pose(self, before: int) -> StreamedPose:
        """The pose of the frame that came `before` frames before the last one."""
        screen, sure = (np.stack(values) for values in zip(*self._frames, strict=True))
        frame, self._next = self._next, self._next + 1
        index = len(screen) - 1 - before
        if not (sure > 0).any():
            nothing = np.full((screen.shape[1], 3), np.nan)
            return StreamedPose(frame, nothing, sure[index], None)
        poses = poses_at(self.run, screen, sure, np.arange(len(screen)) / self.fps)
        path = root_path(poses.positions, screen, sure, self.focal_length, self.fps)
        orientation, place = self.camera.orientation, self.camera.translation
        joints = camera_to_world(poses.positions[index] + path[index], orientation, place)
        return StreamedPose(frame, joints, sure[index], None if poses.spread is None else poses.spread[index])
